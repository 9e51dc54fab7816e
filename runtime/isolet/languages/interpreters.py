"""The interpreters that run source: what a Lambda runtime's name means here, and where its module and library are.

    sdk/<name>/<name>.wasm.xz     the interpreter, a guest of sdk/abi.md (section 10)
    sdk/<name>/library.xz         its library: a msgpack map from file name to bytes, or not there

Both are built by recipes/ (`isolet languages build NAME`) and come with the package, so that nothing has to be compiled
from C where functions run.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgpack

from ..errors import ToolchainMissing
from ..manifest import LANGUAGES

# Raised when what snapshot/boot.py makes of an interpreter changes its form, or what one may learn of its host while it
# boots.
_FORMAT = b"isolet interpreter 4\0"
_SDK = Path(__file__).parent / "sdk"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A language that is run from source. `prefix` is what its Lambda runtimes begin with."""

    name: str
    prefix: str

    @property
    def runtime(self) -> str:
        """The runtime that a function has which names none."""
        return LANGUAGES[self.name].runtime

    @property
    def handler(self) -> str:
        return LANGUAGES[self.name].handler

    @property
    def module_path(self) -> Path:
        return _SDK / self.name / f"{self.name}.wasm.xz"

    @property
    def library_path(self) -> Path:
        return _SDK / self.name / "library.xz"

    @property
    def digest(self) -> str:
        """SHA-256 of module and library as they are stored. Raises ToolchainMissing if they are not there."""
        return _digest(self)

    @property
    def key(self) -> bytes:
        """What its parts are bound to among artifacts. Raises ToolchainMissing."""
        return _FORMAT + self.digest.encode()

    def read_module(self) -> bytes:
        """The module's bytes; some 50 ms. Raises ToolchainMissing."""
        return lzma.decompress(_read(self.module_path, self))

    def read_library(self) -> Mapping[str, bytes]:
        """The library's files by name; some 0.3 s for Python. Raises ToolchainMissing."""
        if not self.library_path.is_file():
            return {}
        files: dict[str, bytes] = msgpack.unpackb(lzma.decompress(_read(self.library_path, self)))
        return files


INTERPRETERS = (
    Interpreter("python", "python3."),
    Interpreter("javascript", "nodejs"),
)
_BY_NAME = {interpreter.name: interpreter for interpreter in INTERPRETERS}


def of_runtime(runtime: str) -> Interpreter | None:
    """The interpreter that a Lambda runtime's name asks for; None for `provided.al2023` and others that run modules."""
    return next((i for i in INTERPRETERS if runtime.startswith(i.prefix)), None)


def named(name: str) -> Interpreter | None:
    return _BY_NAME.get(name)


def _read(path: Path, interpreter: Interpreter) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolchainMissing(
            f"{path.name} cannot be read: {error.strerror}; `isolet languages build {interpreter.name}` makes it"
        ) from None


@cache
def _digest(interpreter: Interpreter) -> str:
    hashed = hashlib.sha256(_read(interpreter.module_path, interpreter))
    if interpreter.library_path.is_file():
        hashed.update(interpreter.library_path.read_bytes())
    return hashed.hexdigest()
