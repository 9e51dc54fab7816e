/*
 * The JavaScript interpreter's shim: what lies between QuickJS and the host (sdk/abi.md).
 *
 *   shim.c      the exports, the loop of jobs and ticks, what an invocation is
 *   codec.c     msgpack to JavaScript values and back, by the rules of JSON
 *   host.c      the imports as JavaScript functions: capabilities, log, clocks, random bytes, environment
 *   modules.c   compiling and linking: CommonJS wrappers and ES modules; what and where is the library's business
 *   text.c      bytes to strings and back: UTF-8, UTF-16, Latin-1, hex, base64
 *   hash.c      MD5, SHA-1, SHA-2
 *   files.c     /var/task and /tmp
 *   inspect.c   what JavaScript itself cannot ask of a value
 *   flate.c     DEFLATE, both ways, and the two checksums
 *   callee.c    what is not a function, in the words of the source
 *
 * Laws:
 * - One runtime and one context for the life of the instance. Nothing is freed for freeing's sake: the instance ends.
 * - A function of the user's never fails initialisation: what it threw is kept and answers the first event.
 * - No C function believes a length that came from outside further than there are bytes.
 */
#ifndef ISOLET_SHIM_H
#define ISOLET_SHIM_H

#include "quickjs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

extern JSRuntime *runtime;
extern JSContext *context;
/* What library/main.js handed to us: functions that C calls. */
extern JSValue library;

/* Set in quickjs.c by the recipe's patches. */
extern JSValue isolet_prepare_stack; /* called where Error.prepareStackTrace is not set */
extern int isolet_keep_source;       /* whether functions keep their text for toString */

/* A buffer that grows. `failed` once memory ran out; then nothing is written any more. */
typedef struct {
    uint8_t *bytes;
    size_t length, capacity;
    bool failed;
} Bytes;

bool bytes_reserve(Bytes *b, size_t more);
void bytes_put(Bytes *b, const void *from, size_t length);
void bytes_byte(Bytes *b, uint8_t byte);

/* codec.c */
typedef enum { BIN_AS_BASE64, BIN_AS_ARRAY } BinForm;
JSValue codec_decode(const uint8_t **at, const uint8_t *end, BinForm form);
/* False: an exception is pending. `bin`: Uint8Arrays become bin, in place of what JSON makes of them. */
bool codec_encode(Bytes *out, JSValueConst value, bool bin);
void codec_put_string(Bytes *out, const char *utf8, size_t length);
void codec_put_map(Bytes *out, uint32_t count);
void codec_put_array(Bytes *out, uint32_t count);
bool codec_put_text(Bytes *out, JSValueConst string);

/* Each adds its functions to the object `native`. */
void host_install(JSValueConst native);
void modules_install(JSValueConst native);
void text_install(JSValueConst native);
void hash_install(JSValueConst native);
void files_install(JSValueConst native);
void inspect_install(JSValueConst native);
void flate_install(JSValueConst native);


/* host.c */
void host_seed(const uint8_t entropy[16]);
char *host_library(const char *name, size_t *length); /* malloc'ed, with a NUL behind it; NULL: no such file */
void host_say(int level, const char *text, size_t length);

/* callee.c; called by quickjs.c */
bool isolet_callee(const char *text, size_t length, int line, int column, char *to, size_t room);

/* text.c */
size_t base64_length(size_t length);
void base64_encode(char *out, const uint8_t *bytes, size_t length);
JSValue text_from_utf8(const uint8_t *bytes, size_t length); /* what is not UTF-8 becomes U+FFFD, as in WHATWG's */

/* modules.c */
JSValue modules_script(const char *source, size_t length, const char *filename);

/* The bytes of a Uint8Array; NULL, with an exception pending, for anything else. */
uint8_t *view(JSValueConst value, size_t *length);
#define VIEW(name, value) \
    size_t name##_length; \
    uint8_t *name = view(value, &name##_length); \
    if (!name) \
        return JS_EXCEPTION;

#endif
