"""What is deployed locally: the layer, built for ministack's interpreter, and the functions' code, as zip files.

The packages are installed once per set of pinned requirements and kept; the layer's own code is added to them whenever
it changed. The recipe is the layer's Makefile, the one that SAM uses, so the local layer differs from the deployed one
in interpreter and processor only.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import os
import shlex
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from devkit.localstack.server import LocalStackError

Log = Callable[[str], None]

# The oldest time that a zip file can hold: the same content gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def tree_files(root: Path) -> list[Path]:
    """Return the files below `root` in a fixed order, without bytecode that Python left there by itself."""
    return sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def digest(*parts: bytes | Path) -> str:
    """Return a short name for the content of byte strings, files and folders, in the order given."""
    whole = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            whole.update(part + b"\0")
            continue
        for file in tree_files(part) if part.is_dir() else [part]:
            whole.update(f"{file.relative_to(part.parent)}\0{file.stat().st_size}\0".encode())
            whole.update(file.read_bytes())
    return whole.hexdigest()[:16]


def write_zip(file: Path, *roots: Path) -> None:
    """Write a zip file of everything below the roots, each root's names starting at the zip's top, not compressed."""
    with zipfile.ZipFile(file, "w") as archive:
        for root in roots:
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                archive.writestr(zipfile.ZipInfo(str(path.relative_to(root)), _EPOCH), path.read_bytes())


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let one process in at a time, so that stacks which start side by side build the layer once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A zip file to upload: a name that changes with its content, and the content."""

    name: str
    content: bytes


class LayerBuilder:
    """Builds the local layer of `source` (the folder with its Makefile) into `cache`, for one interpreter."""

    def __init__(self, *, source: Path, cache: Path, python: Path) -> None:
        self._source, self._cache, self._python = source, cache, python

    def zip(self, log: Log) -> Artifact:
        """Return the layer, building what is not there yet.

        Raises LocalStackError with the last words of the build when it fails.
        """
        with _locked(self._cache / "lock"):
            packages = self._built("packages", digest(*self._recipe(), self._source / "requirements.txt"), log)
            source = self._built("source", digest(*self._recipe(), self._source / "loyalty_relay"), log)
            file = self._cache / f"layer-{digest(packages.name.encode(), source.name.encode())}.zip"
            if not file.exists():
                _forget(self._cache.glob("layer-*"))
                part = file.with_suffix(".part")
                write_zip(part, packages, source)
                part.rename(file)
            return Artifact(file.name, file.read_bytes())

    def _recipe(self) -> tuple[bytes | Path, ...]:
        version = subprocess.run([self._python, "-VV"], check=True, capture_output=True).stdout
        return (version, os.uname().machine.encode(), self._source / "Makefile", *sorted(self._source.glob("*.py")))

    def _built(self, target: str, name: str, log: Log) -> Path:
        built = self._cache / f"{target}-{name}"
        if built.exists():
            return built
        if target == "packages":
            log("building the layer for the local stack (about 15 s the first time)")
        scratch = Path(tempfile.mkdtemp(prefix=f"{target}-", suffix=".part", dir=self._cache))
        # Words of a shell's line in the Makefile: the checkout's path may have a blank.
        interpreter = shlex.quote(str(self._python))
        command = [
            *("make", "--no-print-directory", "-C", str(self._source), target),
            f"ARTIFACTS_DIR={scratch}",
            f"INTERPRETER={interpreter}",
            f"INSTALL={interpreter} -m pip --disable-pip-version-check install -qq --no-compile",
        ]
        # Started from make itself, its flags and job server are not for this one.
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if run.returncode:
            shutil.rmtree(scratch, ignore_errors=True)
            last = " | ".join((run.stdout + run.stderr).strip().splitlines()[-5:])
            raise LocalStackError(f"the layer's {target} could not be built: {last}")
        _forget(old for old in self._cache.glob(f"{target}-*") if old != scratch)
        scratch.rename(built)
        return built


def _forget(paths: Iterable[Path]) -> None:
    """Remove older states of the cache. Nothing refers to them: a running stack holds its own copy."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def function_zip(folder: Path) -> Artifact:
    """Return one function's own code, which is its app.py."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in tree_files(folder):
            if file.suffix == ".py":
                archive.writestr(zipfile.ZipInfo(str(file.relative_to(folder)), _EPOCH), file.read_bytes())
    content = buffer.getvalue()
    return Artifact(f"{digest(content)}.zip", content)
