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
    """A change in quickjs.c: `old` is there exactly `times`."""

    old: str
    new: str
    times: int = 1


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
        "static JSValue isolet_not_a(JSContext *ctx, const char *what);\n"
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
    # An error that is thrown again has its stack already.
    Edit(
        "    if (needs_backtrace(rt->current_exception)\n    || JS_IsUndefined(ctx->error_back_trace)) {\n",
        "    if (needs_backtrace(rt->current_exception)) {\n",
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
    # AsyncLocalStorage: what is in force when `then` or `await` is called is in force when the reaction runs.
    Edit(
        "    JSValue resolving_funcs[2];\n    JSValue handler;\n} JSPromiseReactionData;\n",
        "    JSValue resolving_funcs[2];\n    JSValue handler;\n    JSValue frame;\n} JSPromiseReactionData;\n"
        "JSValue isolet_frame = JS_UNDEFINED;\n",
    ),
    Edit(
        "    JS_FreeValueRT(rt, rd->handler);\n    js_free_rt(rt, rd);\n",
        "    JS_FreeValueRT(rt, rd->handler);\n    JS_FreeValueRT(rt, rd->frame);\n    js_free_rt(rt, rd);\n",
    ),
    Edit(
        "            JS_MarkValue(rt, rd->handler, mark_func);\n        }\n",
        "            JS_MarkValue(rt, rd->handler, mark_func);\n"
        "            JS_MarkValue(rt, rd->frame, mark_func);\n        }\n",
    ),
    Edit(
        "        rd->handler = js_dup(handler);\n        rd_array[i] = rd;\n",
        "        rd->handler = js_dup(handler);\n        rd->frame = js_dup(isolet_frame);\n"
        "        rd_array[i] = rd;\n",
    ),
    Edit(
        "        args[4] = value;\n        JS_EnqueueJob(ctx, promise_reaction_job, 5, args);\n",
        "        args[4] = value;\n        args[5] = rd->frame;\n"
        "        JS_EnqueueJob(ctx, promise_reaction_job, 6, args);\n",
    ),
    Edit(
        "    JSPromiseReactionData *rd;\n    JSValueConst args[5];\n",
        "    JSPromiseReactionData *rd;\n    JSValueConst args[6];\n",
    ),
    Edit(
        "        args[4] = s->promise_result;\n        JS_EnqueueJob(ctx, promise_reaction_job, 5, args);\n",
        "        args[4] = s->promise_result;\n        args[5] = rd->frame;\n"
        "        JS_EnqueueJob(ctx, promise_reaction_job, 6, args);\n",
    ),
    Edit(
        "        JSValueConst args[5];\n        call_promise_rejection_tracker(ctx, promise, true);\n",
        "        JSValueConst args[6];\n        call_promise_rejection_tracker(ctx, promise, true);\n",
    ),
    Edit(
        "    assert(argc == 5);\n    handler = argv[2];\n",
        "    JSValue isolet_outer = isolet_frame;\n    isolet_frame = js_dup(argv[5]);\n    handler = argv[2];\n",
    ),
    Edit(
        "        res = JS_Call(ctx, handler, JS_UNDEFINED, 1, &arg);\n    }\n    is_reject = JS_IsException(res);\n",
        "        res = JS_Call(ctx, handler, JS_UNDEFINED, 1, &arg);\n    }\n"
        "    JS_FreeValue(ctx, isolet_frame);\n    isolet_frame = isolet_outer;\n"
        "    is_reject = JS_IsException(res);\n",
    ),
    Edit(
        "                if (type == JS_THROW_VAR_RO)\n"
        "                    JS_ThrowTypeErrorReadOnly(ctx, JS_PROP_THROW, atom);\n",
        "                if (type == JS_THROW_VAR_RO)\n"
        '                    JS_ThrowTypeError(ctx, "Assignment to constant variable.");\n',
    ),
    # The engine measures its stack in linear memory, and what overflows is the machine's, which it cannot see.
    # Functions that recurse with locals of the machine alone get as many bytes in linear memory as that takes.
    Edit(
        "static inline bool js_check_stack_overflow(JSRuntime *rt, size_t alloca_size)\n{\n",
        "#define isolet_padded_check(rt, bytes) \\\n"
        '    ({ char isolet_pad[bytes]; __asm__ volatile("" : : "r"(isolet_pad)); js_check_stack_overflow(rt, 0); })\n'
        "static inline bool js_check_stack_overflow(JSRuntime *rt, size_t alloca_size)\n{\n",
    ),
    Edit("js_check_stack_overflow(s->ctx->rt, 0)", "isolet_padded_check(s->ctx->rt, 256)"),
    Edit("js_check_stack_overflow(ctx->rt, 0)", "isolet_padded_check(ctx->rt, 256)", 12),
    Edit(
        "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)\n{\n"
        "    int opcode, op, scope;\n",
        "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)\n{\n"
        "    int opcode, op, scope;\n"
        "    if (isolet_padded_check(s->ctx->rt, 256)) {\n"
        "        JS_ThrowStackOverflow(s->ctx);\n"
        "        return -1;\n"
        "    }\n",
    ),
    Edit(
        "static __exception int js_parse_unary(JSParseState *s, int parse_flags)\n{\n    int op;\n",
        "static __exception int js_parse_unary(JSParseState *s, int parse_flags)\n{\n    int op;\n"
        "    if (isolet_padded_check(s->ctx->rt, 640)) {\n"
        "        JS_ThrowStackOverflow(s->ctx);\n"
        "        return -1;\n"
        "    }\n",
    ),
    # A wrapper stands on a line of its own, before the first.
    Edit(
        "        if (options->line_num != 0)\n            line = options->line_num;\n",
        "        if (options->line_num != 0)\n            line = options->line_num > 0 ? options->line_num : 0;\n",
    ),
    # The place of `new X` is where `new` is.
    Edit(
        "    bool accept_lparen = (parse_flags & PF_POSTFIX_CALL) != 0;\n\n    call_type = FUNC_CALL_NORMAL;\n",
        "    bool accept_lparen = (parse_flags & PF_POSTFIX_CALL) != 0;\n"
        "    int isolet_line = s->token.line_num, isolet_col = s->token.col_num;\n"
        "    int isolet_call_line = isolet_line, isolet_call_col = isolet_col;\n\n"
        "    call_type = FUNC_CALL_NORMAL;\n",
    ),
    Edit(
        "emit_op(s, OP_call_constructor);",
        "emit_source_loc_at(s, isolet_line, isolet_col);\n                emit_op(s, OP_call_constructor);",
        3,
    ),
    # The place of a call, and of a read, is that of the last name, whatever stands in the arguments.
    Edit(
        "            parse_func_call2:\n                emit_source_loc(s);\n",
        "            parse_func_call2:\n                emit_source_loc_at(s, isolet_call_line, isolet_call_col);\n",
    ),
    Edit(
        "                    emit_op(s, OP_get_field);\n                    emit_atom(s, s->token.u.ident.atom);\n",
        "                    isolet_call_line = s->token.line_num;\n"
        "                    isolet_call_col = s->token.col_num;\n"
        "                    emit_source_loc(s);\n"
        "                    emit_op(s, OP_get_field);\n                    emit_atom(s, s->token.u.ident.atom);\n",
    ),
    Edit(
        "            emit_func_call:\n                switch(opcode) {\n",
        "            emit_func_call:\n"
        "                emit_source_loc_at(s, isolet_call_line, isolet_call_col);\n"
        "                switch(opcode) {\n",
    ),
    # Who is not a function.
    Edit(
        "static JSValue JS_ThrowTypeErrorNotAFunction(JSContext *ctx)\n{\n"
        '    return JS_ThrowTypeError(ctx, "not a function");\n}\n',
        "bool isolet_callee(const char *text, size_t length, int line, int column, char *to, size_t room);\n"
        "static int find_line_num(JSContext *ctx, JSFunctionBytecode *b, uint32_t pc_value, int *col);\n"
        "static JSValue isolet_not_a(JSContext *ctx, const char *what)\n{\n"
        "    char text[200];\n"
        "    JSStackFrame *sf = ctx->rt->current_stack_frame;\n"
        "    JSFunctionBytecode *b = sf ? JS_GetFunctionBytecode(sf->cur_func) : NULL;\n"
        "    if (b && b->source && sf->cur_pc) {\n"
        "        int col, line = find_line_num(ctx, b, sf->cur_pc - b->byte_code_buf - 1, &col);\n"
        "        if (sf->cur_pc - b->byte_code_buf >= 3 && sf->cur_pc[-3] == OP_call_constructor)\n"
        '            what = "constructor";\n'
        "        col -= line == b->line_num ? b->col_num : 1;\n"
        "        if (isolet_callee(b->source, b->source_len, line - b->line_num, col, text, sizeof(text)))\n"
        '            return JS_ThrowTypeError(ctx, "%s is not a %s", text, what);\n'
        "    }\n"
        '    return JS_ThrowTypeError(ctx, "(intermediate value) is not a %s", what);\n'
        "}\n"
        "static JSValue JS_ThrowTypeErrorNotAFunction(JSContext *ctx)\n{\n"
        '    return isolet_not_a(ctx, "function");\n}\n',
    ),
    # An argument that is not a function: the value, as V8 shows it.
    Edit(
        "        return 0;\n    JS_ThrowTypeErrorNotAFunction(ctx);\n    return -1;\n",
        "        return 0;\n"
        "    if (JS_IsObject(obj) || JS_IsSymbol(obj)) {\n"
        '        JS_ThrowTypeError(ctx, "#<Object> is not a function");\n'
        "        return -1;\n"
        "    }\n"
        "    const char *shown = JS_ToCString(ctx, obj);\n"
        '    JS_ThrowTypeError(ctx, JS_IsString(obj) ? "\\"%s\\" is not a function" : "%s is not a function",\n'
        '                      shown ? shown : "value");\n'
        "    JS_FreeCString(ctx, shown);\n"
        "    return -1;\n",
    ),
    Edit(
        'fini:\n    return JS_ThrowTypeError(ctx, "not a constructor");\n',
        'fini:\n    return isolet_not_a(ctx, "constructor");\n',
    ),
    Edit(
        '        return JS_ThrowTypeError(ctx, "value is not iterable");\n    }\n    ret = JS_GetIterator2',
        "        if (JS_IsObject(obj))\n"
        '            return JS_ThrowTypeError(ctx, "object is not iterable '
        '(cannot read property Symbol(Symbol.iterator))");\n'
        "        const char *shown = JS_ToCString(ctx, obj);\n"
        '        JS_ThrowTypeError(ctx, "%s is not iterable", shown ? shown : "value");\n'
        "        JS_FreeCString(ctx, shown);\n"
        "        return JS_EXCEPTION;\n"
        "    }\n    ret = JS_GetIterator2",
    ),
    Edit(
        "        method = JS_GetProperty(ctx, obj, JS_ATOM_Symbol_iterator);\n        if (JS_IsException(method))\n"
        "            return method;\n    }\n    if (!JS_IsFunction",
        "        if (JS_IsUndefined(obj) || JS_IsNull(obj))\n"
        '            return JS_ThrowTypeError(ctx, "%s is not iterable", JS_IsNull(obj) ? "null" : "undefined");\n'
        "        method = JS_GetProperty(ctx, obj, JS_ATOM_Symbol_iterator);\n        if (JS_IsException(method))\n"
        "            return method;\n    }\n    if (!JS_IsFunction",
    ),
    # A stack becomes text when it is first read, as in V8: its first line has the name that constructors of classes
    # of errors give behind `super()`. What `prepareStack` answers is a function that makes it. Anything can be
    # assigned.
    Edit(
        "static void build_backtrace(JSContext *ctx, JSValueConst error_val,\n"
        "                            JSValueConst filter_func, const char *filename,\n"
        "                            int line_num, int col_num, int backtrace_flags)\n{\n",
        "static JSValue isolet_stack_text(JSContext *ctx, JSValueConst error, JSValue make)\n{\n"
        "    JSValue text = JS_Call(ctx, make, error, 0, NULL);\n"
        "    JS_FreeValue(ctx, make);\n"
        "    if (!JS_IsException(text))\n"
        "        return text;\n"
        "    JS_FreeValue(ctx, JS_GetException(ctx));\n"
        "    return JS_NULL;\n}\n"
        "static void build_backtrace(JSContext *ctx, JSValueConst error_val,\n"
        "                            JSValueConst filter_func, const char *filename,\n"
        "                            int line_num, int col_num, int backtrace_flags)\n{\n",
    ),
    Edit(
        "    if (has_filter_func) {\n        /* Error.captureStackTrace(target, ...): install an own data property",
        "    p = JS_VALUE_GET_OBJ(error_obj);\n"
        "    bool isolet_restored = has_filter_func && p->class_id == JS_CLASS_ERROR;\n"
        "    if (isolet_restored) {\n"
        "        JS_FreeValue(ctx, p->u.object_data);\n"
        "        p->u.object_data = JS_UNDEFINED;\n"
        "        JS_DeleteProperty(ctx, error_obj, JS_ATOM_stack, 0);\n"
        "    } else if ((has_filter_func || can_add_backtrace(error_obj)) && JS_IsFunction(ctx, stack)) {\n"
        "        JSValue isolet_pending = JS_GetException(ctx);\n"
        "        stack = isolet_stack_text(ctx, error_obj, stack);\n"
        "        JS_Throw(ctx, isolet_pending);\n"
        "    }\n"
        "    if (has_filter_func && !isolet_restored) {\n"
        "        /* Error.captureStackTrace(target, ...): install an own data property",
    ),
    Edit(
        "    return js_dup(p->u.object_data);\n}\n\nstatic JSValue js_error_set_stack(",
        "    if (JS_IsFunction(ctx, p->u.object_data)) {\n"
        "        JSValue make = p->u.object_data;\n"
        "        p->u.object_data = JS_UNDEFINED;\n"
        "        JSValue text = isolet_stack_text(ctx, this_val, make);\n"
        "        JS_FreeValue(ctx, p->u.object_data);\n"
        "        p->u.object_data = text;\n"
        "    }\n"
        "    return js_dup(p->u.object_data);\n}\n\nstatic JSValue js_error_set_stack(",
    ),
    Edit(
        "    if (!JS_IsString(value))\n"
        '        return JS_ThrowTypeError(ctx, "Error.prototype.stack setter expects a string");\n',
        "",
    ),
    Edit(
        "        if (JS_DefinePropertyValue(ctx, this_val, JS_ATOM_stack, js_dup(value),\n"
        "                                   JS_PROP_C_W_E | JS_PROP_THROW) < 0)\n",
        "        if (JS_DefinePropertyValue(ctx, this_val, JS_ATOM_stack, js_dup(value),\n"
        "                                   JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE | JS_PROP_THROW) < 0)\n",
    ),
    # V8 names the zone, and a guest's is always this.
    Edit(
        "    // _string(obj, fmt, part)\n    char buf[64];\n",
        "    // _string(obj, fmt, part)\n    char buf[96];\n",
    ),
    Edit(
        "            /* XXX: tack the time zone code? */\n",
        "            if (tz == 0)\n"
        '                pos += snprintf(buf + pos, sizeof(buf) - pos, " (Coordinated Universal Time)");\n',
    ),
    # Promise.any's error says what it is; it has no frames.
    Edit(
        "    JS_DefinePropertyValueConst(ctx, obj, JS_ATOM_errors, errors,\n"
        "                               JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);\n"
        "    return obj;\n",
        "    JS_DefinePropertyValueConst(ctx, obj, JS_ATOM_errors, errors,\n"
        "                               JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);\n"
        '    JS_DefinePropertyValue(ctx, obj, JS_ATOM_message, JS_NewString(ctx, "All promises were rejected"),\n'
        "                           JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);\n"
        "    JSObject *p = JS_VALUE_GET_OBJ(obj);\n"
        "    JS_FreeValue(ctx, p->u.object_data);\n"
        '    p->u.object_data = JS_NewString(ctx, "AggregateError: All promises were rejected");\n'
        "    return obj;\n",
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

# What V8 says, where people read it (and tests compare it): by the engine's words for it.
MESSAGES: Mapping[str, str] = {
    "cannot read property '%s' of null": "Cannot read properties of null (reading '%s')",
    "cannot read property '%s' of undefined": "Cannot read properties of undefined (reading '%s')",
    "cannot set property '%s' of null": "Cannot set properties of null (setting '%s')",
    "cannot set property '%s' of undefined": "Cannot set properties of undefined (setting '%s')",
    '"expecting hex digit"': '"URI malformed"',
    "invalid number of digits": "toFixed() digits argument must be between 0 and 100",
    '"invalid repeat count"': '"Invalid count value"',
    "%s is not initialized": "Cannot access '%s' before initialization",
    "'%s' is read-only": "Cannot assign to read only property '%s' of object '#<Object>'",
    '"invalid array length"': '"Invalid array length"',
    '"invalid string length"': '"Invalid string length"',
    '"Date value is NaN"': '"Invalid time value"',
    "cannot convert symbol to string": "Cannot convert a Symbol value to a string",
    "cannot convert symbol to number": "Cannot convert a Symbol value to a number",
    "cannot convert BigInt to number": "Cannot convert a BigInt value to a number",
    "bigint argument with unary +": "Cannot convert a BigInt value to a number",
    "BigInt division by zero": "Division by zero",
    '"BigInt is too large"': '"Maximum BigInt size exceeded"',
    "class constructors must be invoked with 'new'": "Class constructor cannot be invoked without 'new'",
    "invalid 'instanceof' right operand": "Right-hand side of 'instanceof' is not callable",
    "BigInt are forbidden in JSON.stringify": "Do not know how to serialize a BigInt",
    '"circular reference"': '"Converting circular structure to JSON"',
    '"empty array"': '"Reduce of empty array with no initial value"',
    '"cannot convert to object"': '"Cannot convert undefined or null to object"',
    '"out of bound"': '"Offset is outside the bounds of the DataView"',
    "circular prototype chain": "Cyclic __proto__ value",
    '"iterator must return an object"': '"Result of the Symbol.iterator method is not an object"',
    '"object is not extensible"': '"Cannot add property, object is not extensible"',
    '"promise self resolution"': '"Chaining cycle detected for promise #<Promise>"',
    '"not an object"': '"Object expected"',
}

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
    for name, text in shop.files.items():
        if name.startswith("shim/"):
            target = shop.directory / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(text)


def edited(source: str) -> str:
    """quickjs.c as it is compiled here. Raises CompileFailed if an edit does not find its place."""
    for edit in EDITS:
        if source.count(edit.old) != edit.times:
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
