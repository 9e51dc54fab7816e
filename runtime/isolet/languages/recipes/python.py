"""CPython as a guest: published source, small edits, `zig cc`, and our shim and library (sdk/python).

    CPython 3.11 ─ Debian's security patches, EDITS ─ configure for WASI ─→ libpython3.11.a ┐
    zlib, SQLite ──────────────────────────────────────────────────────────────────────────┼─→ python.wasm
    sdk/python/shim/*.c ───────────────────────────────────────────────────────────────────┘
    Lib/*.py, tzdata, sdk/python/lib/*.py ─ make_library.py, by a Python built from the same source ──→ library

Everything is built twice over from one source: a Python for this machine, which freezes modules and marshals the
library, and the guest. So the products depend on no Python of this machine's, and are the same everywhere.

Laws:
- No path of this machine, no time and no order of a directory gets into the products.
- Each edit of the source must find its text exactly once: another version of the source does not build silently wrong.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import CompileFailed, ToolchainMissing
from ..package import Step
from .recipe import Recipe, Workshop
from .sources import Source, debian, npm, wheel

SDK = Path(__file__).parent.parent / "sdk" / "python"
VERSION = "3.11.2"
# The moment of the release: what __DATE__ and the like would be.
_EPOCH = "1675728000"
_RELEASED = "Feb 07 2023"

_CPYTHON = Source(
    f"python3.11_{VERSION}.orig.tar.gz",
    "2411c74bda5bbcfcddaf4531f66d1adc73f247f529aee981b029513aefdbf849",
    debian("python3.11", "3.11.2-6+deb12u8"),
)
_PATCHES = Source(
    "python3.11_3.11.2-6+deb12u8.debian.tar.xz",
    "ece2d63c70ac0b7a401fbe6b51b0103be997c294a01a3865549be1862794ba97",
    debian("python3.11", "3.11.2-6+deb12u8"),
)
_ZLIB = Source(
    "zlib_1.2.13.dfsg.orig.tar.bz2",
    "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1",
    debian("zlib", "1:1.2.13.dfsg-1"),
)
# better-sqlite3 carries SQLite's amalgamation, which Debian's source package makes with Tcl.
_SQLITE = Source(
    "better-sqlite3-12.4.1.tgz",
    "14398acbf00d1e8fe0a2753df7d4f15c13138e4b874f4e6e96791f65b4536d0d",
    npm("better-sqlite3", "12.4.1"),
)

# The time zones, which a container has as files. `zoneinfo` looks for this package where there are none.
_ZONES = Source(
    "tzdata-2025.2-py2.py3-none-any.whl",
    "1a403fada01ff9221ca8044d701868fa132215d84beb92242d9acd2147f667a8",
    wheel("tzdata", "2025.2"),
)

# Which of Debian's patches: security, and crashes. Its others are about where Debian puts files.
_WANTED_PATCH = re.compile(r"(CVE-|000[1-5]-|relfile-nullptr|shutdown-deadlock|frame_dealloc-crash)")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change in CPython's source: `old` is there exactly once."""

    file: str
    old: str
    new: str


_NO_THREADS = "can't start new thread: an isolate has one; asyncio runs tasks in turns"

EDITS = (
    # WASI's libc has no pthread_exit.
    Edit("Python/thread_pthread.h", "    pthread_exit(0);\n", "    __builtin_trap();\n"),
    # The compiler refuses __DATE__, which is another one every day.
    Edit("Modules/getbuildinfo.c", "#define DATE __DATE__\n", f'#define DATE "{_RELEASED}"\n'),
    Edit("Modules/getbuildinfo.c", "#define TIME __TIME__\n", '#define TIME "00:00:00"\n'),
    # OpenSSL has them elsewhere; here the shim.
    Edit("Lib/hashlib.py", "from _hashlib import pbkdf2_hmac\n", "from _isolet_derive import pbkdf2_hmac\n"),
    Edit("Lib/hashlib.py", "from _hashlib import scrypt\n", "from _isolet_derive import scrypt\n"),
    # Nobody can start one: the message is what a person needs.
    Edit("Modules/_threadmodule.c", '"can\'t start new thread"', f'"{_NO_THREADS}"'),
)

# Optimised for speed: the interpreter is compiled once a machine, and what runs in it is an interpreter's loop.
_OPTIMISED = ("-O2", "-g0", "-DNDEBUG", "-fwrapv", "-fno-sanitize=all")
# Constants of <time.h> are addresses in WASI, and CPython stores them as numbers.
_LENIENT = "-Wno-error=int-conversion"
# A thousand frames of the worst (__getattr__, sorted's keys, nested groups of a regular expression) take 1.4 MiB.
_STACK_BYTES = 2 << 20
# As everywhere but in WASI, where CPython takes 600: limits.WASM_STACK_BYTES has room for as many frames of C.
_RECURSION = "-DPy_DEFAULT_RECURSION_LIMIT=1000"
# shim/libc.c has them.
_RENAMED = "-Dchmod=isolet_chmod -Dfchmod=isolet_fchmod -Dfchmodat=isolet_fchmodat"

_ZLIB_FILES = (
    *("adler32", "compress", "crc32", "deflate", "infback", "inffast"),
    *("inflate", "inftrees", "trees", "uncompr", "zutil"),
)
# One thread, nobody else's files, and nothing loaded at run time; what Python's module and people's queries want is in.
_SQLITE_OPTIONS = (
    *("SQLITE_THREADSAFE=0", "SQLITE_OMIT_LOAD_EXTENSION", "SQLITE_OMIT_WAL", "SQLITE_DEFAULT_MEMSTATUS=0"),
    *("SQLITE_ENABLE_FTS5", "SQLITE_ENABLE_RTREE", "SQLITE_ENABLE_MATH_FUNCTIONS", "SQLITE_TEMP_STORE=2"),
    "SQLITE_ENABLE_COLUMN_METADATA",
)


def _files() -> Mapping[str, bytes]:
    ours = [SDK / "config.site", SDK / "make_library.py", *SDK.glob("shim/*.[ch]"), *SDK.glob("lib/**/*.py")]
    found = {path.relative_to(SDK).as_posix(): path.read_bytes() for path in ours}
    return {**found, "recipe": Path(__file__).read_bytes()}


def _build(shop: Workshop) -> dict[str, bytes]:
    for name, content in shop.files.items():
        path = shop.directory / "ours" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    build = _Build(shop)
    build.unpack()
    python = build.native_python()
    build.configure_guest(python)
    build.compile_guest()
    module = build.link()
    library = build.library(python)
    shop.progress(Step("compress", 0, len(module) + len(library)))
    return {"python.wasm.xz": _compressed(module), "library.xz": _compressed(library)}


def _compressed(content: bytes) -> bytes:
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


class _Build:
    """The steps, in a workshop: src/ and its neighbours are source, native/ and guest/ are built."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._home = shop.directory
        self._cc = self._wrapper("guest-cc", "-target wasm32-wasi")
        self._host_cc = self._wrapper("host-cc", "")

    # ── source ──────────────────────────────────────────────────────────────────────────────────────────────────

    def unpack(self) -> None:
        self._shop.progress(Step("unpack"))
        places = {_CPYTHON: "src", _PATCHES: "debian", _ZLIB: "zlib", _SQLITE: "sqlite"}
        for source, place in places.items():
            with tarfile.open(self._shop.sources[source.file]) as archive:
                archive.extractall(self._home / place, filter="tar")
        self._lift("src", "zlib", "sqlite")
        with zipfile.ZipFile(self._shop.sources[_ZONES.file]) as wheel:
            wheel.extractall(self._home / "zones")
        patches = self._home / "debian" / "debian" / "patches"
        for name in (patches / "series").read_text().split():
            if _WANTED_PATCH.match(name):
                self._run(["patch", "-p1", "-s", "-f", "--no-backup-if-mismatch", "-i", patches / name], "src")
        for edit in EDITS:
            _apply(edit, self._home / "src")

    def _lift(self, *places: str) -> None:
        """An archive's one directory becomes the place itself."""
        for place in places:
            (inner,) = (self._home / place).iterdir()
            inner.rename(self._home / f"{place}.inner")
            (self._home / place).rmdir()
            (self._home / f"{place}.inner").rename(self._home / place)

    # ── a Python for this machine ───────────────────────────────────────────────────────────────────────────────

    def native_python(self) -> Path:
        """Freezes modules and marshals the library; speed is of no interest, so it is compiled quickly."""
        (self._home / "native").mkdir()
        self._shop.progress(Step("configure Python for this machine"))
        options = ["--disable-test-modules", "--with-ensurepip=no", "--without-doc-strings"]
        variables = {"CC": str(self._host_cc), "OPT": "-O0 -g0", "CFLAGS": "-fno-sanitize=all"}
        self._run(["../src/configure", *options], "native", variables)
        self._make("compile Python for this machine", "native", ["python"], 21_000_000)
        return self._home / "native" / "python"

    # ── the guest ───────────────────────────────────────────────────────────────────────────────────────────────

    def configure_guest(self, python: Path) -> None:
        (self._home / "guest").mkdir()
        self._shop.progress(Step("configure Python for WASI"))
        options = [
            *("--host=wasm32-unknown-wasi", f"--build={os.uname().machine}-pc-linux-gnu"),
            f"--with-build-python={python}",
            *("--disable-test-modules", "--with-ensurepip=no", "--with-pymalloc"),
        ]
        variables = {
            "CC": str(self._cc),
            "CPP": f"{self._cc} -E",
            "CONFIG_SITE": str(self._home / "ours" / "config.site"),
            "OPT": " ".join(_OPTIMISED),
            "CFLAGS": f"{_LENIENT} {_RECURSION} {_RENAMED} {self._prefix_map()}",
        }
        self._run(["../src/configure", *options], "guest", variables)

    def compile_guest(self) -> None:
        targets = ["libpython3.11.a", "Modules/_decimal/libmpdec/libmpdec.a", "Modules/expat/libexpat.a"]
        self._make("compile Python for WASI", "guest", targets, 18_000_000)
        self._shop.progress(Step("compile zlib, SQLite and the shim"))
        inside = ("-I../src/Include", "-I../src/Include/internal", "-I.", "-I../zlib", "-I../sqlite/deps/sqlite3")
        for name in _ZLIB_FILES:
            self._compile(f"../zlib/{name}.c", "-w", "-I../zlib")
        self._compile("../src/Modules/zlibmodule.c", "-w", "-DPy_BUILD_CORE_BUILTIN", *inside)
        self._compile("../sqlite/deps/sqlite3/sqlite3.c", "-w", *(f"-D{option}" for option in _SQLITE_OPTIONS))
        for path in sorted((self._home / "src" / "Modules" / "_sqlite").glob("*.c")):
            self._compile(f"../src/Modules/_sqlite/{path.name}", "-w", "-DPy_BUILD_CORE_BUILTIN", *inside)
        for path in sorted((self._home / "ours" / "shim").glob("*.c")):
            self._compile(f"../ours/shim/{path.name}", "-Wall", "-Wextra", *inside)

    def link(self) -> bytes:
        objects = sorted(path.name for path in (self._home / "guest").glob("isolet-*.o"))
        archives = ["libpython3.11.a", "Modules/_decimal/libmpdec/libmpdec.a", "Modules/expat/libexpat.a"]
        emulated = [f"-lwasi-emulated-{what}" for what in ("signal", "getpid", "process-clocks")]
        form = ["-O2", "-s", "-mexec-model=reactor", f"-Wl,-z,stack-size={_STACK_BYTES}"]
        command: list[str | Path] = [self._cc, *form, *objects, *archives, *emulated, "-o", "python.wasm"]
        self._run(command, "guest")
        return (self._home / "guest" / "python.wasm").read_bytes()

    def library(self, python: Path) -> bytes:
        self._shop.progress(Step("marshal the library"))
        made = self._home / "library"
        script: list[str | Path] = [python, "-S", "-E", "ours/make_library.py", "src/Lib", "zones", "ours/lib", made]
        self._run(script, ".", {"PYTHONHASHSEED": "0"})
        return made.read_bytes()

    # ── tools ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _wrapper(self, name: str, target: str) -> Path:
        """`zig cc` as configure and make call a compiler: one program, without what zig passes itself."""
        path = self._home / name
        lines = [
            "#!/bin/sh",
            "for argument do",
            "  shift",
            '  case $argument in -Wl,--stack-first*) ;; *) set -- "$@" "$argument" ;; esac',
            "done",
            f'exec "{self._shop.zig}" cc {target} "$@"',
        ]
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o755)
        return path

    def _prefix_map(self) -> str:
        return f"-ffile-prefix-map={self._home}=."

    def _compile(self, source: str, *options: str) -> None:
        name = source.removeprefix("../").removesuffix(".c").replace("/", "-")
        command: list[str | Path] = [
            self._cc,
            "-c",
            "-std=gnu11",
            "-fvisibility=hidden",
            *_OPTIMISED,
            self._prefix_map(),
            *options,
        ]
        self._run([*command, source, "-o", f"isolet-{name}.o"], "guest")

    def _make(self, phase: str, place: str, targets: Sequence[str], total_bytes: int) -> None:
        """make, as far as its object files have grown."""
        self._shop.progress(Step(phase, 0, total_bytes))
        jobs = f"-j{len(os.sched_getaffinity(0))}"
        written = 0

        def line(text: str) -> None:
            nonlocal written
            if (found := re.search(r" -o (\S+\.o) ", text)) and (path := self._home / place / found[1]).is_file():
                written += path.stat().st_size
                self._shop.progress(Step(phase, min(written, total_bytes), total_bytes))

        self._run(["make", jobs, *targets], place, each_line=line)

    def _run(
        self,
        command: Sequence[str | Path],
        place: str,
        variables: Mapping[str, str] | None = None,
        each_line: Callable[[str], None] = lambda line: None,
    ) -> None:
        words = [str(word) for word in command]
        if "/" not in words[0] and shutil.which(words[0]) is None:
            cure = f"install it (Debian: apt-get install {words[0]})"
            raise ToolchainMissing(f"there is no {words[0]} on this machine; {cure}")
        said: list[str] = []
        with subprocess.Popen(
            words,
            cwd=self._home / place,
            env={**self._environment(), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for text in process.stdout:
                said.append(text)
                each_line(text)
        if process.returncode:
            what = Path(words[0]).name
            raise CompileFailed(f"{what} ended with {process.returncode} in {place}", "".join(said[-60:]))

    def _environment(self) -> dict[str, str]:
        """Not the caller's: CFLAGS, PYTHONPATH and the like must not reach the products."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self._home),
            "LC_ALL": "C",
            "AR": f"{self._shop.zig} ar",
            "RANLIB": f"{self._shop.zig} ranlib",
            "PKG_CONFIG": "/bin/false",  # or the host's libraries are found
            "SOURCE_DATE_EPOCH": _EPOCH,
            # A cache that another build uses as well links stale objects without a word.
            "ZIG_LOCAL_CACHE_DIR": str(self._home / "zig"),
            "ZIG_GLOBAL_CACHE_DIR": str(self._home / "zig"),
        }


def _apply(edit: Edit, source: Path) -> None:
    path = source / edit.file
    text = path.read_text()
    if text.count(edit.old) != 1:
        raise CompileFailed(
            f"{edit.file} is not the one that the recipe edits: {edit.old.strip()!r} is not there once", ""
        )
    path.write_text(text.replace(edit.old, edit.new))


RECIPE = Recipe("python", VERSION, (_CPYTHON, _PATCHES, _ZLIB, _SQLITE, _ZONES), _files, _build)
