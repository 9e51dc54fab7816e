"""Which known advisories of wasmtime reach this server: the release that is really loaded, and what of it is in use.

Laws:
- The release is read from the library itself. A wheel's number is its packaging's: wasmtime 50.0.1 from PyPI carries
  the library of 50.0.0. Where the library does not tell, the first release of its line is assumed.
- What is said to be off was tried: a module that needs it is refused by the engine that serves.
- An advisory reaches us if its release is ours and all that it needs is in use. `advisories.toml` has what is known,
  and as of when.
"""

from __future__ import annotations

import datetime
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wasmtime import _ffi as ffi

from ..errors import ModuleInvalid
from .engine import Engine, EngineSettings, wat
from .fingerprint import WASMTIME_VERSION

Version = tuple[int, int, int]

_DATA: Final = Path(__file__).with_name("advisories.toml")
# How the library spells its release in the text of an error of its own.
_SPELT: Final = re.compile(rb"version: (\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Advisory:
    """One entry. `fixed` has the first release without the defect of each line that was mended."""

    id: str
    date: datetime.date
    summary: str
    fixed: tuple[Version, ...]
    needs: tuple[str, ...]

    def concerns(self, release: Version) -> bool:
        """Whether `release` has the defect. A line that was never mended has it, unless it is newer than all others."""
        line = [fix for fix in self.fixed if fix[0] == release[0]]
        return release < line[0] if line else release < max(self.fixed)


@dataclass(frozen=True, slots=True)
class Exposure:
    """An advisory of the loaded release, and what keeps it away: () if nothing does."""

    advisory: Advisory
    absent: tuple[str, ...]

    @property
    def reached(self) -> bool:
        return not self.absent


def read(path: Path = _DATA) -> tuple[datetime.date, list[Advisory]]:
    """(as of when the list is, its entries, the newest first)."""
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    entries = [_advisory(entry) for entry in said["advisory"]]
    return said["as_of"], sorted(entries, key=lambda entry: (entry.date, entry.id), reverse=True)


def _advisory(entry: Mapping[str, Any]) -> Advisory:
    unknown = set(entry["needs"]) - NEEDS.keys()
    assert not unknown, f"{entry['id']} needs {unknown}, of which nobody knows whether it is in use"
    fixed = tuple(parse(version) for version in entry["fixed"])
    return Advisory(entry["id"], entry["date"], entry["summary"], fixed, tuple(entry["needs"]))


def parse(version: str) -> Version:
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def loaded() -> tuple[Version, bool]:
    """(the release of the library in this process, whether the library said so itself)."""
    major = int(WASMTIME_VERSION.partition(".")[0])
    try:
        library = Path(ffi.dll._name).read_bytes()
    except OSError:
        library = b""
    spelt = {tuple(map(int, found.groups())) for found in _SPELT.finditer(library)}
    ours = [version for version in spelt if version[0] == major]
    if len(ours) == 1:
        return ours[0], True  # type: ignore[return-value]
    return (major, 0, 0), False


def exposures(release: Version, advisories: list[Advisory]) -> Iterator[Exposure]:
    """What is known against `release`, and of each what is not in use."""
    in_use = {need: run() for need, (_, run) in NEEDS.items()}
    for advisory in advisories:
        if advisory.concerns(release):
            yield Exposure(advisory, tuple(need for need in advisory.needs if not in_use[need]))


# ── what an advisory may need ───────────────────────────────────────────────────────────────────────────────────


def _accepts(wasm: bytes) -> bool:
    engine = Engine(EngineSettings(pooling=False))
    try:
        engine.compile(wasm)
    except ModuleInvalid:
        return False
    finally:
        engine.close()
    return True


def _exports(symbol: str) -> bool:
    return hasattr(ffi.dll, symbol)


# By name: (what keeps it away where it is not in use, whether it is).
NEEDS: Final[dict[str, tuple[str, Callable[[], bool]]]] = {
    "gc": (
        "the engine refuses types of the GC proposal",
        lambda: _accepts(wat("(module (type (struct (field i32))))")),
    ),
    "component-model": (
        "the engine refuses components",
        lambda: _accepts(b"\0asm\x0d\0\1\0"),
    ),
    "wasmtime-wasi": ("WASI is isolet's own (hostcalls/wasi.py), wasmtime's is never linked", lambda: False),
    "caller-module-export": ("no host function looks exports up by module", lambda: False),
    "built-without-gc": (
        "the library was built with it",
        lambda: not _exports("wasmtime_config_wasm_gc_set"),
    ),
    "built-without-threads": (
        "the library was built with it",
        lambda: not _exports("wasmtime_sharedmemory_new"),
    ),
    "windows": ("this is not Windows", lambda: sys.platform == "win32"),
}
