/* isolet.h: write an isolet function in C (guest ABI version 1, ../abi.md). One header, nothing to link.
 *
 *     #include "isolet.h"
 *
 *     static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
 *         isolet_str name = isolet_string(isolet_get(event, "name"));
 *         if (!name.data) return isolet_fail(result, "NameMissing", "the event has no `name`");
 *         isolet_put_map(result, 1);
 *         isolet_put_str(result, "hello"), isolet_put_strn(result, name.data, name.len);
 *         return 0;
 *     }
 *     ISOLET_HANDLER(handle)
 *
 * Build: zig cc -target wasm32-wasi -mexec-model=reactor -O2 -s hello.c -o hello.wasm
 * With -DISOLET_NATIVE the same source becomes an ordinary program, for debuggers and sanitizers: it reads envelopes from
 * standard input and writes outcomes to standard output, each with its length before it as four bytes, big end first.
 *
 * Laws:
 * - A handler answers 0, having written exactly one value to `result` (nothing at all means nil), or the value of
 *   isolet_fail. Whatever it wrote before isolet_fail is dropped.
 * - Reading never fails loudly and never leaves the event: what is absent, of another type or malformed reads as the
 *   fallback. A string is not NUL-terminated: print it with "%.*s", (int)s.len, s.data.
 * - Values and strings point into the event; they and all isolet_alloc memory live until the invocation ends. There is
 *   no free: so does the isolate.
 * - What is not used is not linked: a function that formats nothing carries no printf, and imports nothing.
 * - A capability (kv, fetch, invoke, a secret) answers an isolet_status, ISOLET_OK or why not, and fills an isolet_error:
 *   `if (isolet_kv_get("counters", key, &entry, &error)) return isolet_fail_with(result, &error);`
 * - Several source files may include this one; exactly one says ISOLET_HANDLER.
 */
#ifndef ISOLET_H
#define ISOLET_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef ISOLET_NATIVE
#include <sys/random.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define ISOLET_API static inline __attribute__((unused))

/* What the host asks for when the snapshot is made (abi.md 1.1). An event that fits costs no call for a buffer; the outcome
 * is written behind it, on the same page if it is small, and the arena begins in what is left. So a small invocation touches
 * few pages, each a fault, and grows no memory. */
#define ISOLET_INPUT_BYTES 65536u
#define ISOLET_OUTCOME_BYTES 1024u /* at least, before the outcome moves into the arena */
#define ISOLET_PAGE_BYTES 65536u
/* Nesting that isolet_valid accepts. Reading needs no bound: it does not recurse. */
#define ISOLET_DEPTH_MAX 512
#define ISOLET_HEADERS_MAX 16
#define ISOLET_COOKIES_MAX 8

/* ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef enum {
    ISOLET_ABSENT, /* no such key, or bytes that are not msgpack */
    ISOLET_NIL,
    ISOLET_BOOL,
    ISOLET_INT,
    ISOLET_FLOAT,
    ISOLET_STR,
    ISOLET_BIN,
    ISOLET_ARRAY,
    ISOLET_MAP
} isolet_type;

typedef enum { ISOLET_TRACE, ISOLET_DEBUG, ISOLET_INFO, ISOLET_WARN, ISOLET_ERROR, ISOLET_FATAL } isolet_level;

/* What isolet_call answers when it fails (abi.md 4). */
enum {
    ISOLET_E_MALFORMED = -1,
    ISOLET_E_UNKNOWN = -2,
    ISOLET_E_NOT_GRANTED = -3,
    ISOLET_E_REFUSED = -4,
    ISOLET_E_NO_REPLY = -5,
    ISOLET_E_HOST = -6,
    ISOLET_E_NO_MEMORY = -100 /* ours: the request or its reply does not fit in memory */
};

/* Text or bytes somewhere in memory. `data` is NULL for what is not there. */
typedef struct {
    const char *data;
    size_t len;
} isolet_str;

/* One value, still encoded: `at` is its first byte, `end` the end of what contains it. `at` is NULL for ISOLET_ABSENT. */
typedef struct {
    const uint8_t *at, *end;
} isolet_value;

typedef struct {
    uint8_t *start, *at, *end;
    bool full;   /* memory ran out: what is in it is not whole */
    bool failed; /* isolet_fail was called */
} isolet_writer;

typedef struct {
    isolet_value envelope, map;
} isolet_context;

typedef int (*isolet_handler)(isolet_value event, isolet_context *context, isolet_writer *result);

/* All that the library keeps. The fields that every invocation writes lie before the input's first bytes, on its page. */
typedef struct {
    uint8_t *arena_at, *arena_end;
    isolet_writer out;
    isolet_context context;
    uint8_t input[ISOLET_INPUT_BYTES];
} isolet_state;

extern isolet_state isolet__state;

/* ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

#ifdef ISOLET_NATIVE
typedef struct isolet_chunk {
    struct isolet_chunk *next;
    size_t bytes;
} isolet_chunk;
extern isolet_chunk *isolet__chunks;

ISOLET_API uint8_t *isolet__grow(size_t bytes) {
    isolet_chunk *chunk = (isolet_chunk *)malloc(sizeof(isolet_chunk) + bytes);
    if (!chunk) return NULL;
    chunk->next = isolet__chunks;
    isolet__chunks = chunk;
    return (uint8_t *)(chunk + 1);
}
#else
/* New pages from the engine. It goes around malloc, which takes its own and does not mind foreign ones between them. */
ISOLET_API uint8_t *isolet__grow(size_t bytes) {
    size_t before = __builtin_wasm_memory_grow(0, bytes / ISOLET_PAGE_BYTES);
    return before == SIZE_MAX ? NULL : (uint8_t *)(before * ISOLET_PAGE_BYTES);
}
#endif

/* Room for `bytes` more at the arena's end; false if memory is at its limit. */
ISOLET_API bool isolet__arena(size_t bytes) {
    if ((size_t)(isolet__state.arena_end - isolet__state.arena_at) >= bytes) return true;
    if (bytes > SIZE_MAX - ISOLET_PAGE_BYTES) return false;
    size_t grown = (bytes + ISOLET_PAGE_BYTES - 1) & ~(size_t)(ISOLET_PAGE_BYTES - 1);
    uint8_t *pages = isolet__grow(grown);
    if (!pages) return false;
    if (pages != isolet__state.arena_end) isolet__state.arena_at = pages;
    isolet__state.arena_end = pages + grown;
    return true;
}

/* `bytes` of memory, aligned to 16 and not cleared, until the invocation ends; NULL if there is none. */
ISOLET_API void *isolet_alloc(size_t bytes) {
    if (bytes > SIZE_MAX - 15 || !isolet__arena(bytes + 15)) return NULL;
    uint8_t *at = (uint8_t *)(((uintptr_t)isolet__state.arena_at + 15) & ~(uintptr_t)15);
    isolet__state.arena_at = at + bytes;
    return at;
}

/* ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The first byte of a value, taken apart. `count` is the bytes of a string or binary, the elements of an array, the
 * pairs of a map; `bits` a scalar's value. */
typedef struct {
    isolet_type type;
    bool negative;
    uint32_t count;
    uint64_t bits;
    const uint8_t *body;
} isolet__head;

ISOLET_API uint64_t isolet__big_endian(const uint8_t *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value = value << 8 | at[i];
    return value;
}

ISOLET_API int64_t isolet__sign_extend(uint64_t bits, unsigned bytes) {
    unsigned shift = 64 - 8 * bytes;
    return (int64_t)(bits << shift) >> shift;
}

/* False if [at, end) does not begin with a whole head (and, for strings and binary, the bytes that it announces), or
 * begins with what the ABI has not: 0xc1 and the extension types. */
ISOLET_API bool isolet__read_head(const uint8_t *at, const uint8_t *end, isolet__head *head) {
    if (!at || at >= end) return false;
    uint8_t byte = *at++;
    unsigned wide = 0;
    head->negative = false;
    head->count = 0;
    head->bits = 0;
    if (byte < 0x80) {
        head->type = ISOLET_INT;
        head->bits = byte;
    } else if (byte < 0x90) {
        head->type = ISOLET_MAP;
        head->count = byte & 0x0f;
    } else if (byte < 0xa0) {
        head->type = ISOLET_ARRAY;
        head->count = byte & 0x0f;
    } else if (byte < 0xc0) {
        head->type = ISOLET_STR;
        head->count = byte & 0x1f;
    } else if (byte >= 0xe0) {
        head->type = ISOLET_INT;
        head->negative = true;
        head->bits = (uint64_t)(int64_t)(int8_t)byte;
    } else {
        switch (byte) {
        case 0xc0: head->type = ISOLET_NIL; break;
        case 0xc2: case 0xc3: head->type = ISOLET_BOOL; head->bits = byte & 1; break;
        case 0xc4: case 0xc5: case 0xc6: head->type = ISOLET_BIN; wide = 1u << (byte - 0xc4); break;
        case 0xca: case 0xcb: head->type = ISOLET_FLOAT; wide = byte == 0xca ? 4 : 8; break;
        case 0xcc: case 0xcd: case 0xce: case 0xcf: head->type = ISOLET_INT; wide = 1u << (byte - 0xcc); break;
        case 0xd0: case 0xd1: case 0xd2: case 0xd3: head->type = ISOLET_INT; wide = 1u << (byte - 0xd0); break;
        case 0xd9: case 0xda: case 0xdb: head->type = ISOLET_STR; wide = 1u << (byte - 0xd9); break;
        case 0xdc: case 0xdd: head->type = ISOLET_ARRAY; wide = 2u << (byte - 0xdc); break;
        case 0xde: case 0xdf: head->type = ISOLET_MAP; wide = 2u << (byte - 0xde); break;
        default: return false;
        }
        if ((size_t)(end - at) < wide) return false;
        uint64_t number = isolet__big_endian(at, wide);
        at += wide;
        if (head->type == ISOLET_INT) {
            bool is_signed = byte >= 0xd0;
            head->bits = is_signed ? (uint64_t)isolet__sign_extend(number, wide) : number;
            head->negative = is_signed && (int64_t)head->bits < 0;
        } else if (head->type == ISOLET_FLOAT) {
            if (wide == 4) {
                uint32_t single = (uint32_t)number;
                float value;
                memcpy(&value, &single, 4);
                double doubled = value;
                memcpy(&number, &doubled, 8);
            }
            head->bits = number;
        } else if (wide) {
            head->count = (uint32_t)number;
        }
    }
    head->body = at;
    bool has_bytes = head->type == ISOLET_STR || head->type == ISOLET_BIN;
    return !has_bytes || (size_t)(end - at) >= head->count;
}

/* The byte after the value at `at`, or NULL if no whole value begins there. Nesting is counted, not recursed into; each
 * pending value needs a byte, so a lying head is refused at once. */
ISOLET_API const uint8_t *isolet__skip(const uint8_t *at, const uint8_t *end) {
    uint64_t pending = 1;
    isolet__head head;
    do {
        if (!isolet__read_head(at, end, &head)) return NULL;
        at = head.body;
        pending--;
        if (head.type == ISOLET_STR || head.type == ISOLET_BIN) at += head.count;
        else if (head.type == ISOLET_ARRAY) pending += head.count;
        else if (head.type == ISOLET_MAP) pending += 2 * (uint64_t)head.count;
        if (pending > (uint64_t)(end - at)) return NULL;
    } while (pending);
    return at;
}

ISOLET_API isolet_type isolet_typeof(isolet_value value) {
    isolet__head head;
    return isolet__read_head(value.at, value.end, &head) ? head.type : ISOLET_ABSENT;
}

ISOLET_API bool isolet_bool(isolet_value value, bool fallback) {
    isolet__head head;
    return isolet__read_head(value.at, value.end, &head) && head.type == ISOLET_BOOL ? head.bits != 0 : fallback;
}

/* `fallback` also for an integer beyond the range. */
ISOLET_API int64_t isolet_int(isolet_value value, int64_t fallback) {
    isolet__head head;
    if (!isolet__read_head(value.at, value.end, &head) || head.type != ISOLET_INT) return fallback;
    return head.negative || head.bits <= INT64_MAX ? (int64_t)head.bits : fallback;
}

ISOLET_API uint64_t isolet_uint(isolet_value value, uint64_t fallback) {
    isolet__head head;
    if (!isolet__read_head(value.at, value.end, &head) || head.type != ISOLET_INT) return fallback;
    return head.negative ? fallback : head.bits;
}

/* A float or an integer: JSON does not tell 1 from 1.0. */
ISOLET_API double isolet_double(isolet_value value, double fallback) {
    isolet__head head;
    if (!isolet__read_head(value.at, value.end, &head)) return fallback;
    if (head.type == ISOLET_INT) return head.negative ? (double)(int64_t)head.bits : (double)head.bits;
    if (head.type != ISOLET_FLOAT) return fallback;
    double number;
    memcpy(&number, &head.bits, 8);
    return number;
}

ISOLET_API isolet_str isolet_string(isolet_value value) {
    isolet__head head;
    isolet_str text = {NULL, 0};
    if (isolet__read_head(value.at, value.end, &head) && head.type == ISOLET_STR) {
        text.data = (const char *)head.body;
        text.len = head.count;
    }
    return text;
}

/* The bytes of a binary, or of a string: a body is either. */
ISOLET_API isolet_str isolet_bytes(isolet_value value) {
    isolet__head head;
    isolet_str bytes = {NULL, 0};
    if (isolet__read_head(value.at, value.end, &head) && (head.type == ISOLET_STR || head.type == ISOLET_BIN)) {
        bytes.data = (const char *)head.body;
        bytes.len = head.count;
    }
    return bytes;
}

/* Elements of an array, pairs of a map, bytes of a string or binary; 0 for anything else. */
ISOLET_API size_t isolet_len(isolet_value value) {
    isolet__head head;
    return isolet__read_head(value.at, value.end, &head) ? head.count : 0;
}

/* Walks an array or a map: `while (isolet_next(&each, &key, &value))`. `key` may be NULL; it is absent in an array.
 * Ends early where the bytes are malformed. */
typedef struct {
    const uint8_t *at, *end;
    uint32_t left;
    bool map;
} isolet_each;

ISOLET_API isolet_each isolet_each_of(isolet_value value) {
    isolet__head head;
    isolet_each each = {NULL, NULL, 0, false};
    if (!isolet__read_head(value.at, value.end, &head)) return each;
    if (head.type != ISOLET_ARRAY && head.type != ISOLET_MAP) return each;
    each.at = head.body;
    each.end = value.end;
    each.left = head.count;
    each.map = head.type == ISOLET_MAP;
    return each;
}

ISOLET_API bool isolet_next(isolet_each *each, isolet_value *key, isolet_value *value) {
    if (!each->left) return false;
    isolet_value found_key = {NULL, NULL};
    const uint8_t *at = each->at;
    if (each->map) {
        const uint8_t *after = isolet__skip(at, each->end);
        if (!after) return each->left = 0, false;
        found_key.at = at;
        found_key.end = after;
        at = after;
    }
    const uint8_t *after = isolet__skip(at, each->end);
    if (!after) return each->left = 0, false;
    value->at = at;
    value->end = after;
    if (key) *key = found_key;
    each->at = after;
    each->left--;
    return true;
}

/* The value of `key` in a map; of the first one, should it be there twice. The values before it are skipped over, not
 * looked into; the found one is not looked into either. */
ISOLET_API isolet_value isolet_getn(isolet_value map, const char *key, size_t len) {
    isolet_value absent = {NULL, NULL};
    isolet__head head;
    if (!isolet__read_head(map.at, map.end, &head) || head.type != ISOLET_MAP) return absent;
    const uint8_t *at = head.body;
    for (uint32_t left = head.count; left; left--) {
        isolet__head name;
        if (!isolet__read_head(at, map.end, &name)) return absent;
        if (name.type == ISOLET_STR) {
            at = name.body + name.count;
            if (name.count == len && !memcmp(name.body, key, len)) {
                isolet_value found = {at, map.end};
                return found;
            }
        } else if (!(at = isolet__skip(at, map.end))) {
            return absent;
        }
        if (!(at = isolet__skip(at, map.end))) return absent;
    }
    return absent;
}

ISOLET_API isolet_value isolet_get(isolet_value map, const char *key) { return isolet_getn(map, key, strlen(key)); }

ISOLET_API isolet_value isolet_at(isolet_value array, size_t index) {
    isolet_value found = {NULL, NULL}, item;
    isolet_each each = isolet_each_of(array);
    if (each.map || index >= each.left) return found;
    for (size_t i = 0; isolet_next(&each, NULL, &item); i++)
        if (i == index) return item;
    return found;
}

ISOLET_API bool isolet_is(isolet_str text, const char *literal) {
    size_t len = strlen(literal);
    return text.data && text.len == len && !memcmp(text.data, literal, len);
}

ISOLET_API isolet_str isolet_text(const char *literal) {
    isolet_str text = {literal, literal ? strlen(literal) : 0};
    return text;
}

ISOLET_API bool isolet_utf8(isolet_str text) {
    const uint8_t *at = (const uint8_t *)text.data, *end = at + text.len;
    while (at < end) {
        if (*at < 0x80) {
            at++;
            continue;
        }
        unsigned more = *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : 1;
        if (*at < 0xc2 || *at > 0xf4 || (size_t)(end - at) <= more) return false;
        for (unsigned i = 1; i <= more; i++)
            if ((at[i] & 0xc0) != 0x80) return false;
        /* Overlong forms, surrogates, and beyond U+10FFFF show in the second byte. */
        if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f)) return false;
        if ((*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f)) return false;
        at += more + 1;
    }
    return true;
}

/* Whether `bytes` is exactly one value as the ABI wants them: nothing behind it, no extension types, keys and strings of
 * UTF-8, no deeper than ISOLET_DEPTH_MAX. For bytes from elsewhere: the host writes nothing else. */
ISOLET_API bool isolet_valid(isolet_str bytes) {
    const uint8_t *at = (const uint8_t *)bytes.data, *end = at + bytes.len;
    struct {
        uint64_t left;
        bool map;
    } open[ISOLET_DEPTH_MAX + 1];
    unsigned depth = 0;
    open[0].left = 1;
    open[0].map = false;
    for (;;) {
        while (open[depth].left == 0) {
            if (depth == 0) return at == end;
            depth--;
        }
        isolet__head head;
        if (!isolet__read_head(at, end, &head)) return false;
        bool is_key = open[depth].map && open[depth].left % 2 == 0;
        if (is_key && head.type != ISOLET_STR) return false;
        open[depth].left--;
        at = head.body;
        if (head.type == ISOLET_STR || head.type == ISOLET_BIN) {
            isolet_str text = {(const char *)at, head.count};
            if (head.type == ISOLET_STR && !isolet_utf8(text)) return false;
            at += head.count;
        } else if (head.type == ISOLET_ARRAY || head.type == ISOLET_MAP) {
            if (depth == ISOLET_DEPTH_MAX) return false;
            depth++;
            open[depth].map = head.type == ISOLET_MAP;
            open[depth].left = (uint64_t)head.count << open[depth].map;
            if (open[depth].left > (uint64_t)(end - at)) return false;
        }
    }
}

/* ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes room for `bytes` more; false, and the writer is full, if memory is at its limit. */
ISOLET_API bool isolet__reserve(isolet_writer *to, size_t bytes) {
    if ((size_t)(to->end - to->at) >= bytes) return true;
    if (to->full) return false;
    size_t used = (size_t)(to->at - to->start), room = (size_t)(to->end - to->start);
    if (bytes > SIZE_MAX / 4 || room > SIZE_MAX / 4) return to->full = true, false;
    size_t wanted = used + bytes > 2 * room ? used + bytes : 2 * room;
    bool last = to->start && to->end == isolet__state.arena_at; /* nobody behind us: extend in place */
    if (!isolet__arena(last ? wanted - room : wanted)) return to->full = true, false;
    if (last && to->end == isolet__state.arena_at) {
        to->end = isolet__state.arena_at = to->start + wanted;
        return true;
    }
    if (!isolet__arena(wanted)) return to->full = true, false;
    uint8_t *fresh = isolet__state.arena_at;
    if (used) memcpy(fresh, to->start, used);
    to->start = fresh;
    to->at = fresh + used;
    to->end = isolet__state.arena_at = fresh + wanted;
    return true;
}

/* Bytes as they are: for what is encoded already. */
ISOLET_API void isolet_put_raw(isolet_writer *to, const void *bytes, size_t len) {
    if (!len || !isolet__reserve(to, len)) return;
    memcpy(to->at, bytes, len);
    to->at += len;
}

ISOLET_API void isolet__put_head(isolet_writer *to, uint8_t byte, uint64_t number, unsigned wide) {
    if (!isolet__reserve(to, 1 + wide)) return;
    *to->at++ = byte;
    for (unsigned i = wide; i--;) *to->at++ = (uint8_t)(number >> (8 * i));
}

ISOLET_API void isolet_put_nil(isolet_writer *to) { isolet__put_head(to, 0xc0, 0, 0); }
ISOLET_API void isolet_put_bool(isolet_writer *to, bool value) { isolet__put_head(to, value ? 0xc3 : 0xc2, 0, 0); }

ISOLET_API void isolet_put_uint(isolet_writer *to, uint64_t value) {
    if (value < 0x80) isolet__put_head(to, (uint8_t)value, 0, 0);
    else if (value <= UINT8_MAX) isolet__put_head(to, 0xcc, value, 1);
    else if (value <= UINT16_MAX) isolet__put_head(to, 0xcd, value, 2);
    else if (value <= UINT32_MAX) isolet__put_head(to, 0xce, value, 4);
    else isolet__put_head(to, 0xcf, value, 8);
}

ISOLET_API void isolet_put_int(isolet_writer *to, int64_t value) {
    if (value >= 0) isolet_put_uint(to, (uint64_t)value);
    else if (value >= -32) isolet__put_head(to, (uint8_t)value, 0, 0);
    else if (value >= INT8_MIN) isolet__put_head(to, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN) isolet__put_head(to, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN) isolet__put_head(to, 0xd2, (uint64_t)value, 4);
    else isolet__put_head(to, 0xd3, (uint64_t)value, 8);
}

ISOLET_API void isolet_put_double(isolet_writer *to, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    isolet__put_head(to, 0xcb, bits, 8);
}

/* `text` is UTF-8: the host refuses an outcome with any other string (isolet_utf8 tells). */
ISOLET_API void isolet_put_strn(isolet_writer *to, const char *text, size_t len) {
    if (len < 32) isolet__put_head(to, (uint8_t)(0xa0 | len), 0, 0);
    else if (len <= UINT8_MAX) isolet__put_head(to, 0xd9, len, 1);
    else if (len <= UINT16_MAX) isolet__put_head(to, 0xda, len, 2);
    else isolet__put_head(to, 0xdb, len, 4);
    isolet_put_raw(to, text, len);
}

ISOLET_API void isolet_put_str(isolet_writer *to, const char *text) { isolet_put_strn(to, text, strlen(text)); }

ISOLET_API void isolet_put_bin(isolet_writer *to, const void *bytes, size_t len) {
    if (len <= UINT8_MAX) isolet__put_head(to, 0xc4, len, 1);
    else if (len <= UINT16_MAX) isolet__put_head(to, 0xc5, len, 2);
    else isolet__put_head(to, 0xc6, len, 4);
    isolet_put_raw(to, bytes, len);
}

/* `count` values must follow. */
ISOLET_API void isolet_put_array(isolet_writer *to, uint32_t count) {
    if (count < 16) isolet__put_head(to, (uint8_t)(0x90 | count), 0, 0);
    else if (count <= UINT16_MAX) isolet__put_head(to, 0xdc, count, 2);
    else isolet__put_head(to, 0xdd, count, 4);
}

/* `count` pairs must follow: a string, then a value. */
ISOLET_API void isolet_put_map(isolet_writer *to, uint32_t count) {
    if (count < 16) isolet__put_head(to, (uint8_t)(0x80 | count), 0, 0);
    else if (count <= UINT16_MAX) isolet__put_head(to, 0xde, count, 2);
    else isolet__put_head(to, 0xdf, count, 4);
}

/* A copy of a value that was read; nil if it is absent or malformed. */
ISOLET_API void isolet_put_value(isolet_writer *to, isolet_value value) {
    const uint8_t *end = isolet__skip(value.at, value.end);
    if (end) isolet_put_raw(to, value.at, (size_t)(end - value.at));
    else isolet_put_nil(to);
}

/* An empty writer that grows in the arena, for values that do not go straight to the result. */
ISOLET_API isolet_writer isolet_scratch(void) {
    isolet_writer empty = {NULL, NULL, NULL, false, false};
    return empty;
}

/* What was written, to be read; absent if it did not fit in memory. */
ISOLET_API isolet_value isolet_written(const isolet_writer *from) {
    isolet_value value = {from->full ? NULL : from->start, from->full ? NULL : from->at};
    return value;
}

ISOLET_API int isolet__failed(isolet_writer *result, isolet_str type, isolet_str message) {
    result->at = result->start;
    result->full = false;
    result->failed = true;
    isolet_put_map(result, 1);
    isolet_put_str(result, "error");
    isolet_put_map(result, 2);
    isolet_put_str(result, "type");
    isolet_put_strn(result, type.data, type.len);
    isolet_put_str(result, "message");
    isolet_put_strn(result, message.data, message.len);
    return -1;
}

/* The outcome becomes an error. Answers what the handler is to return: `return isolet_fail(…)`. */
ISOLET_API int isolet_fail(isolet_writer *result, const char *type, const char *message) {
    return isolet__failed(result, isolet_text(type), isolet_text(message));
}

/* ── text ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

__attribute__((format(printf, 1, 0))) ISOLET_API const char *isolet_vformat(const char *format, va_list values) {
    char *text = (char *)isolet__state.arena_at;
    size_t room = (size_t)(isolet__state.arena_end - isolet__state.arena_at);
    va_list again;
    va_copy(again, values);
    int len = vsnprintf(text, room, format, again); /* mostly it fits where the arena is */
    va_end(again);
    if (len < 0 || (size_t)len == SIZE_MAX) return "";
    if ((size_t)len >= room) {
        text = (char *)isolet_alloc((size_t)len + 1);
        if (!text) return "";
        vsnprintf(text, (size_t)len + 1, format, values);
    } else {
        isolet__state.arena_at += len + 1;
    }
    return text;
}

/* Formatted text in the arena, NUL-terminated; "" if memory is at its limit. */
__attribute__((format(printf, 1, 2))) ISOLET_API const char *isolet_format(const char *format, ...) {
    va_list values;
    va_start(values, format);
    const char *text = isolet_vformat(format, values);
    va_end(values);
    return text;
}

/* isolet_fail with a formatted message. */
__attribute__((format(printf, 3, 4))) ISOLET_API int isolet_failf(isolet_writer *result, const char *type,
                                                                  const char *format, ...) {
    va_list values;
    va_start(values, format);
    const char *message = isolet_vformat(format, values);
    va_end(values);
    return isolet_fail(result, type, message);
}

ISOLET_API void isolet__json_string(isolet_writer *to, isolet_str text) {
    static const char hex[] = "0123456789abcdef";
    isolet_put_raw(to, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        isolet_put_raw(to, text.data + from, i - from);
        from = i + 1;
        char escaped[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        const char *two = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\r' ? "\\r" : NULL;
        if (two) isolet_put_raw(to, two, 2);
        else isolet_put_raw(to, escaped, 6);
    }
    isolet_put_raw(to, text.data + from, text.len - from);
    isolet_put_raw(to, "\"", 1);
}

ISOLET_API void isolet__json_base64(isolet_writer *to, isolet_str bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    isolet_put_raw(to, "\"", 1);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t three = (uint32_t)(uint8_t)bytes.data[i] << 16;
        if (left > 1) three |= (uint32_t)(uint8_t)bytes.data[i + 1] << 8;
        if (left > 2) three |= (uint8_t)bytes.data[i + 2];
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63], left > 1 ? digits[three >> 6 & 63] : '=',
                        left > 2 ? digits[three & 63] : '='};
        isolet_put_raw(to, four, 4);
    }
    isolet_put_raw(to, "\"", 1);
}

ISOLET_API void isolet__json_scalar(isolet_writer *to, isolet_value value, const isolet__head *head) {
    char digits[32];
    isolet_str bytes = isolet_bytes(value);
    double number = isolet_double(value, 0);
    switch (head->type) {
    case ISOLET_BOOL: isolet_put_raw(to, head->bits ? "true" : "false", head->bits ? 4 : 5); return;
    case ISOLET_STR: isolet__json_string(to, bytes); return;
    case ISOLET_BIN: isolet__json_base64(to, bytes); return;
    case ISOLET_INT:
        if (head->negative) snprintf(digits, sizeof digits, "%lld", (long long)(int64_t)head->bits);
        else snprintf(digits, sizeof digits, "%llu", (unsigned long long)head->bits);
        break;
    case ISOLET_FLOAT:
        if (number - number != 0) snprintf(digits, sizeof digits, "null"); /* not finite: JSON has no word for it */
        else snprintf(digits, sizeof digits, "%.17g", number);
        break;
    default: snprintf(digits, sizeof digits, "null");
    }
    isolet_put_raw(to, digits, strlen(digits));
}

/* A value as JSON text in the arena: binary becomes base64. "null" if it is absent, malformed, too deep or does not fit. */
ISOLET_API isolet_str isolet_json(isolet_value value) {
    isolet_str null = {"null", 4};
    struct {
        uint64_t left;
        bool map;
    } open[ISOLET_DEPTH_MAX];
    unsigned depth = 0;
    isolet_writer text = isolet_scratch();
    const uint8_t *at = value.at;
    if (!isolet__skip(value.at, value.end)) return null;
    for (;;) {
        isolet__head head;
        isolet_value item = {at, value.end};
        if (!isolet__read_head(at, value.end, &head)) return null;
        at = head.body;
        if (head.type == ISOLET_ARRAY || head.type == ISOLET_MAP) {
            if (depth == ISOLET_DEPTH_MAX) return null;
            open[depth].map = head.type == ISOLET_MAP;
            open[depth].left = (uint64_t)head.count << open[depth].map;
            isolet_put_raw(&text, open[depth++].map ? "{" : "[", 1);
        } else {
            isolet__json_scalar(&text, item, &head);
            if (head.type == ISOLET_STR || head.type == ISOLET_BIN) at += head.count;
            if (depth && open[depth - 1].left) isolet_put_raw(&text, open[depth - 1].map && open[depth - 1].left % 2 ? ":" : ",", 1);
        }
        while (depth && !open[depth - 1].left) {
            isolet_put_raw(&text, open[depth - 1].map ? "}" : "]", 1);
            depth--;
            if (depth && open[depth - 1].left) isolet_put_raw(&text, ",", 1);
        }
        if (!depth) break;
        open[depth - 1].left--;
    }
    isolet_str json = {(const char *)text.start, (size_t)(text.at - text.start)};
    return text.full ? null : json;
}

/* ── the host: logging, capabilities ────────────────────────────────────────────────────────────────────────────── */

#ifdef ISOLET_NATIVE
extern isolet_str isolet__reply;
int32_t isolet__call(const void *request, uint32_t len);
ISOLET_API int32_t isolet__take(void *into) {
    if (!isolet__reply.data) return ISOLET_E_NO_REPLY;
    memcpy(into, isolet__reply.data, isolet__reply.len);
    isolet__reply.data = NULL;
    return 0;
}
ISOLET_API void isolet__log(uint32_t level, const void *text, uint32_t len) {
    static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    fprintf(stderr, "%s %.*s\n", names[level < 6 ? level : 2], (int)len, (const char *)text);
}
#else
#define ISOLET_IMPORT(name) __attribute__((import_module("isolet"), import_name(name)))
ISOLET_IMPORT("call") int32_t isolet__call(const void *request, uint32_t len);
ISOLET_IMPORT("take") int32_t isolet__take(void *into);
ISOLET_IMPORT("log") void isolet__log(uint32_t level, const void *text, uint32_t len);
#endif

/* One line of the invocation's log. */
ISOLET_API void isolet_log(isolet_level level, const char *text) {
    isolet__log((uint32_t)level, text, (uint32_t)strlen(text));
}

__attribute__((format(printf, 2, 3))) ISOLET_API void isolet_logf(isolet_level level, const char *format, ...) {
    char line[1024];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (len >= (int)sizeof line) { /* rare: a long line is formatted again, in the arena */
        va_start(values, format);
        isolet_log(level, isolet_vformat(format, values));
        va_end(values);
    } else if (len >= 0) {
        isolet__log((uint32_t)level, line, (uint32_t)len);
    }
}

/* Makes the capability request that was written (an array: name, arguments), waits, and reads the reply. 0, or a negative
 * ISOLET_E_…, and `reply` is absent then. Not during initialisation: the host refuses, and cannot freeze the module. */
ISOLET_API int isolet_call(const isolet_writer *request, isolet_value *reply) {
    reply->at = reply->end = NULL;
    if (request->full) return ISOLET_E_NO_MEMORY;
    int32_t len = isolet__call(request->start, (uint32_t)(request->at - request->start));
    if (len < 0) return len;
    uint8_t *into = (uint8_t *)isolet_alloc((size_t)len + 1);
    if (!into) return ISOLET_E_NO_MEMORY;
    int status = isolet__take(into);
    if (status < 0) return status;
    reply->at = into;
    reply->end = into + len;
    return 0;
}

/* Waits; fuel does not pass. */
ISOLET_API int isolet_sleep(double milliseconds) {
    uint8_t room[32];
    isolet_writer request = {room, room, room + sizeof room, false, false};
    isolet_value reply;
    isolet_put_array(&request, 2);
    isolet_put_str(&request, "sleep");
    isolet_put_double(&request, milliseconds);
    return isolet_call(&request, &reply);
}

/* Fresh random bytes, fit for keys; at most 65,536. */
ISOLET_API int isolet_random(void *into, size_t len) {
    uint8_t room[32];
    isolet_writer request = {room, room, room + sizeof room, false, false};
    isolet_value reply;
    isolet_put_array(&request, 2);
    isolet_put_str(&request, "random");
    isolet_put_uint(&request, len);
    int status = isolet_call(&request, &reply);
    if (status < 0) return status;
    isolet_str bytes = isolet_bytes(reply);
    if (!bytes.data || bytes.len != len) return ISOLET_E_HOST;
    if (len) memcpy(into, bytes.data, len);
    return 0;
}

/* ── the context ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* An entry of the context (abi.md 2.1), by its name there. Found when first asked for: it stands behind the event, and a
 * handler that never asks does not pay for stepping over that. */
ISOLET_API isolet_value isolet_context_get(isolet_context *context, const char *key) {
    if (!context->map.at) context->map = isolet_get(context->envelope, "context");
    return isolet_get(context->map, key);
}

ISOLET_API isolet_str isolet_request_id(isolet_context *c) { return isolet_string(isolet_context_get(c, "request_id")); }
ISOLET_API isolet_str isolet_function_name(isolet_context *c) {
    return isolet_string(isolet_context_get(c, "function_name"));
}
ISOLET_API isolet_str isolet_function_version(isolet_context *c) {
    return isolet_string(isolet_context_get(c, "function_version"));
}
ISOLET_API isolet_str isolet_function_arn(isolet_context *c) {
    return isolet_string(isolet_context_get(c, "function_arn"));
}
ISOLET_API int64_t isolet_memory_limit_mb(isolet_context *c) {
    return isolet_int(isolet_context_get(c, "memory_limit_mb"), 0);
}
ISOLET_API isolet_str isolet_log_group(isolet_context *c) { return isolet_string(isolet_context_get(c, "log_group")); }
ISOLET_API isolet_str isolet_log_stream(isolet_context *c) { return isolet_string(isolet_context_get(c, "log_stream")); }
/* Unix time in milliseconds. */
ISOLET_API int64_t isolet_deadline_ms(isolet_context *c) { return isolet_int(isolet_context_get(c, "deadline_ms"), 0); }
ISOLET_API int64_t isolet_remaining_ms(isolet_context *c) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return isolet_deadline_ms(c) - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}
/* Sixteen bytes, fresh in every invocation. */
ISOLET_API isolet_str isolet_entropy(isolet_context *c) { return isolet_bytes(isolet_context_get(c, "entropy")); }
/* Absent (data is NULL) unless the caller sent one. */
ISOLET_API isolet_str isolet_trace_id(isolet_context *c) { return isolet_string(isolet_context_get(c, "trace_id")); }
ISOLET_API isolet_value isolet_client_context(isolet_context *c) { return isolet_context_get(c, "client_context"); }

/* ── HTTP: Lambda's payload format 2.0 ──────────────────────────────────────────────────────────────────────────── */

ISOLET_API bool isolet__same_letters(isolet_str a, isolet_str b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b.data[i];
        if (x >= 'A' && x <= 'Z') x |= 0x20;
        if (y >= 'A' && y <= 'Z') y |= 0x20;
        if (x != y) return false;
    }
    return true;
}

/* The request's method, or absent: then the event is no HTTP request. */
ISOLET_API isolet_str isolet_http_method(isolet_value event) {
    return isolet_string(isolet_get(isolet_get(isolet_get(event, "requestContext"), "http"), "method"));
}
ISOLET_API isolet_str isolet_http_path(isolet_value event) { return isolet_string(isolet_get(event, "rawPath")); }

/* A header by its name in any case. Several of one name come as one, joined by commas. */
ISOLET_API isolet_str isolet_http_header(isolet_value event, const char *name) {
    isolet_value key, value;
    isolet_str none = {NULL, 0}, wanted = isolet_text(name);
    isolet_each each = isolet_each_of(isolet_get(event, "headers"));
    while (isolet_next(&each, &key, &value))
        if (isolet__same_letters(isolet_string(key), wanted)) return isolet_string(value);
    return none;
}

/* A parameter of the query string, decoded. */
ISOLET_API isolet_str isolet_http_query(isolet_value event, const char *name) {
    return isolet_string(isolet_get(isolet_get(event, "queryStringParameters"), name));
}

/* What `{name}` stood for in the route that matched; absent if the function was not reached by a route. */
ISOLET_API isolet_str isolet_http_path_parameter(isolet_value event, const char *name) {
    return isolet_string(isolet_get(isolet_get(event, "pathParameters"), name));
}

ISOLET_API isolet_str isolet_http_cookie(isolet_value event, const char *name) {
    isolet_value item;
    isolet_str none = {NULL, 0};
    size_t len = strlen(name);
    isolet_each each = isolet_each_of(isolet_get(event, "cookies"));
    while (isolet_next(&each, NULL, &item)) {
        isolet_str cookie = isolet_string(item);
        if (cookie.len > len && !memcmp(cookie.data, name, len) && cookie.data[len] == '=') {
            isolet_str value = {cookie.data + len + 1, cookie.len - len - 1};
            return value;
        }
    }
    return none;
}

/* The body's bytes, textual or not; absent if there is none. */
ISOLET_API isolet_str isolet_http_body(isolet_value event) { return isolet_bytes(isolet_get(event, "body")); }

ISOLET_API int isolet__hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* `text` without its %XX and +, in the arena if there were any. What is not an escape stays as it is. */
ISOLET_API isolet_str isolet_url_decode(isolet_str text) {
    isolet_str none = {NULL, 0};
    if (!text.len || (!memchr(text.data, '%', text.len) && !memchr(text.data, '+', text.len))) return text;
    char *into = (char *)isolet_alloc(text.len), *at = into;
    if (!into) return none;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%' && text.len - i > 2) {
            int high = isolet__hex_digit(text.data[i + 1]), low = isolet__hex_digit(text.data[i + 2]);
            if (high >= 0 && low >= 0) {
                *at++ = (char)(high << 4 | low);
                i += 2;
                continue;
            }
        }
        *at++ = c == '+' ? ' ' : c;
    }
    isolet_str decoded = {into, (size_t)(at - into)};
    return decoded;
}

/* A field of an application/x-www-form-urlencoded text (a form's body, a raw query string), decoded; absent if it has
 * none. `name` is compared with the encoded one. */
ISOLET_API isolet_str isolet_form(isolet_str encoded, const char *name) {
    isolet_str none = {NULL, 0};
    const char *at = encoded.data, *end = encoded.data ? encoded.data + encoded.len : NULL;
    size_t len = strlen(name);
    while (at < end) {
        const char *stop = (const char *)memchr(at, '&', (size_t)(end - at));
        if (!stop) stop = end;
        if ((size_t)(stop - at) >= len && !memcmp(at, name, len) && (at + len == stop || at[len] == '=')) {
            isolet_str value = {at + len == stop ? stop : at + len + 1, 0};
            value.len = (size_t)(stop - value.data);
            return isolet_url_decode(value);
        }
        at = stop + 1;
    }
    return none;
}

typedef struct {
    const char *name, *value;
} isolet_header;

/* An answer to an HTTP request. A status of 0 means 200; lists end at their first NULL. With `binary` the body's bytes
 * are sent as they are, else it must be UTF-8. */
typedef struct {
    int status;
    isolet_header headers[ISOLET_HEADERS_MAX];
    const char *cookies[ISOLET_COOKIES_MAX]; /* whole ones, as in Set-Cookie: "name=value; Path=/" */
    isolet_str body;
    bool binary;
} isolet_response;

/* Writes the result of an HTTP function: `return isolet_respond(result, &(isolet_response){.status = 404, …})`. */
ISOLET_API int isolet_respond(isolet_writer *result, const isolet_response *response) {
    uint32_t headers = 0, cookies = 0;
    while (headers < ISOLET_HEADERS_MAX && response->headers[headers].name) headers++;
    while (cookies < ISOLET_COOKIES_MAX && response->cookies[cookies]) cookies++;
    bool body = response->body.data != NULL;
    isolet_put_map(result, 1 + (headers > 0) + (cookies > 0) + body + (body && response->binary));
    isolet_put_str(result, "statusCode");
    isolet_put_int(result, response->status ? response->status : 200);
    if (headers) isolet_put_str(result, "headers"), isolet_put_map(result, headers);
    for (uint32_t i = 0; i < headers; i++) {
        isolet_put_str(result, response->headers[i].name);
        isolet_put_str(result, response->headers[i].value);
    }
    if (cookies) isolet_put_str(result, "cookies"), isolet_put_array(result, cookies);
    for (uint32_t i = 0; i < cookies; i++) isolet_put_str(result, response->cookies[i]);
    if (!body) return 0;
    isolet_put_str(result, "body");
    if (response->binary) {
        isolet_put_bin(result, response->body.data, response->body.len);
        isolet_put_str(result, "isBase64Encoded"); /* the host makes base64 of binary where the answer is JSON */
        isolet_put_bool(result, true);
    } else {
        isolet_put_strn(result, response->body.data, response->body.len);
    }
    return 0;
}

/* A status and a text. */
ISOLET_API int isolet_respond_text(isolet_writer *result, int status, const char *text) {
    isolet_put_map(result, 3);
    isolet_put_str(result, "statusCode");
    isolet_put_int(result, status);
    isolet_put_str(result, "headers");
    isolet_put_map(result, 1);
    isolet_put_str(result, "content-type");
    isolet_put_str(result, "text/plain; charset=utf-8");
    isolet_put_str(result, "body");
    isolet_put_str(result, text);
    return 0;
}

/* ── capabilities: kv, fetch, invoke, secrets (abi.md 5) ────────────────────────────────────────────────────────── */

/* What became of a request. The words are abi.md's; function.toml grants capabilities, and the message of
 * ISOLET_NOT_GRANTED says which line is missing. */
typedef enum {
    ISOLET_OK = 0,
    ISOLET_NOT_GRANTED,
    ISOLET_INVALID,
    ISOLET_TOO_LARGE,
    ISOLET_LIMIT_EXCEEDED,
    ISOLET_CONFLICT,
    ISOLET_REFUSED,
    ISOLET_TIMEOUT,
    ISOLET_CONNECTION_FAILED,
    ISOLET_TOO_MANY_REDIRECTS,
    ISOLET_UNKNOWN_FUNCTION,
    ISOLET_THROTTLED,
    ISOLET_TOO_DEEP,
    ISOLET_FUNCTION_ERROR,
    ISOLET_UNKNOWN_SECRET,
    ISOLET_OTHER,      /* a type that this header does not know: read `type` */
    ISOLET_UNAVAILABLE /* no result at all: `code` is isolet_call's, an ISOLET_E_… */
} isolet_status;

/* Of a request that failed; all of it empty after one that succeeded. Every function below takes a NULL instead. */
typedef struct {
    isolet_status status;
    isolet_str type, message;
    isolet_value cause; /* ISOLET_FUNCTION_ERROR: the other function's own {type, message} */
    int code;           /* ISOLET_UNAVAILABLE */
} isolet_error;

ISOLET_API isolet_status isolet__status_of(isolet_str type) {
    static const char *const types[] = {
        "", "NotGranted", "Invalid", "TooLarge", "LimitExceeded", "Conflict", "Refused", "Timeout", "ConnectionFailed",
        "TooManyRedirects", "UnknownFunction", "Throttled", "TooDeep", "FunctionError", "UnknownSecret"};
    for (int i = 1; i < ISOLET_OTHER; i++)
        if (isolet_is(type, types[i])) return (isolet_status)i;
    return ISOLET_OTHER;
}

ISOLET_API isolet_status isolet__unavailable(isolet_error *error, int code) {
    static const char *const reasons[] = {
        "malformed request", "unknown capability", "not granted", "refused, by a limit or while a snapshot is made",
        "no pending reply", "failed on the host's side"};
    error->status = ISOLET_UNAVAILABLE;
    error->type = isolet_text("Unavailable");
    error->message = isolet_text("request or reply do not fit in memory");
    if (code <= -1 && code >= -6) error->message = isolet_text(reasons[-1 - code]);
    error->code = code;
    return error->status;
}

/* Makes a request whose reply is a result (abi.md 5.1): `ok` is its value. For capabilities without a function here. */
ISOLET_API isolet_status isolet_ask(const isolet_writer *request, isolet_value *ok, isolet_error *error) {
    isolet_error unread;
    isolet_value reply, failed;
    if (!error) error = &unread;
    memset(error, 0, sizeof *error);
    ok->at = ok->end = NULL;
    int code = isolet_call(request, &reply);
    if (code < 0) return isolet__unavailable(error, code);
    *ok = isolet_get(reply, "ok");
    if (isolet__skip(ok->at, ok->end)) return ISOLET_OK;
    ok->at = ok->end = NULL; /* cut short */
    failed = isolet_get(reply, "error");
    error->type = isolet_string(isolet_get(failed, "type"));
    error->message = isolet_string(isolet_get(failed, "message"));
    if (!error->message.data) error->message = isolet_text("");
    error->cause = isolet_get(failed, "cause");
    if (!error->type.data) return isolet__unavailable(error, ISOLET_E_HOST); /* neither: not a host's reply */
    return error->status = isolet__status_of(error->type);
}

/* An `ok` of another type than this capability's. */
ISOLET_API isolet_status isolet__misfit(isolet_error *error) {
    isolet_error unread;
    return isolet__unavailable(error ? error : &unread, ISOLET_E_HOST);
}

/* The outcome becomes what a request failed with: `if (isolet_kv_get(…, &error)) return isolet_fail_with(result, &error);` */
ISOLET_API int isolet_fail_with(isolet_writer *result, const isolet_error *error) {
    return isolet__failed(result, error->type, error->message);
}

ISOLET_API isolet_writer isolet__request(const char *name, uint32_t arguments) {
    isolet_writer request = isolet_scratch();
    isolet_put_array(&request, 1 + arguments);
    isolet_put_str(&request, name);
    return request;
}

ISOLET_API void isolet__put_text(isolet_writer *to, isolet_str text) {
    isolet_put_strn(to, text.data ? text.data : "", text.len);
}

/* ── kv: a store that outlives invocations ── */

/* What is in the store under a key. `value.data` is NULL, and `version` 0, if nothing is. */
typedef struct {
    isolet_str value;
    int64_t version;
} isolet_kv_entry;

ISOLET_API isolet_status isolet_kv_get(const char *space, isolet_str key, isolet_kv_entry *entry, isolet_error *error) {
    isolet_value ok;
    isolet_writer request = isolet__request("kv.get", 2);
    isolet_put_str(&request, space);
    isolet__put_text(&request, key);
    memset(entry, 0, sizeof *entry);
    isolet_status status = isolet_ask(&request, &ok, error);
    if (status || isolet_typeof(ok) == ISOLET_NIL) return status;
    entry->value = isolet_bytes(isolet_get(ok, "value"));
    entry->version = isolet_int(isolet_get(ok, "version"), 0);
    return entry->value.data && entry->version > 0 ? ISOLET_OK : isolet__misfit(error);
}

/* `if_version` of isolet_kv_put and isolet_kv_delete: whatever there is; only if there is nothing; else the version that
 * the entry must be at, as isolet_kv_get gave it. Otherwise ISOLET_CONFLICT, and nothing is written. */
#define ISOLET_ANY_VERSION (-1)
#define ISOLET_NO_VERSION 0

/* `ttl_s`: the entry is gone after so many seconds; 0: it stays. `version`, if not NULL, becomes the entry's new one. */
ISOLET_API isolet_status isolet_kv_put(const char *space, isolet_str key, isolet_str value, int64_t if_version,
                                       double ttl_s, int64_t *version, isolet_error *error) {
    isolet_value ok;
    uint32_t options = (if_version != ISOLET_ANY_VERSION) + (ttl_s != 0);
    isolet_writer request = isolet__request("kv.put", 3 + (options > 0));
    isolet_put_str(&request, space);
    isolet__put_text(&request, key);
    isolet_put_bin(&request, value.data, value.len);
    if (options) isolet_put_map(&request, options);
    if (if_version != ISOLET_ANY_VERSION) isolet_put_str(&request, "if_version"), isolet_put_int(&request, if_version);
    if (ttl_s != 0) isolet_put_str(&request, "ttl_s"), isolet_put_double(&request, ttl_s);
    isolet_status status = isolet_ask(&request, &ok, error);
    if (status) return status;
    int64_t now = isolet_int(isolet_get(ok, "version"), 0);
    if (version) *version = now;
    return now > 0 ? ISOLET_OK : isolet__misfit(error);
}

/* `existed`, if not NULL, becomes whether there was an entry. */
ISOLET_API isolet_status isolet_kv_delete(const char *space, isolet_str key, int64_t if_version, bool *existed,
                                          isolet_error *error) {
    isolet_value ok;
    bool conditional = if_version != ISOLET_ANY_VERSION;
    isolet_writer request = isolet__request("kv.delete", 2 + conditional);
    isolet_put_str(&request, space);
    isolet__put_text(&request, key);
    if (conditional) {
        isolet_put_map(&request, 1);
        isolet_put_str(&request, "if_version");
        isolet_put_int(&request, if_version);
    }
    isolet_status status = isolet_ask(&request, &ok, error);
    if (status) return status;
    if (existed) *existed = isolet_bool(ok, false);
    return isolet_typeof(ok) == ISOLET_BOOL ? ISOLET_OK : isolet__misfit(error);
}

/* Some keys, in order. Walk them with isolet_each_of(page.keys); while `more`, ask again, after `last`. */
typedef struct {
    isolet_value keys;
    isolet_str last;
    bool more;
} isolet_kv_page;

/* The keys that begin with `prefix` and come after `after` ({NULL, 0}: from the first), at most `limit` (0: 100). */
ISOLET_API isolet_status isolet_kv_list(const char *space, isolet_str prefix, isolet_str after, uint32_t limit,
                                        isolet_kv_page *page, isolet_error *error) {
    isolet_value ok, key;
    uint32_t options = (after.data != NULL) + (limit > 0);
    isolet_writer request = isolet__request("kv.list", 2 + (options > 0));
    isolet_put_str(&request, space);
    isolet__put_text(&request, prefix);
    if (options) isolet_put_map(&request, options);
    if (after.data) isolet_put_str(&request, "after"), isolet__put_text(&request, after);
    if (limit) isolet_put_str(&request, "limit"), isolet_put_uint(&request, limit);
    memset(page, 0, sizeof *page);
    isolet_status status = isolet_ask(&request, &ok, error);
    if (status) return status;
    page->keys = isolet_get(ok, "keys");
    page->more = isolet_bool(isolet_get(ok, "more"), false);
    isolet_each each = isolet_each_of(page->keys);
    while (isolet_next(&each, NULL, &key)) page->last = isolet_string(key);
    return isolet_typeof(page->keys) == ISOLET_ARRAY ? ISOLET_OK : isolet__misfit(error);
}

/* ── fetch: HTTP to the outside ── */

/* Only `url` must be there. `method` NULL: GET. `headers` end at their first NULL. `timeout_ms` 0: what is left of the
 * invocation. `redirect`: "follow" (NULL, too), "manual", "error". */
typedef struct {
    isolet_str url;
    const char *method;
    isolet_header headers[ISOLET_HEADERS_MAX];
    isolet_str body;
    double timeout_ms;
    const char *redirect;
} isolet_fetch_request;

/* Any status is an answer, 404 and 500, too. `url` is where it came from. */
typedef struct {
    int status;
    isolet_str url, body;
    isolet_value headers; /* an array of pairs, in the order in which they came */
} isolet_fetch_answer;

ISOLET_API isolet_status isolet_fetch(const isolet_fetch_request *fetch, isolet_fetch_answer *answer,
                                      isolet_error *error) {
    isolet_value ok;
    uint32_t headers = 0;
    isolet_writer request = isolet__request("fetch", 1);
    while (headers < ISOLET_HEADERS_MAX && fetch->headers[headers].name) headers++;
    bool body = fetch->body.data != NULL;
    isolet_put_map(&request, 1 + (fetch->method != NULL) + (headers > 0) + body + (fetch->timeout_ms > 0) +
                                 (fetch->redirect != NULL));
    isolet_put_str(&request, "url"), isolet__put_text(&request, fetch->url);
    if (fetch->method) isolet_put_str(&request, "method"), isolet_put_str(&request, fetch->method);
    if (headers) isolet_put_str(&request, "headers"), isolet_put_array(&request, headers);
    for (uint32_t i = 0; i < headers; i++) {
        isolet_put_array(&request, 2);
        isolet_put_str(&request, fetch->headers[i].name);
        isolet_put_str(&request, fetch->headers[i].value);
    }
    if (body) isolet_put_str(&request, "body"), isolet_put_bin(&request, fetch->body.data, fetch->body.len);
    if (fetch->timeout_ms > 0) isolet_put_str(&request, "timeout_ms"), isolet_put_double(&request, fetch->timeout_ms);
    if (fetch->redirect) isolet_put_str(&request, "redirect"), isolet_put_str(&request, fetch->redirect);
    memset(answer, 0, sizeof *answer);
    isolet_status status = isolet_ask(&request, &ok, error);
    if (status) return status;
    answer->status = (int)isolet_int(isolet_get(ok, "status"), 0);
    answer->url = isolet_string(isolet_get(ok, "url"));
    answer->headers = isolet_get(ok, "headers");
    answer->body = isolet_bytes(isolet_get(ok, "body"));
    return answer->status && answer->body.data ? ISOLET_OK : isolet__misfit(error);
}

/* The first header of this name, in any case; absent if there is none. */
ISOLET_API isolet_str isolet_fetch_header(const isolet_fetch_answer *answer, const char *name) {
    isolet_value pair;
    isolet_str none = {NULL, 0}, wanted = isolet_text(name);
    isolet_each each = isolet_each_of(answer->headers);
    while (isolet_next(&each, NULL, &pair))
        if (isolet__same_letters(isolet_string(isolet_at(pair, 0)), wanted)) return isolet_string(isolet_at(pair, 1));
    return none;
}

/* ── invoke: another function; secrets ── */

/* `payload` is one written value, or NULL for nil; it becomes the other function's event, and `result` is what it answers. */
ISOLET_API isolet_status isolet_invoke(const char *function, const isolet_writer *payload, isolet_value *result,
                                       isolet_error *error) {
    isolet_writer request = isolet__request("invoke", 2);
    isolet_value none = {NULL, NULL};
    isolet_put_str(&request, function);
    isolet_put_value(&request, payload ? isolet_written(payload) : none);
    request.full |= payload && payload->full;
    return isolet_ask(&request, result, error);
}

/* A value that the operator keeps, text or bytes. It is read anew by each call: keep it if you need it often. */
ISOLET_API isolet_status isolet_secret(const char *name, isolet_str *value, isolet_error *error) {
    isolet_value ok;
    isolet_writer request = isolet__request("secrets.get", 1);
    isolet_put_str(&request, name);
    isolet_status status = isolet_ask(&request, &ok, error);
    *value = isolet_bytes(ok);
    return status || value->data ? status : isolet__misfit(error);
}

/* ── the exports ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Generators of the C library whose state a snapshot froze. Weak: one that is not linked is NULL here. Where srand48 is a
 * file of its own (musl, before zig wrote its own), a program that only draws is found by the array that it draws from. */
#ifndef ISOLET_NATIVE
extern void srand(unsigned) __attribute__((weak));
extern void srandom(unsigned) __attribute__((weak));
extern void srand48(long) __attribute__((weak));
extern unsigned short __seed48[7] __attribute__((weak));
#endif

ISOLET_API void isolet__reseed(isolet_context *context) {
#ifdef ISOLET_NATIVE
    uint32_t seeds[4] = {0, 0, 0, 0};
    isolet_str entropy = isolet_entropy(context);
    if (entropy.data && entropy.len == sizeof seeds) memcpy(seeds, entropy.data, sizeof seeds);
    srand(seeds[0]);
#else
    if (!srand && !srandom && !srand48 && !__seed48) return;
    uint32_t seeds[4] = {0, 0, 0, 0};
    isolet_str entropy = isolet_entropy(context);
    if (entropy.data && entropy.len == sizeof seeds) memcpy(seeds, entropy.data, sizeof seeds);
    if (srand) srand(seeds[0]);
    if (srandom) srandom(seeds[1]);
    if (srand48) srand48((long)seeds[2]);
    if (__seed48) memcpy(__seed48, &seeds[2], 6);
#endif
}

ISOLET_API uint8_t *isolet__buffer(size_t len) {
#ifdef ISOLET_NATIVE
    return isolet__grow(len); /* a block of its own, so that a sanitizer sees a step beyond it */
#else
    return len <= ISOLET_INPUT_BYTES ? isolet__state.input : (uint8_t *)isolet_alloc(len);
#endif
}

/* Lays out the outcome and the arena in what the event leaves of the input buffer. */
ISOLET_API void isolet__place(const uint8_t *event, size_t len) {
    isolet_writer *out = &isolet__state.out;
    out->full = out->failed = false;
#ifdef ISOLET_NATIVE
    (void)event, (void)len;
    out->start = out->at = out->end = NULL; /* all in blocks of their own, for the sanitizer */
#else
    uint8_t *input = isolet__state.input, *end = input + ISOLET_INPUT_BYTES;
    bool inside = event == input && len <= ISOLET_INPUT_BYTES;
    out->start = out->at = inside ? input + len : input;
    uintptr_t page = ((uintptr_t)out->start + ISOLET_OUTCOME_BYTES + 4095) & ~(uintptr_t)4095;
    out->end = page < (uintptr_t)end ? (uint8_t *)page : end;
    if (inside) { /* a larger event lies in the arena, which goes on behind it */
        isolet__state.arena_at = out->end;
        isolet__state.arena_end = end;
    }
#endif
}

/* The outcome of the envelope at `at`, in memory that stays. */
ISOLET_API isolet_str isolet__run(isolet_handler handler, uint8_t *at, size_t len) {
    static const char no_memory[] =
        "\x81\xa5" "error\x82\xa4type\xb3Runtime.OutOfMemory\xa7message\xd9\x35"
        "the outcome does not fit in memory: raise `memory_mb`";
    static const char malformed[] = "\x81\xa5" "error\x82\xa4type\xb1MalformedEnvelope\xa7message\xa0";
    isolet_state *state = &isolet__state;
    isolet_context *context = &state->context;
    isolet_writer *out = &state->out;
    context->envelope.at = at;
    context->envelope.end = at + len;
    context->map.at = context->map.end = NULL;
    isolet_value event = isolet_getn(context->envelope, "event", 5);
    isolet_str outcome = {malformed, sizeof malformed - 1};
    if (!event.at) return outcome;
    isolet__reseed(context);
    isolet__place(at, len);
    isolet_put_raw(out, "\x81\xa2ok", 4);
    int status = handler(event, context, out);
    if (status && !out->failed) isolet_fail(out, "Error", "the handler answered a status other than 0");
    else if (!out->failed && out->at - out->start == 4) isolet_put_nil(out);
    outcome.data = out->full ? no_memory : (const char *)out->start;
    outcome.len = out->full ? sizeof no_memory - 1 : (size_t)(out->at - out->start);
    return outcome;
}

#ifndef ISOLET_NATIVE

#define ISOLET_EXPORT(name) __attribute__((export_name(name), used))

/* Defines the function's handler; once, in one file. */
#define ISOLET_HANDLER(handler)                                                                                \
    isolet_state isolet__state __attribute__((aligned(4096)));                                                 \
    ISOLET_EXPORT("isolet_buffer") uint32_t isolet__export_buffer(uint32_t len);                               \
    ISOLET_EXPORT("isolet_buffer") uint32_t isolet__export_buffer(uint32_t len) {                              \
        return (uint32_t)(uintptr_t)isolet__buffer(len);                                                       \
    }                                                                                                          \
    ISOLET_EXPORT("isolet_handle") uint64_t isolet__export_handle(uint32_t ptr, uint32_t len);                 \
    ISOLET_EXPORT("isolet_handle") uint64_t isolet__export_handle(uint32_t ptr, uint32_t len) {                \
        isolet_str outcome = isolet__run(handler, (uint8_t *)(uintptr_t)ptr, len);                             \
        return (uint64_t)(uintptr_t)outcome.data << 32 | (uint32_t)outcome.len;                                \
    }

/* Names a `void f(void)` that runs once, when the snapshot is made: what it fills, every invocation finds filled. */
#define ISOLET_INIT(init)                                                                                      \
    ISOLET_EXPORT("isolet_init") void isolet__export_init(void);                                               \
    ISOLET_EXPORT("isolet_init") void isolet__export_init(void) { init(); }

#else

__attribute__((weak)) void isolet__export_init(void);

#define ISOLET_INIT(init)                                                                                      \
    void isolet__export_init(void);                                                                            \
    void isolet__export_init(void) { init(); }

#define ISOLET_HANDLER(handler)                                                                                \
    isolet_state isolet__state;                                                                                \
    isolet_chunk *isolet__chunks;                                                                              \
    isolet_str isolet__reply;                                                                                  \
    int32_t isolet__call(const void *request, uint32_t len) { return isolet__native_call(request, len); }      \
    int main(void) { return isolet__native_main(handler); }

/* A program may define this to serve capabilities that the operating system has not, in its own tests: it answers the
 * reply's bytes, with `data` NULL for what it does not know. */
__attribute__((weak)) isolet_str isolet_native_capability(isolet_value call);

/* `sleep` and `random` are served by the operating system. */
ISOLET_API int32_t isolet__native_call(const void *request, uint32_t len) {
    isolet_value call = {(const uint8_t *)request, (const uint8_t *)request + len};
    isolet_str name = isolet_string(isolet_at(call, 0));
    isolet__reply = isolet_text(NULL);
    if (isolet_native_capability) isolet__reply = isolet_native_capability(call);
    if (isolet__reply.data) {
        return (int32_t)isolet__reply.len;
    } else if (isolet_is(name, "sleep")) {
        double ms = isolet_double(isolet_at(call, 1), -1);
        if (!(ms >= 0 && ms <= 900000)) return ISOLET_E_MALFORMED;
        struct timespec time = {(time_t)(ms / 1000), (long)((ms - 1000 * (double)(long)(ms / 1000)) * 1e6)};
        nanosleep(&time, NULL);
        isolet__reply = isolet_text("\xc0");
    } else if (isolet_is(name, "random")) {
        uint64_t count = isolet_uint(isolet_at(call, 1), UINT64_MAX);
        if (count > 65536) return ISOLET_E_MALFORMED;
        isolet_writer reply = isolet_scratch();
        uint8_t *bytes = (uint8_t *)isolet_alloc(count + 1);
        if (!bytes) return ISOLET_E_HOST;
        for (uint64_t i = 0; i < count; i += 256) /* getentropy gives no more at once */
            if (getentropy(bytes + i, count - i < 256 ? count - i : 256)) return ISOLET_E_HOST;
        isolet_put_bin(&reply, bytes, count);
        isolet__reply.data = (const char *)reply.start;
        isolet__reply.len = (size_t)(reply.at - reply.start);
    } else {
        return name.data ? ISOLET_E_UNKNOWN : ISOLET_E_MALFORMED;
    }
    return (int32_t)isolet__reply.len;
}

/* Frees what the last invocation took: natively, one process serves many. */
ISOLET_API void isolet__native_reset(void) {
    while (isolet__chunks) {
        isolet_chunk *next = isolet__chunks->next;
        free(isolet__chunks);
        isolet__chunks = next;
    }
    isolet__state.arena_at = isolet__state.arena_end = NULL;
}

ISOLET_API int isolet__native_main(isolet_handler handler) {
    uint8_t size[4];
    if (isolet__export_init) isolet__export_init();
    isolet__chunks = NULL; /* what initialisation took stays */
    isolet__state.arena_at = isolet__state.arena_end = NULL;
    while (fread(size, 1, 4, stdin) == 4) {
        size_t len = (size_t)isolet__big_endian(size, 4);
        uint8_t *at = isolet__buffer(len);
        if (!at || fread(at, 1, len, stdin) != len) return 1;
        isolet_str outcome = isolet__run(handler, at, len);
        for (unsigned i = 0; i < 4; i++) fputc((int)(outcome.len >> (24 - 8 * i) & 255), stdout);
        fwrite(outcome.data, 1, outcome.len, stdout);
        isolet__native_reset();
    }
    return fflush(stdout) ? 1 : 0;
}

#endif

#ifdef __cplusplus
}
#endif
#endif
