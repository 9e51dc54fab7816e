"""Files that have all of their content or are not there, whatever kills the writer, and are on the disk when we say so.

Temporary file, fsync, rename, fsync of the directory. What a killed writer leaves has another name (`PARTIAL` at its
end); who owns a directory removes those that are old.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ..errors import StorageUnavailable

PARTIAL = ".partial"


def write_whole(path: Path, content: bytes) -> None:
    """`content` as the whole of `path`, mode 0600. Raises OSError, and leaves nothing then."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}{PARTIAL}")
    try:
        create(partial, content)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def create(path: Path, content: bytes) -> None:
    """A new file of mode 0600 with `content`, synced. Raises OSError, FileExistsError among them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def make_data_directory(path: Path) -> None:
    """The directory is there, for its owner only if it is new. Raises StorageUnavailable."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as reason:
        raise StorageUnavailable(
            f"the data directory {path} cannot be used ({reason.strerror}); choose another with --data"
        ) from None


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
