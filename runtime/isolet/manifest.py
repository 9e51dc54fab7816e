"""`function.toml`: what a directory says about the function in it.

    name = "resize"
    language = "c"                      # one of LANGUAGES
    source = ["resize.c", "jpeg.c"]     # default: <name>.c, .wat …; for go, python and javascript the directory, "."
    runtime = "python3.11"              # python, javascript: Lambda's name of it
    handler = "lambda_function.lambda_handler"   # python, javascript: Lambda's defaults
    description = "…"
    timeout_s = 3
    memory_mb = 128
    fuel = 10_000_000_000               # default: more than any timeout allows
    files = ["data/*.json"]             # into the package: the function reads them below /var/task

    [environment]
    GREETING = "hello"

    [build]
    cflags = ["-O3"]                    # c
    flags = ["-Copt-level=s"]           # rust, zig: the compiler's
    target = "wasm32-wasip1"            # rust: instead of wasm32-unknown-unknown
    stack_kb = 64                       # c, rust, zig
    tags = ["fast"]                     # go
    exclude = ["docs/**"]               # python, javascript: not into the package

    [http]                              # present: the function answers HTTP
    route = ["GET /pictures/{id}", "POST /pictures"]

    [snapshot]
    warmup = "event.json"               # handled once before the snapshot is taken

    [capabilities]                      # what it may ask of the host; without, nothing of these
    kv = ["counters"]                   # namespaces
    fetch = ["api.example.com"]         # hosts: name, *.name, with or without https:// and :port
    invoke = ["resize", "img-*"]        # functions
    secrets = ["API_KEY"]               # names

Laws:
- A manifest is used whole or refused whole. Every refusal is a ManifestInvalid of one line: file, key, reason, cure.
- A key that we do not know is refused, with the nearest one that we do: a misspelt `timeout` must not mean the default.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Never

from . import grants, limits
from .errors import ManifestInvalid
from .grants import Refusal
from .model import Capabilities, Route, Settings

FILE = "function.toml"


class Language(NamedTuple):
    """What a function's language means for its manifest."""

    suffix: str  # of its source files; "": the source is a directory
    many: bool = False  # more than one source file is compiled
    beside: str = ""  # a file that the directory must have
    runtime: str = "provided.al2023"
    handler: str = "handle"

    @property
    def interpreted(self) -> bool:
        """Whether the package is the source itself, all files of the directory."""
        return not self.suffix and not self.beside


LANGUAGES: Mapping[str, Language] = {
    "c": Language(".c", many=True),
    "go": Language("", beside="go.mod"),
    "rust": Language(".rs"),
    "zig": Language(".zig"),
    "assemblyscript": Language(".ts"),
    "python": Language("", runtime="python3.11", handler="lambda_function.lambda_handler"),
    "javascript": Language("", runtime="nodejs22.x", handler="index.handler"),
    "wat": Language(".wat"),
    "wasm": Language(".wasm"),
}
# The module's own name inside a package.
MODULE_FILE = "function.wasm"

# Precedent: Lambda's FunctionName; it must also do as a path segment and a host name's label.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Precedent: Lambda's pattern of an environment variable's name.
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
# What the host sets itself (abi.md 8). Precedent: Lambda refuses its reserved names.
_VARIABLES_RESERVED = frozenset(
    {
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_REGION",
        "LAMBDA_TASK_ROOT",
        "TZ",
    }
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY")
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*,;=:@%-]+")
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}")
ROUTE_CHARS_MAX = 512
_DEFAULTS = Settings()
WORD_CHARS_MAX = 128  # Precedent: Lambda's Handler.

_OPTION_LANGUAGES = {
    "cflags": ("c",),
    "stack_kb": ("c", "rust", "zig"),
    "flags": ("rust", "zig", "assemblyscript"),
    "target": ("rust",),
    "tags": ("go",),
    "exclude": tuple(name for name, language in LANGUAGES.items() if language.interpreted),
}

RUST_TARGETS = ("wasm32-unknown-unknown", "wasm32-wasip1")

# The part of linear memory that C's own stack gets. zig's default is 16 MiB, which no small function's memory would
# hold; overflowing it is a trap, since nothing lies below it.
# wasm-ld's own default. The data lies behind the stack: within the slot's resident bytes, no page of a small function
# faults.
STACK_KB_DEFAULT = 64
# Reading an event recurses in Rust, 512 deep at most, and panics format text.
STACK_KB_DEFAULT_OF = {"rust": 256, "zig": 128}
STACK_KB_MIN = 16
STACK_KB_MAX = 64 * 1024
assert STACK_KB_DEFAULT * limits.KIB < limits.MEMORY_MB_MIN * limits.MIB, "the smallest memory holds the default stack"


def is_name(text: str) -> bool:
    """Whether a function may be called so."""
    return len(text) <= limits.FUNCTION_NAME_CHARS_MAX and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A function as its directory declares it. Paths are relative to that directory, with `/`."""

    name: str
    settings: Settings
    # Source files; for go the one directory of package main, for interpreted languages the one of the source.
    sources: tuple[str, ...]
    # Globs of what goes into the package beside the module; the warm-up event goes without being asked for.
    files: tuple[str, ...] = ()
    cflags: tuple[str, ...] = ()
    stack_kb: int = STACK_KB_DEFAULT
    tags: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    # "": the language's own.
    target: str = ""
    # Globs of what does not go into the package of an interpreted language.
    exclude: tuple[str, ...] = ()


def load(directory: Path) -> Manifest:
    """The manifest of `directory`, with everything that it names found there. Raises ManifestInvalid."""
    path = directory / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ManifestInvalid(
            f"{path}: there is no such file; write one, or let `isolet init NAME --language c` make a whole function"
        ) from None
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise ManifestInvalid(f"{path}: {error.strerror or error}; make it a readable file") from None
    manifest = parse(text, str(path))
    _check_files(directory, manifest, str(path))
    return manifest


def parse(text: str, where: str) -> Manifest:
    """The manifest in `text`; `where` names it in refusals. Looks at no other file. Raises ManifestInvalid."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestInvalid(f"{where}: not TOML: {error}; correct that line") from None
    root = _Table(table, where)
    language = root.choice("language", tuple(LANGUAGES))
    kind = LANGUAGES[language]
    name = root.name("name")
    build, http, snapshot = root.inner("build"), root.inner("http"), root.inner("snapshot")
    capabilities = root.inner("capabilities")
    manifest = Manifest(
        name=name,
        settings=Settings(
            runtime=root.word("runtime", kind.runtime),
            handler=root.word("handler", kind.handler),
            description=root.text("description", "", limits.DESCRIPTION_CHARS_MAX),
            timeout_s=root.number("timeout_s", limits.TIMEOUT_S_DEFAULT, 0.001, limits.TIMEOUT_S_MAX),
            memory_mb=root.whole("memory_mb", limits.MEMORY_MB_DEFAULT, limits.MEMORY_MB_MIN, limits.MEMORY_MB_MAX),
            fuel=root.whole("fuel", limits.FUEL_DEFAULT, 1, limits.FUEL_MAX),
            environment=root.environment("environment"),
            http="http" in table,
            routes=http.routes("route"),
            language=language,
            warmup=snapshot.path("warmup"),
            capabilities=Capabilities(**{kind: capabilities.granted(kind) for kind in grants.KINDS}),
        ),
        sources=_sources(root, language, name),
        files=root.paths("files"),
        cflags=build.words("cflags"),
        stack_kb=build.whole(
            "stack_kb", STACK_KB_DEFAULT_OF.get(language, STACK_KB_DEFAULT), STACK_KB_MIN, STACK_KB_MAX
        ),
        flags=build.words("flags"),
        target=build.target("target"),
        tags=build.words("tags"),
        exclude=build.words("exclude"),
    )
    for option, owners in _OPTION_LANGUAGES.items():
        if option in build.values and language not in owners:
            build.refuse(
                option, f"is for language {' and '.join(map(repr, owners))}, and this is {language!r}", "leave it out"
            )
    for read in (build, http, snapshot, capabilities, root):
        read.finish()
    return manifest


def _sources(root: _Table, language: str, name: str) -> tuple[str, ...]:
    suffix = LANGUAGES[language].suffix
    sources = root.paths("source") or (f"{name}{suffix}" if suffix else ".",)
    if not LANGUAGES[language].many and len(sources) > 1:
        root.refuse("source", f"has {len(sources)} entries, and language {language!r} takes one", "name one")
    for source in sources:
        if suffix and PurePosixPath(source).suffix != suffix:
            root.refuse(
                "source", f"{_shown(source)} does not end in {suffix}", "name the source file, or correct `language`"
            )
    return sources


class _Table:
    """One table of the file. Remembers which of its keys were asked for: `finish` refuses the others."""

    def __init__(self, values: Mapping[str, Any], where: str, prefix: str = "") -> None:
        self.values = values
        self.where = where
        self.prefix = prefix
        self.known: set[str] = set()

    def refuse(self, key: str, reason: str, cure: str) -> Never:
        raise ManifestInvalid(f"{self.where}: {self.prefix}{key}: {reason}; {cure}")

    def finish(self) -> None:
        for key in self.values:
            if key in self.known:
                continue
            near = difflib.get_close_matches(key, self.known, n=1, cutoff=0.5)
            known = ", ".join(f"`{name}`" for name in sorted(self.known))
            self.refuse(key, "unknown key", f"did you mean `{near[0]}`?" if near else f"known here are {known}")

    def get(self, key: str, kind: type | tuple[type, ...], what: str) -> Any:
        """The value of `key`, which must be of `kind`; None if it is not there."""
        self.known.add(key)
        value = self.values.get(key)
        # Python counts a bool as an int; TOML does not.
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            self.refuse(key, f"is {_shown(value)}", f"write {what}")
        return value

    def inner(self, key: str) -> _Table:
        return _Table(self.get(key, dict, f"a table, [{key}]") or {}, self.where, f"{self.prefix}{key}.")

    # ── scalars

    def text(self, key: str, default: str, chars_max: int) -> str:
        value = self.get(key, str, "a string in quotes")
        if value is None:
            return default
        if len(value) > chars_max:
            self.refuse(key, f"has {len(value)} characters", f"use at most {chars_max}")
        if "\0" in value:
            self.refuse(key, "has a NUL in it", "remove it")
        return str(value)

    def word(self, key: str, default: str) -> str:
        value = self.text(key, default, WORD_CHARS_MAX)
        if not value or not value.isprintable() or " " in value:
            self.refuse(key, f"is {_shown(value)}", "write one word without spaces")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.get(key, str, "a string in quotes")
        listed = ", ".join(f'"{choice}"' for choice in choices)
        if value is None:
            self.refuse(key, "is missing", f"add one of {listed}")
        if value not in choices:
            near = difflib.get_close_matches(value.lower(), choices, n=1, cutoff=0.5)
            self.refuse(key, f"is {_shown(value)}", f'did you mean "{near[0]}"?' if near else f"use one of {listed}")
        return str(value)

    def name(self, key: str) -> str:
        value = self.get(key, str, "a string in quotes")
        if value is None:
            self.refuse(key, "is missing", 'add the function\'s name: name = "resize"')
        if len(value) > limits.FUNCTION_NAME_CHARS_MAX:
            self.refuse(key, f"has {len(value)} characters", f"use at most {limits.FUNCTION_NAME_CHARS_MAX}")
        if not _NAME.fullmatch(value):
            self.refuse(key, f"is {_shown(value)}", "use letters, digits, - and _, and begin with a letter or digit")
        return str(value)

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.get(key, (int, float), "a number")
        if value is None:
            return default
        if not math.isfinite(value) or not least <= value <= most:
            self.refuse(key, f"is {value}", f"use {least:g} to {most:g}")
        return float(value)

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        value = self.get(key, int, "a whole number")
        if value is None:
            return default
        if not least <= value <= most:
            self.refuse(key, f"is {value}", f"use {least} to {most}")
        return int(value)

    def target(self, key: str) -> str:
        if key not in self.values:
            self.known.add(key)
            return ""
        return self.choice(key, RUST_TARGETS)

    # ── paths and lists

    def strings(self, key: str, what: str) -> tuple[str, ...]:
        """A string or a list of strings, as a tuple; empty if it is not there."""
        value = self.get(key, (str, list), what)
        if value is None:
            return ()
        listed = [value] if isinstance(value, str) else value
        for item in listed:
            if not isinstance(item, str) or not item or "\0" in item:
                self.refuse(key, f"holds {_shown(item)}", f"write {what}")
        return tuple(listed)

    def words(self, key: str) -> tuple[str, ...]:
        self.get(key, list, "a list of strings")
        return self.strings(key, "a list of strings")

    def paths(self, key: str) -> tuple[str, ...]:
        found = self.strings(key, "a path, or a list of paths")
        for path in found:
            self._inside(key, path)
        return found

    def path(self, key: str) -> str:
        value = self.get(key, str, "a path")
        if value is not None:
            self._inside(key, value)
        return value or ""

    def _inside(self, key: str, path: str) -> None:
        pure = PurePosixPath(path)
        if not path or "\\" in path or "\0" in path or pure.is_absolute() or ".." in pure.parts:
            self.refuse(key, f"is {_shown(path)}", "use a path inside the function's directory, with /")

    # ── what has a grammar of its own

    def environment(self, key: str) -> Mapping[str, str]:
        read = self.inner(key)
        total = 0
        for variable, value in read.values.items():
            if not isinstance(value, str):
                read.refuse(variable, f"is {_shown(value)}", "write a string in quotes: a variable is text")
            if not _VARIABLE.fullmatch(variable):
                read.refuse(
                    variable, "is no name of a variable", "use letters, digits and _, two or more, a letter first"
                )
            if variable in _VARIABLES_RESERVED:
                read.refuse(variable, "is set by isolet itself", "choose another name")
            if "\0" in value:
                read.refuse(variable, "has a NUL in it", "remove it")
            total += len(variable.encode()) + len(value.encode())
        if total > limits.ENVIRONMENT_BYTES_MAX:
            most = limits.ENVIRONMENT_BYTES_MAX
            self.refuse(
                key, f"has {total} bytes, names and values together", f"use at most {most}; put data in `files`"
            )
        return dict(read.values)

    def routes(self, key: str) -> tuple[Route, ...]:
        texts = self.strings(key, 'a route such as "GET /accounts/{id}", or a list of routes')
        if len(texts) > limits.ROUTES_MAX:
            self.refuse(
                key, f"has {len(texts)} routes", f"use at most {limits.ROUTES_MAX}; a greedy {{rest+}} takes many"
            )
        routes: list[Route] = []
        for text in texts:
            checked = parse_route(text)
            if isinstance(checked, Refusal):
                self.refuse(key, f"{_shown(text)} {checked.reason}", checked.cure)
            if checked in routes:
                self.refuse(key, f"{_shown(text)} is there twice", "remove one")
            routes.append(checked)
        return tuple(routes)

    def granted(self, kind: str) -> tuple[str, ...]:
        entries = self.get(kind, list, "a list of strings") or []
        if refused := grants.refusal(kind, entries):
            self.refuse(kind, refused.reason, refused.cure)
        return tuple(entries)


def parse_route(text: str) -> Route | Refusal:
    """`METHOD /literal/{parameter}/{rest+}` as a Route, or why it is none."""
    method, _, pattern = text.partition(" ")
    if method not in METHODS:
        upper = method.upper()
        cure = (
            f"write {upper}" if upper in METHODS else f"begin with one of {', '.join(METHODS)}, then a space and a path"
        )
        return Refusal(f"has the method {_shown(method)}", cure)
    if not pattern.startswith("/") or len(pattern) > ROUTE_CHARS_MAX:
        return Refusal(
            "has no path", f"write a path of at most {ROUTE_CHARS_MAX} characters, from / on, behind {method}"
        )
    if pattern == "/":
        return Route(method, pattern)
    seen: set[str] = set()
    segments = pattern[1:].split("/")
    for index, segment in enumerate(segments):
        parameter = _PARAMETER.fullmatch(segment)
        if parameter is None:
            if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
                return Refusal(f"has the segment {_shown(segment)}", "use letters, digits, or a whole {parameter}")
            continue
        name, greedy = parameter.groups()
        if name in seen:
            return Refusal(f"has {{{name}}} twice", "give each parameter its own name")
        if greedy and index != len(segments) - 1:
            return Refusal(f"has {segment} before its end", "only the last segment may be greedy")
        seen.add(name)
    return Route(method, pattern)


def package_files(directory: Path, manifest: Manifest) -> dict[str, Path]:
    """What goes into the package beside the module, by name there, sorted. A link that leads outside is left out."""
    patterns = [*manifest.files, *([manifest.settings.warmup] if manifest.settings.warmup else [])]
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in directory.glob(pattern):
            for file in path.rglob("*") if path.is_dir() else [path]:
                if file.is_file() and file.resolve().is_relative_to(directory.resolve()):
                    found[file.relative_to(directory).as_posix()] = file
    return dict(sorted(found.items()))


# Not part of a program: tools' own, tests, what is installed beside the source and bundled or packaged anew.
_NOT_PACKAGED = frozenset({"__pycache__", "node_modules", "tests", "test", "venv"})


def source_files(directory: Path, manifest: Manifest) -> dict[str, Path]:
    """The files of an interpreted function, by name in the package, sorted: all of its source directory but hidden
    ones, the manifest and what `exclude` matches. A link that leads outside is left out."""
    top = (directory / manifest.sources[0]).resolve()
    excluded = {path for pattern in manifest.exclude for path in top.glob(pattern)}
    found: dict[str, Path] = {}
    for path in sorted(top.rglob("*")):
        relative = path.relative_to(top)
        if any(part.startswith(".") or part in _NOT_PACKAGED for part in relative.parts):
            continue
        if path == directory.resolve() / FILE or excluded.intersection((path, *path.parents)):
            continue
        if path.is_file() and path.resolve().is_relative_to(top):
            found[relative.as_posix()] = path
    return found


def _check_files(directory: Path, manifest: Manifest, where: str) -> None:
    language = LANGUAGES[manifest.settings.language]
    for source in manifest.sources:
        path = directory / source
        if not (path.is_file() if language.suffix else path.is_dir()):
            raise ManifestInvalid(f"{where}: source: there is no {source}; write it, or name the right one in `source`")
    if manifest.settings.language == "go" and not (directory / language.beside).is_file():
        raise ManifestInvalid(
            f"{where}: language: Go needs a go.mod beside it; `isolet init` makes one, or `go mod init`"
        )
    for pattern in manifest.files:
        try:
            matched = any(True for _ in directory.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            raise ManifestInvalid(f"{where}: files: {_shown(pattern)} is no pattern: {error}; correct it") from None
        if not matched:
            raise ManifestInvalid(f"{where}: files: nothing matches {_shown(pattern)}; correct it or remove it")
    packaged = package_files(directory, manifest)
    if MODULE_FILE in packaged:
        raise ManifestInvalid(f"{where}: files: {MODULE_FILE} is the module's own name in a package; rename yours")
    if len(packaged) >= limits.PACKAGE_FILES_MAX:
        most = limits.PACKAGE_FILES_MAX - 1
        raise ManifestInvalid(f"{where}: files: they are {len(packaged)}; a package takes {most}: pack them into one")
    _check_warmup(directory, manifest.settings.warmup, where)


def _check_warmup(directory: Path, warmup: str, where: str) -> None:
    if not warmup:
        return
    try:
        json.loads((directory / warmup).read_bytes())
    except OSError:
        raise ManifestInvalid(f"{where}: snapshot.warmup: there is no {warmup}; write a sample event there") from None
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"{where}: snapshot.warmup: {warmup} is not JSON: {error}; correct it") from None


def _shown(value: object) -> str:
    """A value as the file has it, short enough for a message."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
