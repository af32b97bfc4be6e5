"""Built functions under Lambda's own runtime: its interface emulator and its interface client, without a container."""

from devkit.runtime.artifacts import Built, BuiltFunction, build
from devkit.runtime.emulator import Emulator, Invocation, RuntimeProblem, emulator_binary

__all__ = ["Built", "BuiltFunction", "Emulator", "Invocation", "RuntimeProblem", "build", "emulator_binary"]
