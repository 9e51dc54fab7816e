/*
 * The imports as JavaScript functions, and the generator behind Math.random.
 *
 * Laws:
 * - Math.random's state is seeded from the entropy of each invocation before any code of the function's runs in it.
 * - crypto's bytes come from the host (random_get) every time: none are kept in a snapshot.
 * - `call` answers the reply, or the negative status as a number: what a status means is the library's business.
 */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

#define IMPORT(name) __attribute__((import_module("isolet"), import_name(name)))

IMPORT("call") int32_t isolet_call(const void *ptr, uint32_t length);
IMPORT("take") int32_t isolet_take(void *ptr);
IMPORT("log") void isolet_log(int32_t level, const void *ptr, uint32_t length);
IMPORT("library") int32_t isolet_library(const void *ptr, uint32_t length);

/* ── capabilities ────────────────────────────────────────────────────────────────────────────────────────────── */

static JSValue call(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Bytes request = {0};
    if (!codec_encode(&request, argv[0], true)) {
        free(request.bytes);
        return JS_EXCEPTION;
    }
    int32_t length = isolet_call(request.bytes, (uint32_t)request.length);
    free(request.bytes);
    if (length < 0)
        return JS_NewInt32(ctx, length);
    uint8_t *reply = malloc((size_t)length + 1);
    if (!reply)
        return JS_ThrowOutOfMemory(ctx);
    isolet_take(reply);
    const uint8_t *at = reply;
    JSValue value = codec_decode(&at, reply + length, BIN_AS_ARRAY);
    free(reply);
    return value;
}

char *host_library(const char *name, size_t *length)
{
    int32_t size = isolet_library(name, (uint32_t)strlen(name));
    if (size < 0)
        return NULL;
    char *file = malloc((size_t)size + 1);
    if (!file)
        return NULL;
    isolet_take(file);
    file[size] = 0;
    *length = (size_t)size;
    return file;
}

/* ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────── */

void host_say(int level, const char *text, size_t length)
{
    isolet_log(level, text, (uint32_t)length);
}

/* One entry of the log for each line, with a level. */
static JSValue log_lines(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int level;
    size_t length;
    if (JS_ToInt32(ctx, &level, argv[0]) < 0)
        return JS_EXCEPTION;
    const char *text = JS_ToCStringLen(ctx, &length, argv[1]);
    if (!text)
        return JS_EXCEPTION;
    const char *at = text, *end = text + length;
    for (const char *newline; (newline = memchr(at, '\n', end - at)); at = newline + 1)
        host_say(level, at, newline - at);
    if (at < end || at == text)
        host_say(level, at, end - at);
    JS_FreeCString(ctx, text);
    return JS_UNDEFINED;
}

/* Bytes to stdout (1) or stderr (2), as process.stdout.write. */
static JSValue write_stream(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int stream;
    if (JS_ToInt32(ctx, &stream, argv[0]) < 0)
        return JS_EXCEPTION;
    VIEW(bytes, argv[1])
    for (size_t done = 0; done < bytes_length;) {
        ssize_t n = write(stream == 2 ? 2 : 1, bytes + done, bytes_length - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return JS_UNDEFINED;
}

/* ── random ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static uint64_t random_state[2] = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9};

void host_seed(const uint8_t entropy[16])
{
    memcpy(random_state, entropy, 16);
    if (!(random_state[0] | random_state[1])) /* the one state that xorshift never leaves */
        random_state[0] = 1;
}

/* xorshift128+; 53 bits of it. */
static JSValue math_random(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    uint64_t a = random_state[0], b = random_state[1];
    random_state[0] = b;
    a ^= a << 23;
    random_state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return JS_NewFloat64(ctx, (double)((random_state[1] + b) >> 11) * 0x1p-53);
}

/* Fills a Uint8Array. */
static JSValue random_fill(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(bytes, argv[0])
    for (size_t done = 0; done < bytes_length;) {
        size_t part = bytes_length - done < 65536 ? bytes_length - done : 65536;
        if (__wasi_random_get(bytes + done, part))
            return JS_ThrowInternalError(ctx, "the host gave no random bytes");
        done += part;
    }
    return JS_UNDEFINED;
}

/* ── clocks, environment, memory ───────────────────────────────────────────────────────────────────────────────── */

/* Nanoseconds of the monotonic clock, as a BigInt with `argv[0]`, else as milliseconds with a fraction. */
static JSValue monotonic(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    __wasi_timestamp_t now = 0;
    (void)!__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now);
    if (argc > 0 && JS_ToBool(ctx, argv[0]))
        return JS_NewBigUint64(ctx, now);
    return JS_NewFloat64(ctx, (double)now / 1e6);
}

/* `K=V` strings, straight from the host: libc's copy is of the boot. */
static JSValue environment(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    __wasi_size_t count, size;
    if (__wasi_environ_sizes_get(&count, &size))
        return JS_NewArray(ctx);
    uint8_t **entries = malloc((count + 1) * sizeof *entries);
    uint8_t *block = malloc(size + 1);
    JSValue array = JS_NewArray(ctx);
    if (entries && block && !__wasi_environ_get(entries, block))
        for (__wasi_size_t i = 0; i < count; i++) {
            JSValue entry = text_from_utf8(entries[i], strlen((char *)entries[i]));
            JS_DefinePropertyValueUint32(ctx, array, i, entry, JS_PROP_C_W_E);
        }
    free(entries);
    free(block);
    return array;
}

static JSValue library_file(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *name = JS_ToCString(ctx, argv[0]);
    if (!name)
        return JS_EXCEPTION;
    size_t length;
    char *file = host_library(name, &length);
    JS_FreeCString(ctx, name);
    if (!file)
        return JS_UNDEFINED;
    JSValue text = JS_NewStringLen(ctx, file, length);
    free(file);
    return text;
}

/* Bytes of linear memory, and of those how many JavaScript's values hold. */
static JSValue memory(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JSMemoryUsage usage;
    JS_ComputeMemoryUsage(runtime, &usage);
    JSValue array = JS_NewArray(ctx);
    JS_DefinePropertyValueUint32(ctx, array, 0, JS_NewInt64(ctx, (int64_t)__builtin_wasm_memory_size(0) * 65536),
                                 JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, array, 1, JS_NewInt64(ctx, usage.malloc_size), JS_PROP_C_W_E);
    return array;
}

static JSValue collect(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JS_RunGC(runtime);
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("call", 1, call),
    JS_CFUNC_DEF("log", 2, log_lines),
    JS_CFUNC_DEF("write", 2, write_stream),
    JS_CFUNC_DEF("random", 0, math_random),
    JS_CFUNC_DEF("randomFill", 1, random_fill),
    JS_CFUNC_DEF("monotonic", 1, monotonic),
    JS_CFUNC_DEF("environment", 0, environment),
    JS_CFUNC_DEF("libraryFile", 1, library_file),
    JS_CFUNC_DEF("memory", 0, memory),
    JS_CFUNC_DEF("collect", 0, collect),
};

void host_install(JSValueConst native)
{
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
}
