"""QuickJS as a guest: published source, small edits, `zig cc`, and our shim and library (sdk/javascript).

    quickjs-ng ─ EDITS, MESSAGES ─→ quickjs.c … ┐
    sdk/javascript/shim/*.c ────────────────────┴─→ javascript.wasm
    sdk/javascript/library/*.js ──────────────────→ library: one entry per file, read when it is asked for

Laws:
- No path of this machine, no time and no order of a directory gets into the products.
- Each edit of the source must find its text exactly as often as it says: another version of the source does not build
  silently wrong.
"""

from __future__ import annotations

import lzma
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgpack

from ...errors import CompileFailed
from .. import toolchain
from ..package import Step
from .recipe import Recipe, Workshop
from .sources import Source, pypi

SDK = Path(__file__).parent.parent / "sdk" / "javascript"

# quickjs-ng's C source, as the Python binding of this name carries it. Of the sources that can be had here it has the
# newest language: Error.captureStackTrace, import attributes, iterator helpers, RegExp v, resizable buffers.
_QUICKJS = Source(
    "quickjs_ng-0.17.0.2.tar.gz",
    "43d2e48272208721a7aaea8e3f02d4b9318f12ef20cc4f5421b59d9a470706ef",
    pypi("quickjs-ng", "0.17.0.2"),
)
_UPSTREAM = "quickjs_ng-0.17.0.2/upstream-quickjs/"
_ENGINE = ("quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change in quickjs.c: `old` is there exactly once."""

    old: str
    new: str


EDITS = (
    # Stacks in V8's words, unless the function set Error.prepareStackTrace itself; with room to make them in when the
    # stack has just run out.
    Edit(
        "static void build_backtrace(JSContext *ctx, JSValueConst error_val,\n"
        "                            JSValueConst filter_func, const char *filename,\n"
        "                            int line_num, int col_num, int backtrace_flags)\n{\n",
        "JSValue isolet_prepare_stack = JS_UNDEFINED;\n"
        "int isolet_keep_source = 1;\n"
        "#define ISOLET_RESERVED_BYTES (64 * 1024)\n"
        "#define JS_BACKTRACE_FLAG_SKIP_TO_FUNC (1 << 30)\n"
        "static void build_backtrace(JSContext *ctx, JSValueConst error_val,\n"
        "                            JSValueConst filter_func, const char *filename,\n"
        "                            int line_num, int col_num, int backtrace_flags)\n{\n",
    ),
    Edit(
        "        prepare = js_dup(ctx->error_prepare_stack);\n        has_prepare = JS_IsFunction(ctx, prepare);\n",
        "        prepare = js_dup(ctx->error_prepare_stack);\n"
        "        has_prepare = JS_IsFunction(ctx, prepare);\n"
        "        if (!has_prepare && !rt->in_out_of_memory && JS_IsFunction(ctx, isolet_prepare_stack)) {\n"
        "            JS_FreeValue(ctx, prepare);\n"
        "            prepare = js_dup(isolet_prepare_stack);\n"
        "            has_prepare = true;\n"
        "        }\n",
    ),
    Edit(
        "        JSValue stack2 = JS_Call(ctx, prepare, ctx->error_ctor, countof(args), args);\n",
        "        uintptr_t isolet_limit = rt->stack_limit;\n"
        "        if (rt->stack_limit > ISOLET_RESERVED_BYTES)\n"
        "            rt->stack_limit -= ISOLET_RESERVED_BYTES;\n"
        "        JSValue stack2 = JS_Call(ctx, prepare, ctx->error_ctor, countof(args), args);\n"
        "        rt->stack_limit = isolet_limit;\n",
    ),
    # The constructors of a class of errors are not in its stack, as in V8.
    Edit(
        "    if (has_filter_func) {\n        for (sf = sf_start;",
        "    if (has_filter_func || (backtrace_flags & JS_BACKTRACE_FLAG_SKIP_TO_FUNC)) {\n        for (sf = sf_start;",
    ),
    Edit(
        "    build_backtrace(ctx, obj, JS_UNDEFINED, NULL, 0, 0, JS_BACKTRACE_FLAG_SKIP_FIRST_LEVEL);\n"
        "    return obj;\n exception:\n",
        "    build_backtrace(ctx, obj, new_target, NULL, 0, 0,\n"
        "                    JS_BACKTRACE_FLAG_SKIP_FIRST_LEVEL | JS_BACKTRACE_FLAG_SKIP_TO_FUNC);\n"
        "    return obj;\n exception:\n",
    ),
    # The library's functions do not keep their text.
    Edit(
        "    b->source = fd->source;\n    b->source_len = fd->source_len;\n",
        "    if (!isolet_keep_source && fd->source) {\n"
        "        js_free(ctx, fd->source);\n"
        "        fd->source = NULL;\n"
        "        fd->source_len = 0;\n"
        "    }\n"
        "    b->source = fd->source;\n    b->source_len = fd->source_len;\n",
    ),
)

# What V8 says, where people read it (and tests compare it).
MESSAGES: Mapping[str, str] = {}

_FLAGS = (
    *("-target", "wasm32-wasi", "-mexec-model=reactor", "-std=gnu17"),
    *("-O2", "-g0", "-DNDEBUG", "-D_GNU_SOURCE", "-fno-sanitize=all", "-fwrapv"),
    # The mangled paths of assert() and the like would be this machine's.
    "-fmacro-prefix-map=ours/=",
)
# The stack lies below the data: overflowing it is a trap at address 0, never a corruption. shim.c keeps the engine well
# within it.
_STACK_BYTES = 1 << 20


def _files() -> Mapping[str, bytes]:
    ours = [*SDK.glob("shim/*.[ch]"), *SDK.glob("library/*.js")]
    found = {path.relative_to(SDK).as_posix(): path.read_bytes() for path in ours}
    return {**found, "recipe": Path(__file__).read_bytes()}


def _build(shop: Workshop) -> dict[str, bytes]:
    _unpack(shop)
    objects = [_compiled(shop, source) for source in _sources(shop)]
    shop.progress(Step("link"))
    _run(shop, ["-s", *_FLAGS, f"-Wl,-z,stack-size={_STACK_BYTES}", *objects, "-o", "javascript.wasm"])
    module = (shop.directory / "javascript.wasm").read_bytes()
    shop.progress(Step("compress", 0, len(module)))
    return {"javascript.wasm.xz": _compressed(module), "library.xz": _compressed(_library(shop.files))}


def _unpack(shop: Workshop) -> None:
    engine = shop.directory / "engine"
    engine.mkdir()
    with tarfile.open(shop.sources[_QUICKJS.file]) as archive:
        for member in archive.getmembers():
            name = member.name.removeprefix(_UPSTREAM)
            if member.isfile() and member.name.startswith(_UPSTREAM) and "/" not in name:
                content = archive.extractfile(member)
                assert content is not None, "a file has content"
                (engine / name).write_bytes(content.read())
    path = engine / "quickjs.c"
    path.write_text(edited(path.read_text()))
    for name, content in shop.files.items():
        if name.startswith("shim/"):
            target = shop.directory / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)


def edited(source: str) -> str:
    """quickjs.c as it is compiled here. Raises CompileFailed if an edit does not find its place."""
    for edit in EDITS:
        if source.count(edit.old) != 1:
            raise CompileFailed(f"quickjs.c has {source.count(edit.old)} places like {edit.old.splitlines()[0]!r}", "")
        source = source.replace(edit.old, edit.new)
    for old, new in MESSAGES.items():
        source, count = re.subn(re.escape(old), lambda _, new=new: new, source)  # type: ignore[misc]
        if not count:
            raise CompileFailed(f"quickjs.c does not say {old}", "")
    return source


def _sources(shop: Workshop) -> Iterator[str]:
    yield from (f"engine/{name}" for name in _ENGINE)
    yield from sorted(name for name in shop.files if name.startswith("shim/") and name.endswith(".c"))


def _compiled(shop: Workshop, source: str) -> str:
    shop.progress(Step(f"compile {source}"))
    target = Path(source).with_suffix(".o").name
    checks = ("-w",) if source.startswith("engine/") else ("-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror")
    _run(shop, ["-c", *_FLAGS, *checks, "-Iengine", source, "-o", target])
    return target


def _run(shop: Workshop, arguments: list[str]) -> None:
    # The libc is zig's, the same for everybody; objects of ours are cached where the build is (see languages/c.py).
    caches = {
        "ZIG_GLOBAL_CACHE_DIR": str(toolchain.cache_directory() / "zig"),
        "ZIG_LOCAL_CACHE_DIR": str(shop.directory / "cache"),
    }
    toolchain.run([shop.zig, "cc", *arguments], shop.directory, caches)


def _library(files: Mapping[str, bytes]) -> bytes:
    entries = {Path(name).stem: content for name, content in sorted(files.items()) if name.startswith("library/")}
    packed: bytes = msgpack.packb(entries)
    return packed


def _compressed(content: bytes) -> bytes:
    return lzma.compress(content, check=lzma.CHECK_CRC32, preset=9 | lzma.PRESET_EXTREME)


RECIPE = Recipe("javascript", "quickjs-ng 0.17.0", (_QUICKJS,), _files, _build)
