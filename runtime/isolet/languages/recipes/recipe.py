"""A recipe: how an interpreter is made from published source and our own files, the same bytes wherever it runs.

    <cache>/interpreters/<name>-<digest>/     what a recipe made, whole or not there

Laws:
- A recipe's digest covers everything that its products depend on: the archives' digests, our files, the recipe's own
  code and zig's version. Equal digests, equal products; so what was built once is not built again.
- Products appear by one rename. A build that was killed leaves a directory that the next one removes.
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import toolchain
from ..package import Progress, Step
from .sources import Source, gather

# What --check says of a product: in which way it is not the one that is kept.
Difference = str


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a recipe works."""

    directory: Path  # empty; gone afterwards
    sources: Mapping[str, Path]  # the archives, by file name
    files: Mapping[str, bytes]  # our own files, by name
    zig: Path
    progress: Progress


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str  # the interpreter's
    version: str  # the language's, as its own people count
    sources: tuple[Source, ...]
    files: Callable[[], Mapping[str, bytes]]  # our own files that go into it, the recipe's code among them
    build: Callable[[Workshop], Mapping[str, bytes]]  # the products, by file name

    def digest(self) -> str:
        hashed = hashlib.sha256(f"{self.name} {toolchain.ZIG.version}\n".encode())
        for source in self.sources:
            hashed.update(f"{source.file} {source.sha256}\n".encode())
        for name, content in sorted(self.files().items()):
            hashed.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
        return hashed.hexdigest()


def kept(recipe: Recipe) -> Path:
    """Where its products are if it was built on this machine."""
    return toolchain.cache_directory() / "interpreters" / f"{recipe.name}-{recipe.digest()[:16]}"


def make(recipe: Recipe, given: Mapping[str, Path], progress: Progress) -> dict[str, bytes]:
    """The products by file name; built if they are not in the cache. Raises ToolchainMissing, CompileFailed."""
    place = kept(recipe)
    place.parent.mkdir(exist_ok=True)
    with _alone(place.parent / ".lock", lambda: progress(Step("wait for another process that builds an interpreter"))):
        if not place.is_dir():
            _build(recipe, place, given, progress)
        return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def _build(recipe: Recipe, place: Path, given: Mapping[str, Path], progress: Progress) -> None:
    for left in place.parent.glob(".partial-*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    zig = toolchain.ensure(toolchain.ZIG, progress)
    sources = gather(recipe.sources, given, progress)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=place.parent))
    try:
        (partial / "work").mkdir()
        products = recipe.build(Workshop(partial / "work", sources, recipe.files(), zig, progress))
        (partial / "products").mkdir()
        for name, content in products.items():
            (partial / "products" / name).write_bytes(content)
        os.replace(partial / "products", place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _alone(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def differences(products: Mapping[str, bytes], directory: Path) -> list[Difference]:
    """In which products the files in `directory` are not these; empty if they are the same.

    What is compressed is compared as what it contains: another release of liblzma may compress otherwise.
    """
    found = []
    for name, content in sorted(products.items()):
        path = directory / name
        if not path.is_file():
            found.append(f"{name} is not there")
            continue
        here, there = _content(name, content), _content(name, path.read_bytes())
        if here != there:
            found.append(f"{name} holds {len(there):,} bytes, and the recipe makes {len(here):,} that are others")
    return found


def _content(name: str, stored: bytes) -> bytes:
    if not name.endswith(".xz"):
        return stored
    try:
        return lzma.decompress(stored)
    except lzma.LZMAError:
        return stored
