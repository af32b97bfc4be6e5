"""The functions and their layer, built for this machine's interpreter and processor by the recipes that SAM uses.

What `make build` makes is for the deployed runtime and processor, which this machine need not have. The recipes,
the pinned packages, the trimming and the bytecode are the same.
"""

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devkit.localstack import template as template_step
from devkit.localstack.artifacts import LayerBuilder, Log, digest
from devkit.runtime.emulator import RuntimeProblem

PYTHON = Path(".local/runtime/bin/python")
"""An interpreter that has Lambda's interface client and nothing else of use; below the checkout."""

_CACHE = Path(".local/built")
_KEPT_LAYERS = 3


@dataclass(frozen=True)
class BuiltFunction:
    """One function as it is deployed: its folder (/var/task on Lambda) and its handler."""

    name: str
    folder: Path
    handler: str


@dataclass(frozen=True)
class Built:
    """All functions by the name of their folder (`ingest`, `crm_patch`), and the unpacked layer (/opt on Lambda)."""

    python: Path
    layer: Path
    functions: Mapping[str, BuiltFunction]


def _silent(_: str) -> None:
    pass


def build(checkout: Path, log: Log = _silent) -> Built:
    """Build what has changed since the last time, in about 15 s the first time and in less than a second afterwards.

    Raises RuntimeProblem when the environment is missing or a function's recipe fails, and LocalStackError when the
    layer's does.
    """
    python = checkout / PYTHON
    if not python.exists():
        raise RuntimeProblem(f"{python} does not exist: run `make runtime`, which sets it up")
    template = template_step.read((checkout / "template.yaml").read_text())
    cache = checkout / _CACHE
    cache.mkdir(parents=True, exist_ok=True)
    handler = template["Globals"]["Function"]["Handler"]
    functions: dict[str, BuiltFunction] = {}
    layer: Path | None = None
    for logical_id, location in template_step.code_folders(template).items():
        source = checkout / location
        if template["Resources"][logical_id]["Type"] == "AWS::Serverless::LayerVersion":
            layer = _layer(source, checkout, cache, log)
        else:
            folder = _function(source, logical_id, python, cache)
            own = template["Resources"][logical_id]["Properties"].get("Handler", handler)
            functions[source.name] = BuiltFunction(source.name, folder, own)
    if layer is None:
        raise RuntimeProblem("the template has no layer")
    return Built(python, layer, functions)


def _layer(source: Path, checkout: Path, cache: Path, log: Log) -> Path:
    """Return the layer, unpacked: a copy of its own, because the builder removes older builds that may be in use."""
    artifact = LayerBuilder(source=source, cache=checkout / ".local/layer", python=checkout / PYTHON).zip(log)
    unpacked = cache / artifact.name.removesuffix(".zip")
    if not unpacked.exists():
        scratch = Path(tempfile.mkdtemp(prefix="layer-", suffix=".part", dir=cache))
        with zipfile.ZipFile(checkout / ".local/layer" / artifact.name) as archive:
            archive.extractall(scratch)
        _publish(scratch, unpacked)
        older = sorted(cache.glob("layer-*[!t]"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in older[_KEPT_LAYERS:]:
            shutil.rmtree(path, ignore_errors=True)
    return unpacked


def _function(source: Path, logical_id: str, python: Path, cache: Path) -> Path:
    version = subprocess.run([python, "-VV"], check=True, capture_output=True).stdout
    built = cache / f"{source.name}-{digest(version, source)}"
    if not built.exists():
        scratch = Path(tempfile.mkdtemp(prefix=f"{source.name}-", suffix=".part", dir=cache))
        command = ["make", "--no-print-directory", "-C", str(source), f"build-{logical_id}"]
        command += [f"ARTIFACTS_DIR={scratch}", f"INTERPRETER={python}"]
        # Started from make itself, its flags and job server are not for this one.
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if run.returncode:
            shutil.rmtree(scratch, ignore_errors=True)
            raise RuntimeProblem(f"{logical_id} could not be built: {(run.stdout + run.stderr).strip()[-500:]}")
        for old in cache.glob(f"{source.name}-*[!t]"):
            shutil.rmtree(old, ignore_errors=True)
        _publish(scratch, built)
    return built


def _publish(scratch: Path, target: Path) -> None:
    """Give a finished build its name, unless another process was faster."""
    try:
        scratch.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(scratch, ignore_errors=True)
