"""Sizes of what is deployed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

MB = 1024 * 1024
LAMBDA_LIMIT_MB = 250
"""Lambda's own limit for a function and its layers, unzipped (AWS docs: Lambda quotas)."""


def unzipped_megabytes(folder: Path) -> float:
    """Return the megabytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB


def zipped_megabytes(folder: Path) -> float:
    """Return the same as a compressed zip file, as it travels to AWS."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.tell() / MB


def parts(layer: Path, most: int = 6) -> list[tuple[str, float]]:
    """Return the largest packages of a layer, in MB."""
    found = [(path.name, unzipped_megabytes(path)) for path in (layer / "python").iterdir() if path.is_dir()]
    return sorted(found, key=lambda part: -part[1])[:most]
