"""Python: the package is the source, and what requirements.txt names beside it, installed by pip.

    <cache>/requirements/<digest>/      one set of requirements, installed whole or not there
    <cache>/requirements/.lock          held while one process installs

Laws:
- Only wheels that hold no native code are taken: the interpreter cannot load any. pip chooses them as if it ran in the
  guest (its version, its platform), whatever Python isolet runs on; it runs nobody's setup.py.
- Equal requirements give equal files, on one machine: an open requirement ("jmespath") stays what was newest when it
  was first installed. Pin versions, and the same holds on every machine.
- A file of the function's own wins over one of a requirement, as one that comes first on the path does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .. import limits
from ..errors import CompileFailed
from ..manifest import Manifest, source_files
from . import toolchain
from .package import Progress, Step

REQUIREMENTS = "requirements.txt"
# The guest's Python: sdk/python builds it.
VERSION = "3.11"
# Cached installations are of this form; a new one is another digest.
_FORM = b"1"
# What a wheel for any machine may be tagged as. pip takes the newest version that has such a wheel.
_PURE = ("--platform", "any", "--python-version", VERSION, "--implementation", "py", "--abi", "none")
# pip evaluates `; python_version < "3.12"` for the Python that it runs on, and has no option against that.
_MARKERS = {
    "python_version": VERSION,
    "python_full_version": f"{VERSION}.2",
    "implementation_version": f"{VERSION}.2",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "sys_platform": "wasi",
    "platform_machine": "wasm32",
    "platform_system": "",
    "platform_release": "",
    "platform_version": "",
    "os_name": "posix",
}
_PIP = f"""
import runpy
from pip._vendor.packaging import markers
known = markers.default_environment()
markers.default_environment = lambda: {{**known, **{_MARKERS!r}}}
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
_NATIVE = (".so", ".pyd", ".dylib", ".dll")
# Of a wheel's metadata, what a running program asks for: its version and its entry points.
_METADATA = ("METADATA", "entry_points.txt")
_NOT_FOUND = re.compile(r"No matching distribution found for (\S+)")
# A line that names a file or directory, or another list, which the digest must know.
_LOCAL = re.compile(r"^\s*(?:-e\b|--editable\b|\.{0,2}/|file:|\S+\.whl\b|[\w.-]+\s*@\s*file:)")
_NESTED = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)")


def package(directory: Path, manifest: Manifest, progress: Progress) -> tuple[dict[str, bytes | Path], str]:
    """The files of the package by name, and warnings. Raises CompileFailed, ToolchainMissing."""
    progress(Step("collect files"))
    files: dict[str, bytes | Path] = {}
    top = directory / manifest.sources[0]
    if (top / REQUIREMENTS).is_file():
        files.update(_required(top, manifest.exclude, progress))
    own = source_files(directory, manifest)
    native = [name for name in own if name.lower().endswith(_NATIVE)]
    files.update({name: path for name, path in own.items() if name not in native and not name.endswith(".pyc")})
    _check_count(files, own)
    return dict(sorted(files.items())), _native_warning(native)


def _check_count(files: dict[str, bytes | Path], own: dict[str, Path]) -> None:
    most = limits.PACKAGE_FILES_MAX - 1
    if len(files) <= most:
        return
    raise CompileFailed(
        f"the package has {len(files):,} files, {len(files) - len(own):,} of them from {REQUIREMENTS}, and at most "
        f"{most:,} can be deployed; `exclude` some under [build], or require smaller packages",
        "",
    )


def _native_warning(native: list[str]) -> str:
    if not native:
        return ""
    more = f" and {len(native) - 1} more" if len(native) > 1 else ""
    return (
        f"{native[0]}{more} left out: native code, which does not run in a guest; what imports it needs a version in "
        "Python alone"
    )


# ── requirements ────────────────────────────────────────────────────────────────────────────────────────────────


def _required(top: Path, exclude: tuple[str, ...], progress: Progress) -> dict[str, bytes | Path]:
    """What the requirements of `top` are made of, by name in the package, without what `exclude` matches."""
    lines = list(_lines(top / REQUIREMENTS))
    if not any(_meant(line) for line in lines):
        return {}
    site = _installed(top, lines, progress)
    excluded = {path for pattern in exclude for path in site.glob(pattern)}
    return {
        path.relative_to(site).as_posix(): path
        for path in site.rglob("*")
        if path.is_file() and not excluded.intersection((path, *path.parents))
    }


def _lines(path: Path) -> Iterator[str]:
    """The lines of a list and of those that it names."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CompileFailed(f"{path.name} cannot be read: {error}; correct the name, or save it as UTF-8", "") from None
    for line in text.splitlines():
        yield line
        if nested := _NESTED.match(line):
            yield from _lines(path.parent / nested[1])


def _meant(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _installed(top: Path, lines: list[str], progress: Progress) -> Path:
    """The directory that holds them, installed if it is not there."""
    home = toolchain.cache_directory() / "requirements"
    home.mkdir(exist_ok=True)
    digest = hashlib.sha256(b"\0".join([_FORM, VERSION.encode(), *(line.strip().encode() for line in lines)]))
    target = home / digest.hexdigest()
    local = any(_LOCAL.match(line) for line in lines)
    if target.is_dir() and not local:
        return target
    with toolchain.locked(home / ".lock", lambda: progress(Step("wait for another process that installs packages"))):
        if target.is_dir() and not local:
            return target
        for left in home.glob(".partial-*"):  # of a process that was killed: we hold the lock
            shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home))
        try:
            _pip(top, partial, progress)
            _check_pure(partial / "site")
            _tidy(partial / "site")
            shutil.rmtree(target, ignore_errors=True)
            os.replace(partial / "site", target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def _pip(top: Path, partial: Path, progress: Progress) -> None:
    python, *_ = toolchain.pip_command()
    options = [*toolchain.PIP_OPTIONS, "--target", str(partial / "site"), "--requirement", REQUIREMENTS]
    # Relative paths in a list are relative to where pip runs.
    complaint = toolchain.install(
        [python, "-c", _PIP, "install", *options, *_PURE],
        top,
        partial,
        lambda size: progress(Step(f"install {REQUIREMENTS}", size)),
    )
    if complaint:
        raise CompileFailed(_refusal(complaint, python, top, partial), complaint)
    (partial / "site").mkdir(exist_ok=True)  # every line may have been for other platforms


def _refusal(complaint: str, python: str, top: Path, partial: Path) -> str:
    """The reason and the cure, of all that pip said."""
    errors = [line.removeprefix("ERROR: ") for line in complaint.splitlines() if line.startswith("ERROR")]
    missing = _NOT_FOUND.search(complaint)
    if missing is None and "ResolutionImpossible" not in complaint:
        return (
            f"{REQUIREMENTS}: {(errors or complaint.splitlines()[-1:])[0]}; correct it, or connect to a package index"
        )
    if native := _native(python, top, partial):
        return (
            f"{REQUIREMENTS}: {', '.join(native)} would come with native code, which does not run in a guest; require "
            "an older version or another package, all in Python. If it works without its native code, put it into the "
            "function's directory: pip install --target . " + " ".join(name.partition(" ")[0] for name in native)
        )
    if missing is None:
        return f"{REQUIREMENTS}: {errors[0]}; require versions that go together"
    wheel = missing[1]
    return (
        f"{REQUIREMENTS}: no package index here has a wheel of {wheel}; connect to one, correct the name or version, "
        f"or, if it comes as source only, build a wheel (`pip wheel --no-deps {wheel}`) and name that file"
    )


def _native(python: str, top: Path, partial: Path) -> list[str]:
    """What of the requirements this machine's own Python would get with native code; nothing if it finds no set."""
    report = partial / "report.json"
    shutil.rmtree(partial / "tmp")
    options = [*toolchain.PIP_OPTIONS, "--dry-run", "--ignore-installed", "--report", str(report)]
    command = [python, "-m", "pip", "install", *options, "--requirement", REQUIREMENTS]
    if toolchain.install(command, top, partial, lambda size: None):
        return []
    found = json.loads(report.read_bytes())["install"]
    return sorted(
        f"{wheel['metadata']['name']} {wheel['metadata']['version']}"
        for wheel in found
        if not wheel["download_info"]["url"].partition("#")[0].endswith("-any.whl")
    )


def _check_pure(site: Path) -> None:
    """A wheel for any machine may hold native code all the same."""
    native = next((path for path in sorted(site.rglob("*")) if path.suffix.lower() in _NATIVE), None)
    if native is None:
        return
    name = native.relative_to(site).as_posix()
    raise CompileFailed(
        f"{REQUIREMENTS}: {_distribution(site, name)} brings native code, {name}, which does not run in a guest; "
        "require an older version or another package that is written in Python alone",
        "",
    )


def _distribution(site: Path, name: str) -> str:
    """Whose file it is; its top directory's name if nobody says so."""
    for record in site.glob("*.dist-info/RECORD"):
        if f"\n{name}," in "\n" + record.read_text(encoding="utf-8", errors="replace"):
            return record.parent.name.partition("-")[0]
    return name.partition("/")[0]


def _tidy(site: Path) -> None:
    """Leaves what a program imports and reads: no scripts, caches, types, nor lists of what was installed."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for path in sorted(site.rglob("*"), reverse=True):
        relative = path.relative_to(site)
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif relative.parts[0].endswith(".dist-info") and str(PurePosixPath(*relative.parts[1:])) not in _METADATA:
            path.unlink()
        elif path.name == "METADATA":
            path.write_bytes(_head(path.read_bytes()))
        elif path.suffix in (".pyc", ".pyi") or path.name == "py.typed":
            path.unlink()


def _head(metadata: bytes) -> bytes:
    """The fields of a METADATA file, without the long description behind them."""
    return re.split(rb"\r?\n\r?\n", metadata, maxsplit=1)[0] + b"\n"
