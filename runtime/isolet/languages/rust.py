"""Rust, by a rustc of the machine's that has the target: rustup's, or the distribution's. PyPI carries none.

A function is one source file, compiled by rustc itself, with the SDK as a crate beside it; or, where there is a
Cargo.toml, what cargo makes of it. Cargo is the one beside that rustc, for the two are made for each other; without it,
a package that depends on nothing but the SDK is compiled by rustc all the same.

Nothing is fetched: crates that the function needs beside the SDK are in cargo's own cache (`cargo fetch`) or vendored.
Cargo keeps its Cargo.lock in the directory, as everywhere; its target directory is in our cache.

    <cache>/rust/<digest>/libisolet.rlib      the SDK, of this rustc, target and source
    <cache>/rust/cargo/<digest>/              the target directory of the package in one directory, while that is there
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CompileFailed, ToolchainMissing
from ..manifest import Manifest
from . import toolchain
from .package import Progress, Step

SDK = Path(__file__).parent / "sdk" / "rust"
CRATE = "isolet"
CARGO_FILE = "Cargo.toml"
# Nothing newer is used by the SDK. Precedent: Debian 12's.
OLDEST = (1, 63)
TARGET = "wasm32-unknown-unknown"
# Until 1.78 the target of WASI had another name.
_FORMER_NAMES = {"wasm32-wasip1": "wasm32-wasi"}
# What rustup and cargo need to know where they are.
_PASSED = ("RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_HOME")
CURE = (
    "get one: `rustup target add {target}`, or on Debian and Ubuntu "
    "`apt-get install rustc cargo libstd-rust-dev-wasm32 lld`"
)


@dataclass(frozen=True, slots=True)
class Rust:
    rustc: Path
    version: str
    target: str
    # The one beside rustc, if there is one.
    cargo: Path | None
    # rustc's version in full: two compilers of one number may differ.
    verbose: str


def find(target: str = TARGET, directory: Path | None = None) -> Rust:
    """The first rustc that can compile for `target`, asked in `directory`, which may choose a toolchain of its own.

    Raises ToolchainMissing, which says what was found instead and how to get one.
    """
    seen: list[str] = []
    for rustc in _candidates():
        verbose = _said(rustc, directory, "-vV")
        sysroot = _said(rustc, directory, "--print", "sysroot")
        version = _version(verbose)
        if not version or not sysroot:
            seen.append(f"{rustc} does not run")
            continue
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            seen.append(f"{rustc} {version} is older than {OLDEST[0]}.{OLDEST[1]}")
            continue
        for name in (target, _FORMER_NAMES.get(target, target)):
            if any(Path(sysroot, "lib", "rustlib", name, "lib").glob("libstd-*.rlib")):
                cargo = rustc.parent / "cargo"
                return Rust(rustc, version, name, cargo if os.access(cargo, os.X_OK) else None, verbose)
        seen.append(f"{rustc} {version} has no {target}")
    found = "; ".join(seen) or "there is no rustc on PATH"
    raise ToolchainMissing(f"no Rust compiler for {target}: {found}; {CURE.format(target=target)}")


def _candidates() -> Iterable[Path]:
    names = [*os.get_exec_path(), str(Path.home() / ".cargo" / "bin"), "/usr/bin"]
    directories = dict.fromkeys(Path(name).resolve() for name in names if name)  # /bin is often /usr/bin
    # Its own name is kept: rustup's tells by it which program it is meant to be.
    return [directory / "rustc" for directory in directories if os.access(directory / "rustc", os.X_OK)]


def _said(rustc: Path, directory: Path | None, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [rustc, *arguments], cwd=directory, capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(verbose: str) -> str:
    found = re.search(r"^release: (\d+\.\d+\.\d+)", verbose, re.MULTILINE)
    return found[1] if found else ""


def compile(directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    """The module, and the compiler's warnings. Raises CompileFailed, ToolchainMissing."""
    rust = find(manifest.target or TARGET, directory)
    if (directory / CARGO_FILE).is_file():
        package = _package(directory)
        if rust.cargo is not None:
            return _by_cargo(rust, rust.cargo, directory, manifest, package, progress)
        others = sorted(set(package.get("dependencies", ())) - {CRATE})
        if others:
            raise ToolchainMissing(
                f"{CARGO_FILE} depends on {', '.join(others)}, and there is no cargo beside {rust.rustc}; "
                "on Debian and Ubuntu: `apt-get install cargo`"
            )
    return _by_rustc(rust, directory, manifest, progress)


# ── rustc alone ─────────────────────────────────────────────────────────────────────────────────────────────────


def _by_rustc(rust: Rust, directory: Path, manifest: Manifest, progress: Progress) -> tuple[bytes, str]:
    library = _sdk(rust, progress)
    progress(Step("compile Rust"))
    with tempfile.TemporaryDirectory(prefix="isolet-rust-") as scratch:
        module = Path(scratch) / "function.wasm"
        warnings = _run(
            [
                *(rust.rustc, "--target", rust.target, "--edition", "2021"),
                *("--crate-name", "function", "--crate-type", "cdylib"),
                *_optimised(),
                *_linked(manifest),
                *("--extern", f"{CRATE}={library}", f"--remap-path-prefix={SDK.resolve()}={CRATE}"),
                *manifest.flags,
                *(manifest.sources[0], "-o", module),
            ],
            directory,
            {},
        )
        return module.read_bytes(), warnings


def _optimised() -> tuple[str, ...]:
    return ("-Copt-level=3", "-Cpanic=abort", "-Clto=fat", "-Ccodegen-units=1", "-Cstrip=symbols")


def _linked(manifest: Manifest) -> tuple[str, ...]:
    """rustc puts the stack below the data: overflowing it is a trap, never a corruption."""
    return ("-C", f"link-arg=-zstack-size={manifest.stack_kb * 1024}")


def _sdk(rust: Rust, progress: Progress) -> Path:
    """The SDK's crate, compiled once for each compiler."""
    sources = sorted((SDK / "src").glob("*.rs"))
    digest = hashlib.sha256(f"{rust.rustc}\n{rust.verbose}\n{rust.target}\n".encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    home = toolchain.cache_directory() / "rust" / digest.hexdigest()[:32]
    library = home / f"lib{CRATE}.rlib"
    if library.is_file():
        return library
    progress(Step("compile Rust's SDK, once"))
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=home) as scratch:
        made = Path(scratch) / library.name
        _run(
            [
                *(rust.rustc, "--target", rust.target, "--edition", "2021"),
                *("--crate-name", CRATE, "--crate-type", "rlib", "-Copt-level=3", "-Cpanic=abort"),
                *(f"--remap-path-prefix={SDK.resolve()}={CRATE}", SDK.resolve() / "src" / "lib.rs", "-o", made),
            ],
            SDK,
            {},
        )
        made.replace(library)  # whole, or not there: another process may make the same
    return library


# ── cargo ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _package(directory: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((directory / CARGO_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CompileFailed(f"{CARGO_FILE}: {error}; correct it", "") from None


def _by_cargo(
    rust: Rust, cargo: Path, directory: Path, manifest: Manifest, package: dict[str, Any], progress: Progress
) -> tuple[bytes, str]:
    _check_package(directory, package)
    progress(Step("compile Rust"))
    target_directory = _target_directory(directory)
    variables = {
        "RUSTC": str(rust.rustc),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join((*_linked(manifest), *manifest.flags)),
        "CARGO_TERM_COLOR": "never",
    }
    if "release" not in package.get("profile", {}):  # what it says itself is the user's choice
        settings = {"OPT_LEVEL": "3", "LTO": "fat", "CODEGEN_UNITS": "1", "STRIP": "symbols", "PANIC": "abort"}
        variables |= {f"CARGO_PROFILE_RELEASE_{name}": value for name, value in settings.items()}
    warnings = _run(
        [
            *(cargo, "build", "--release", "--lib", "--offline", "--quiet"),
            *("--target", rust.target, "--target-dir", target_directory),
        ],
        directory,
        variables,
    )
    name = package.get("lib", {}).get("name") or str(package["package"]["name"]).replace("-", "_")
    module = target_directory / rust.target / "release" / f"{name}.wasm"
    return module.read_bytes(), warnings


def _target_directory(directory: Path) -> Path:
    """The one of this directory, which it names; those of directories that are gone are removed."""
    home = toolchain.cache_directory() / "rust" / "cargo"
    for note in home.glob("*/directory"):
        if not Path(note.read_text(encoding="utf-8")).is_dir():
            shutil.rmtree(note.parent, ignore_errors=True)
    source = str(directory.resolve())
    kept = home / hashlib.sha256(source.encode()).hexdigest()[:32]
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "directory").write_text(source, encoding="utf-8")
    return kept


def _check_package(directory: Path, package: dict[str, Any]) -> None:
    if "cdylib" not in package.get("lib", {}).get("crate-type", ()):
        raise CompileFailed(f'{CARGO_FILE}: it makes no module; write `crate-type = ["cdylib"]` below [lib]', "")
    if not isinstance(package.get("package", {}).get("name"), str):
        raise CompileFailed(f"{CARGO_FILE}: package.name is missing; name the package", "")
    wanted = package.get("dependencies", {}).get(CRATE, {})
    path = wanted.get("path") if isinstance(wanted, dict) else None
    if path is not None and not (directory / path / CARGO_FILE).is_file():
        raise CompileFailed(
            f'{CARGO_FILE}: there is no SDK in {path}; write `{CRATE} = {{ path = "{SDK.resolve()}" }}`, or copy it', ""
        )


# ── running them ────────────────────────────────────────────────────────────────────────────────────────────────


def _run(command: list[str | Path], directory: Path, variables: Mapping[str, str]) -> str:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    try:
        return toolchain.run(command, directory, {**passed, **variables})
    except CompileFailed as failed:
        message = _first_error(failed.output)
        if not message:
            raise
        raise CompileFailed(message, failed.output) from None


def _first_error(output: str) -> str:
    """`counter.rs:3:5: error[E0425]: cannot find …`: rustc gives the place a line of its own, below."""
    found = re.search(r"^(error(?:\[E\d+\])?: .*)\n(?:\s*--> (\S+))?", output, re.MULTILINE)
    if found is None:
        return ""
    return f"{found[2]}: {found[1]}" if found[2] else found[1]
