/*
 * The exports of sdk/abi.md, and the loop: ticks, jobs, then one task after the other.
 *
 *   isolet_boot      the engine and the library of ours, warmed with an invocation of nothing; the same for everybody
 *   isolet_init      the function's module; what goes wrong is kept for the first event
 *   isolet_handle    one event
 *
 * What a handler, a context, a timer or a module is, library/ says in JavaScript; here is what has to be C.
 */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

/* The stack is what the linker was told (recipes/javascript.py), less what the deepest C function needs below a check. */
#define STACK_BYTES (560 * 1024)

/* The size of the buffer that the host asks for when it makes a snapshot: ordinary events need no other. */
#define EVENT_BYTES 65536

JSRuntime *runtime;
JSContext *context;
JSValue library;

static uint8_t *input;
static size_t input_length;
static Bytes outcome;
static bool answered;
static bool initialising;
/* process.exit during initialisation: unwound, and answered when the first event comes. */
static bool exiting;
/* Seen by library/loop.js as an Int32Array: whether there are ticks. */
static int32_t shared[4];

static JSValue method(const char *name)
{
    JSValue function = JS_GetPropertyStr(context, library, name);
    return function;
}

/* Functions of the library that every invocation calls. */
static JSValue invoke_function, ticks_function, turn_function, unhandled_function, uncaught_function;

/* ── the outcome ─────────────────────────────────────────────────────────────────────────────────────────────── */

static void begin_outcome(void)
{
    outcome.length = 0;
    outcome.failed = false;
    codec_put_map(&outcome, 1);
}

/* answer(value): the result. Throws what JSON.stringify would throw; the outcome is then still open. */
static JSValue answer(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    begin_outcome();
    codec_put_string(&outcome, "ok", 2);
    if (!codec_encode(&outcome, argv[0], false))
        return JS_EXCEPTION;
    answered = true;
    return JS_UNDEFINED;
}

static bool put_member(const char *name, JSValueConst value)
{
    codec_put_string(&outcome, name, strlen(name));
    return codec_encode(&outcome, value, false);
}

/* fail(type, message, stack): the error. */
static JSValue fail(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    begin_outcome();
    codec_put_string(&outcome, "error", 5);
    codec_put_map(&outcome, 3);
    if (!put_member("type", argv[0]) || !put_member("message", argv[1]) || !put_member("stack", argv[2]))
        return JS_EXCEPTION;
    answered = true;
    return JS_UNDEFINED;
}

/* For when even the library could not say what went wrong: memory ran out, or it has a mistake. */
static void fail_plainly(void)
{
    JSValue error = JS_GetException(context);
    size_t length = 0;
    const char *text = JS_ToCStringLen(context, &length, error);
    begin_outcome();
    codec_put_string(&outcome, "error", 5);
    codec_put_map(&outcome, 2);
    codec_put_string(&outcome, "type", 4);
    codec_put_string(&outcome, "Error", 5);
    codec_put_string(&outcome, "message", 7);
    if (text)
        codec_put_string(&outcome, text, length);
    else
        codec_put_string(&outcome, "out of memory", 13);
    answered = true;
}

/* exit(code): ends the invocation; during initialisation unwinds to isolet_init. */
static JSValue leave(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int code = 0;
    JS_ToInt32(ctx, &code, argv[0]);
    if (!initialising)
        __wasi_proc_exit((__wasi_exitcode_t)(code & 0xff));
    exiting = true;
    JSValue error = JS_NewError(ctx);
    JS_SetUncatchableError(ctx, error);
    return JS_Throw(ctx, error);
}

/* ── promises that nobody caught ─────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    JSValue promise, reason;
} Rejection;

static Rejection *rejections;
static int rejections_count, rejections_capacity;

static void forget(int index)
{
    JS_FreeValue(context, rejections[index].promise);
    JS_FreeValue(context, rejections[index].reason);
    memmove(rejections + index, rejections + index + 1, (rejections_count - index - 1) * sizeof *rejections);
    rejections_count--;
}

static void track_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool handled, void *opaque)
{
    if (handled) {
        for (int i = rejections_count - 1; i >= 0; i--)
            if (JS_VALUE_GET_PTR(rejections[i].promise) == JS_VALUE_GET_PTR(promise))
                forget(i);
        return;
    }
    if (rejections_count == rejections_capacity) {
        int capacity = rejections_capacity ? 2 * rejections_capacity : 16;
        Rejection *more = realloc(rejections, capacity * sizeof *more);
        if (!more)
            return;
        rejections = more;
        rejections_capacity = capacity;
    }
    rejections[rejections_count++] = (Rejection){JS_DupValue(ctx, promise), JS_DupValue(ctx, reason)};
}

/* ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Calls a function of the library. An exception that it lets through is the user's, uncaught, or ours: false. */
static bool call_library(JSValueConst function, int argc, JSValueConst *argv, JSValue *result)
{
    JSValue made = JS_Call(context, function, JS_UNDEFINED, argc, argv);
    if (!JS_IsException(made)) {
        if (result)
            *result = made;
        else
            JS_FreeValue(context, made);
        return true;
    }
    return false;
}

static void uncaught(void)
{
    if (exiting) {
        JS_FreeValue(context, JS_GetException(context));
        return;
    }
    JSValue error = JS_GetException(context);
    if (JS_IsUncatchableError(error))
        JS_ClearUncatchableError(context, error);
    if (!call_library(uncaught_function, 1, (JSValueConst *)&error, NULL))
        fail_plainly();
    JS_FreeValue(context, error);
}

/* Ticks before jobs, jobs to the end before the next ticks, as Node's. */
static void drain(void)
{
    JSContext *ctx;
    while (!answered && !exiting) {
        if (shared[0]) {
            if (!call_library(ticks_function, 0, NULL, NULL))
                uncaught();
            continue;
        }
        int ran;
        while (!answered && !exiting && (ran = JS_ExecutePendingJob(runtime, &ctx)) != 0)
            if (ran < 0)
                uncaught();
        if (!shared[0])
            break;
    }
    if (rejections_count && !answered && !exiting) {
        JSValueConst argv[2] = {rejections[0].reason, rejections[0].promise};
        if (!call_library(unhandled_function, 2, argv, NULL))
            uncaught();
        if (rejections_count)
            forget(0);
    }
}

/* Until there is an answer, or nothing left that could bring one. */
static void run(void)
{
    for (;;) {
        drain();
        if (answered || exiting)
            return;
        if (rejections_count || shared[0] || JS_IsJobPending(runtime))
            continue;
        JSValue more = JS_FALSE;
        if (!call_library(turn_function, 0, NULL, &more)) {
            uncaught();
            continue;
        }
        if (!JS_ToBool(context, more))
            return;
    }
}

/* settle(promise): runs the loop until it is settled; [state, value]. For what must not return before (the module of the
 * function, with its top-level awaits). */
static JSValue settle(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    while (JS_PromiseState(ctx, argv[0]) == JS_PROMISE_PENDING && !exiting && !answered) {
        drain();
        if (JS_PromiseState(ctx, argv[0]) != JS_PROMISE_PENDING || exiting || answered)
            break;
        if (JS_IsJobPending(runtime) || shared[0])
            continue;
        JSValue more = JS_FALSE;
        if (!call_library(turn_function, 0, NULL, &more)) {
            uncaught();
            continue;
        }
        if (!JS_ToBool(ctx, more))
            break;
    }
    JS_PromiseMarkAsHandled(ctx, argv[0]);
    track_rejection(ctx, argv[0], JS_UNDEFINED, true, NULL);
    JSValue array = JS_NewArray(ctx);
    JS_DefinePropertyValueUint32(ctx, array, 0, JS_NewInt32(ctx, JS_PromiseState(ctx, argv[0])), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, array, 1, JS_PromiseResult(ctx, argv[0]), JS_PROP_C_W_E);
    return array;
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("answer", 1, answer),
    JS_CFUNC_DEF("fail", 3, fail),
    JS_CFUNC_DEF("exit", 1, leave),
    JS_CFUNC_DEF("settle", 1, settle),
};

/* ── an event ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* What library/lambda.js takes behind the event, in this order; see sdk/abi.md, section 2.1. */
static const char *const FIELDS[] = {
    "request_id",  "function_name", "function_version", "function_arn", "memory_limit_mb",
    "log_group",   "log_stream",    "deadline_ms",      "trace_id",     "client_context",
};
#define FIELD_COUNT COUNT(FIELDS)

static bool is(const char *name, const uint8_t *key, size_t length)
{
    return strlen(name) == length && !memcmp(name, key, length);
}

/* A short string, as all keys of an envelope are; NULL if it is something else. */
static const uint8_t *short_string(const uint8_t **at, const uint8_t *end, size_t *length)
{
    if (*at >= end)
        return NULL;
    uint8_t tag = *(*at)++;
    if (tag >= 0xa0 && tag <= 0xbf)
        *length = tag & 31;
    else if (tag == 0xd9 && *at < end)
        *length = *(*at)++;
    else
        return NULL;
    if ((size_t)(end - *at) < *length)
        return NULL;
    const uint8_t *from = *at;
    *at += *length;
    return from;
}

static bool map_count(const uint8_t **at, const uint8_t *end, uint32_t *count)
{
    if (*at < end && (**at & 0xf0) == 0x80) {
        *count = *(*at)++ & 15;
        return true;
    }
    if (end - *at > 2 && **at == 0xde) {
        *count = (uint32_t)(*at)[1] << 8 | (*at)[2];
        *at += 3;
        return true;
    }
    return false;
}

static bool read_context(const uint8_t **at, const uint8_t *end, JSValue *fields)
{
    uint32_t count;
    if (!map_count(at, end, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        size_t length;
        const uint8_t *key = short_string(at, end, &length);
        if (!key)
            return false;
        if (is("entropy", key, length) && end - *at >= 18 && **at == 0xc4 && (*at)[1] == 16) {
            host_seed(*at + 2);
            *at += 18;
            continue;
        }
        JSValue value = codec_decode(at, end, BIN_AS_BASE64);
        if (JS_IsException(value))
            return false;
        for (int f = 0; f < FIELD_COUNT; f++)
            if (is(FIELDS[f], key, length)) {
                fields[f] = value;
                value = JS_UNDEFINED;
            }
        JS_FreeValue(context, value);
    }
    return true;
}

/* The event and then the context's fields. */
static bool read_envelope(const uint8_t *at, const uint8_t *end, JSValue *arguments)
{
    uint32_t count;
    if (!map_count(&at, end, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        size_t length;
        const uint8_t *key = short_string(&at, end, &length);
        if (!key)
            return false;
        if (is("context", key, length)) {
            if (!read_context(&at, end, arguments + 1))
                return false;
            continue;
        }
        JSValue value = codec_decode(&at, end, BIN_AS_BASE64);
        if (JS_IsException(value))
            return false;
        if (is("event", key, length))
            arguments[0] = value;
        else
            JS_FreeValue(context, value);
    }
    return true;
}

static void handle(const uint8_t *event, size_t length)
{
    JSValue arguments[1 + FIELD_COUNT];
    for (int i = 0; i < COUNT(arguments); i++)
        arguments[i] = JS_UNDEFINED;
    answered = false;
    if (!read_envelope(event, event + length, arguments)) {
        if (!JS_HasException(context))
            JS_ThrowInternalError(context, "the event's envelope is malformed");
        fail_plainly();
        return;
    }
    if (!call_library(invoke_function, COUNT(arguments), arguments, NULL))
        uncaught();
    if (!answered)
        run();
    for (int i = 0; i < COUNT(arguments); i++)
        JS_FreeValue(context, arguments[i]);
    if (!answered) { /* the loop of a library without mistakes ends with an answer */
        JS_ThrowInternalError(context, "nothing was answered");
        fail_plainly();
    }
    if (outcome.failed) {
        JS_ThrowOutOfMemory(context);
        fail_plainly();
    }
}

/* ── the exports ─────────────────────────────────────────────────────────────────────────────────────────────── */

/* An envelope with an event of nothing: it makes the allocations and fills the caches that the first event would. */
static const uint8_t NOTHING[] =
    "\x82\xa5" "event" "\x80\xa7" "context" "\x88\xaa" "request_id" "\xa0\xad" "function_name" "\xa0\xb0"
    "function_version" "\xa0\xac" "function_arn" "\xa0\xaf" "memory_limit_mb" "\x01\xa9" "log_group" "\xa0\xaa"
    "log_stream" "\xa0\xab" "deadline_ms" "\x01";

void EXPORT(isolet_boot)(void)
{
    runtime = JS_NewRuntime();
    context = runtime ? JS_NewContext(runtime) : NULL;
    if (!context)
        __builtin_trap();
    JS_SetMaxStackSize(runtime, STACK_BYTES);
    JS_SetHostPromiseRejectionTracker(runtime, track_rejection, NULL);
    input = malloc(EVENT_BYTES);
    input_length = input ? EVENT_BYTES : 0;

    JSValue native = JS_NewObject(context);
    host_install(native);
    modules_install(native);
    text_install(native);
    hash_install(native);
    files_install(native);
    inspect_install(native);
    flate_install(native);
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
    JS_SetPropertyStr(context, native, "shared",
                      JS_NewArrayBuffer(context, (uint8_t *)shared, sizeof shared, 0, NULL, NULL, false));

    size_t length;
    char *source = host_library("main", &length);
    JSValue main = source ? modules_script(source, length, "node:internal/main") : JS_EXCEPTION;
    free(source);
    if (!JS_IsException(main))
        library = JS_Call(context, main, JS_UNDEFINED, 1, (JSValueConst *)&native);
    if (JS_IsException(main) || JS_IsException(library)) {
        JSValue error = JS_GetException(context);
        JSValue stack = JS_GetPropertyStr(context, error, "stack");
        const char *text = JS_ToCString(context, error), *trace = JS_ToCString(context, stack);
        if (text)
            host_say(5, text, strlen(text));
        if (trace)
            host_say(5, trace, strlen(trace));
        __builtin_trap();
    }
    JS_FreeValue(context, main);
    invoke_function = method("invoke");
    ticks_function = method("runTicks");
    turn_function = method("turn");
    unhandled_function = method("unhandledRejection");
    uncaught_function = method("uncaughtException");
    handle(NOTHING, sizeof NOTHING - 1);
    JS_RunGC(runtime);
}

void EXPORT(isolet_init)(void)
{
    if (!context)
        isolet_boot();
    initialising = true;
    answered = false;
    uint8_t entropy[16];
    if (!__wasi_random_get(entropy, sizeof entropy))
        host_seed(entropy);
    JSValue start = method("start");
    if (!call_library(start, 0, NULL, NULL))
        uncaught();
    drain();
    if (exiting) {
        JSValue kept = method("keepExit");
        call_library(kept, 0, NULL, NULL);
        exiting = false;
    }
    initialising = false;
    JS_RunGC(runtime);
}

uint8_t *EXPORT(isolet_buffer)(uint32_t length)
{
    if (length > input_length) {
        free(input);
        input = malloc(length);
        input_length = input ? length : 0;
    }
    return input;
}

uint64_t EXPORT(isolet_handle)(const uint8_t *event, uint32_t length)
{
    handle(event, length);
    return (uint64_t)(uintptr_t)outcome.bytes << 32 | (uint32_t)outcome.length;
}
