"""What a build gives: the package that is uploaded, and what a terminal shows meanwhile.

Law: equal directories give equal packages, byte for byte. Names are sorted, times and permissions are constants.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .. import limits
from ..errors import PayloadTooLarge
from ..manifest import MODULE_FILE


class Step(NamedTuple):
    """Where a long build is. `total_bytes` is 0 when nobody knows; it is an estimate otherwise."""

    phase: str
    done_bytes: int = 0
    total_bytes: int = 0


# Called often, from the thread that builds; must return at once.
Progress = Callable[[Step], None]


def silent(_step: Step) -> None:
    """The Progress of those who show none."""


@dataclass(frozen=True, slots=True)
class Package:
    zip: bytes
    wasm: bytes  # b"" if an interpreter runs it
    build_s: float
    # What the compiler said although it succeeded; "" if nothing.
    warnings: str = ""


# The first moment that a zip can name.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE_FILE = 0o100644 << 16
_MADE_ON_UNIX = 3


def pack(wasm: bytes, files: Mapping[str, Path | bytes]) -> bytes:
    """The zip of a module (b"": none, an interpreter runs the files) and its files. Raises PayloadTooLarge if it could
    not be uploaded."""
    if len(files) >= limits.PACKAGE_FILES_MAX:
        most = limits.PACKAGE_FILES_MAX - 1
        raise PayloadTooLarge(
            f"the package has {len(files):,} files, and at most {most:,} can be deployed; bundle them"
        )
    total = len(wasm) + sum(map(_size, files.values()))
    if total > limits.PACKAGE_BYTES_MAX:
        most = limits.PACKAGE_BYTES_MAX
        raise PayloadTooLarge(
            f"the package has {total:,} bytes, and at most {most:,} can be deployed; leave `files` out"
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        if wasm:
            _add(archive, MODULE_FILE, wasm)
        for name in sorted(files):
            file = files[name]
            _add(archive, name, file if isinstance(file, bytes) else file.read_bytes())
    packed = buffer.getvalue()
    if len(packed) > limits.PACKAGE_ZIP_BYTES_MAX:
        most = limits.PACKAGE_ZIP_BYTES_MAX
        raise PayloadTooLarge(
            f"the zip has {len(packed):,} bytes, and at most {most:,} can be uploaded; leave `files` out"
        )
    return packed


def _size(file: Path | bytes) -> int:
    return len(file) if isinstance(file, bytes) else file.stat().st_size


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = _READABLE_FILE
    entry.create_system = _MADE_ON_UNIX
    archive.writestr(entry, data)
