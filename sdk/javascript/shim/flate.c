/*
 * DEFLATE (RFC 1951) both ways, CRC-32 and Adler-32. The frames around it (gzip, zlib) are library/zlib.js's.
 *
 * Compression looks for the last place of the same three bytes and writes fixed Huffman codes: what it makes is read by
 * everybody, and is a tenth to a third larger than zlib's best.
 */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

static const uint16_t LENGTHS[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t LENGTH_BITS[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t DISTANCES[30] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t DISTANCE_BITS[30] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/* ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    const uint8_t *at, *end;
    uint32_t held;
    int bits;
    bool short_of; /* more was wanted than there is */
} Reader;

static uint32_t take(Reader *r, int count)
{
    while (r->bits < count) {
        if (r->at >= r->end) {
            r->short_of = true;
            return 0;
        }
        r->held |= (uint32_t)*r->at++ << r->bits;
        r->bits += 8;
    }
    uint32_t value = r->held & ((1u << count) - 1);
    r->held >>= count;
    r->bits -= count;
    return value;
}

/* A canonical code: how many codes of each length, and the symbols in their order. */
typedef struct {
    uint16_t counts[16], symbols[288];
} Code;

static bool make(Code *code, const uint8_t *lengths, int count)
{
    uint16_t offsets[16];
    memset(code->counts, 0, sizeof code->counts);
    for (int i = 0; i < count; i++)
        code->counts[lengths[i]]++;
    code->counts[0] = 0;
    int left = 1;
    for (int length = 1; length < 16; length++) {
        left = 2 * left - code->counts[length];
        if (left < 0)
            return false;
    }
    offsets[1] = 0;
    for (int length = 1; length < 15; length++)
        offsets[length + 1] = offsets[length] + code->counts[length];
    for (int i = 0; i < count; i++)
        if (lengths[i])
            code->symbols[offsets[lengths[i]]++] = (uint16_t)i;
    return true;
}

static int symbol(Reader *r, const Code *code)
{
    int value = 0, first = 0, index = 0;
    for (int length = 1; length < 16; length++) {
        value |= (int)take(r, 1);
        if (r->short_of)
            return -1;
        int count = code->counts[length];
        if (value - count < first)
            return code->symbols[index + (value - first)];
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    return -1;
}

static bool read_codes(Reader *r, const Code *literals, const Code *distances, Bytes *out, size_t most)
{
    for (;;) {
        int s = symbol(r, literals);
        if (s < 0 || out->length > most)
            return false;
        if (s < 256) {
            bytes_byte(out, (uint8_t)s);
            continue;
        }
        if (s == 256)
            return !out->failed;
        s -= 257;
        if (s >= 29)
            return false;
        size_t length = LENGTHS[s] + take(r, LENGTH_BITS[s]);
        s = symbol(r, distances);
        if (s < 0 || s >= 30)
            return false;
        size_t distance = DISTANCES[s] + take(r, DISTANCE_BITS[s]);
        if (r->short_of || distance > out->length || !bytes_reserve(out, length))
            return false;
        for (uint8_t *to = out->bytes + out->length; length-- > 0; to++, out->length++)
            *to = *(to - distance);
    }
}

static bool read_stored(Reader *r, Bytes *out)
{
    r->held = 0;
    r->bits = 0;
    if (r->end - r->at < 4)
        return !(r->short_of = true);
    size_t length = r->at[0] | (size_t)r->at[1] << 8, check = r->at[2] | (size_t)r->at[3] << 8;
    r->at += 4;
    if (length != (~check & 0xffff))
        return false;
    if ((size_t)(r->end - r->at) < length)
        return !(r->short_of = true);
    bytes_put(out, r->at, length);
    r->at += length;
    return !out->failed;
}

static bool read_dynamic(Reader *r, Code *literals, Code *distances)
{
    static const uint8_t ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[320] = {0};
    int count = (int)take(r, 5) + 257, far = (int)take(r, 5) + 1, codes = (int)take(r, 4) + 4;
    for (int i = 0; i < codes; i++)
        lengths[ORDER[i]] = (uint8_t)take(r, 3);
    Code code;
    if (r->short_of || count > 286 || far > 30 || !make(&code, lengths, 19))
        return false;
    memset(lengths, 0, sizeof lengths);
    for (int i = 0; i < count + far;) {
        int s = symbol(r, &code), times = 1;
        uint8_t value = 0;
        if (s < 0)
            return false;
        if (s < 16)
            value = (uint8_t)s;
        else if (s == 16) {
            if (i == 0)
                return false;
            value = lengths[i - 1];
            times = 3 + (int)take(r, 2);
        } else
            times = s == 17 ? 3 + (int)take(r, 3) : 11 + (int)take(r, 7);
        if (r->short_of || i + times > count + far)
            return false;
        while (times-- > 0)
            lengths[i++] = value;
    }
    return lengths[256] && make(literals, lengths, count) && make(distances, lengths + count, far);
}

static void fixed_codes(Code *literals, Code *distances)
{
    uint8_t lengths[288];
    for (int i = 0; i < 288; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    make(literals, lengths, 288);
    memset(lengths, 5, 30);
    make(distances, lengths, 30);
}

/* inflate(bytes, from, most) → [bytes, how many were read], or a text that says what is wrong. */
static JSValue inflate(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(bytes, argv[0])
    int64_t from, most;
    if (JS_ToInt64(ctx, &from, argv[1]) < 0 || JS_ToInt64(ctx, &most, argv[2]) < 0)
        return JS_EXCEPTION;
    if (from < 0 || from > (int64_t)bytes_length)
        from = (int64_t)bytes_length;
    Reader r = {.at = bytes + from, .end = bytes + bytes_length};
    Bytes out = {0};
    bool last = false, good = true;
    while (good && !last) {
        Code literals, distances;
        last = take(&r, 1);
        int kind = (int)take(&r, 2);
        if (r.short_of || kind == 3)
            good = false;
        else if (kind == 0)
            good = read_stored(&r, &out);
        else {
            if (kind == 1)
                fixed_codes(&literals, &distances);
            else
                good = read_dynamic(&r, &literals, &distances);
            good = good && read_codes(&r, &literals, &distances, &out, (size_t)most);
        }
    }
    if (!good || out.failed) {
        const char *what = r.short_of ? "unexpected end of file" : out.failed || out.length > (size_t)most ? "too large" : "invalid data";
        free(out.bytes);
        return JS_NewString(ctx, what);
    }
    JSValue array = JS_NewArray(ctx);
    JS_DefinePropertyValueUint32(ctx, array, 0, JS_NewUint8ArrayCopy(ctx, out.bytes ? out.bytes : bytes, out.length), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, array, 1, JS_NewInt64(ctx, r.at - bytes - r.bits / 8), JS_PROP_C_W_E);
    free(out.bytes);
    return array;
}

/* ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    Bytes *out;
    uint32_t held;
    int bits;
} Writer;

static void put(Writer *w, uint32_t value, int count)
{
    w->held |= value << w->bits;
    for (w->bits += count; w->bits >= 8; w->bits -= 8, w->held >>= 8)
        bytes_byte(w->out, (uint8_t)w->held);
}

/* Huffman codes begin with their highest bit. */
static void put_code(Writer *w, uint32_t code, int count)
{
    uint32_t reversed = 0;
    for (int i = 0; i < count; i++)
        reversed |= (code >> i & 1) << (count - 1 - i);
    put(w, reversed, count);
}

static void put_symbol(Writer *w, int s)
{
    if (s < 144)
        put_code(w, 0x30 + s, 8);
    else if (s < 256)
        put_code(w, 0x190 + s - 144, 9);
    else if (s < 280)
        put_code(w, s - 256, 7);
    else
        put_code(w, 0xc0 + s - 280, 8);
}

static void put_match(Writer *w, size_t length, size_t distance)
{
    int s = 28, d = 29;
    while (LENGTHS[s] > length)
        s--;
    put_symbol(w, 257 + s);
    put(w, (uint32_t)(length - LENGTHS[s]), LENGTH_BITS[s]);
    while (DISTANCES[d] > distance)
        d--;
    put_code(w, d, 5);
    put(w, (uint32_t)(distance - DISTANCES[d]), DISTANCE_BITS[d]);
}

#define PLACES 8192

static JSValue deflate(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(bytes, argv[0])
    uint32_t *places = calloc(PLACES, sizeof *places); /* by a hash of three bytes: one more than where they were last */
    Bytes out = {0};
    Writer w = {.out = &out};
    if (!places)
        return JS_ThrowOutOfMemory(ctx);
    put(&w, 3, 3); /* the last block, with fixed codes */
    for (size_t at = 0; at < bytes_length;) {
        size_t length = 0, distance = 0;
        if (at + 3 <= bytes_length) {
            uint32_t hash = ((bytes[at] << 16 | bytes[at + 1] << 8 | bytes[at + 2]) * 2654435761u) >> 19;
            size_t last = places[hash];
            places[hash] = (uint32_t)at + 1;
            if (last && at + 1 - last <= 32768) {
                distance = at + 1 - last;
                while (length < 258 && at + length < bytes_length && bytes[at + length] == bytes[at + length - distance])
                    length++;
            }
        }
        if (length >= 3) {
            put_match(&w, length, distance);
            at += length;
        } else
            put_symbol(&w, bytes[at++]);
    }
    put_symbol(&w, 256);
    if (w.bits)
        put(&w, 0, 8 - w.bits);
    free(places);
    JSValue made = out.failed ? JS_ThrowOutOfMemory(ctx) : JS_NewUint8ArrayCopy(ctx, out.bytes, out.length);
    free(out.bytes);
    return made;
}

/* ── checksums ───────────────────────────────────────────────────────────────────────────────────────────────── */

static JSValue crc32(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(bytes, argv[0])
    uint32_t crc = 0, table[256];
    if (argc > 1 && JS_ToUint32(ctx, &crc, argv[1]) < 0)
        return JS_EXCEPTION;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    crc = ~crc;
    for (size_t i = 0; i < bytes_length; i++)
        crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
    return JS_NewUint32(ctx, ~crc);
}

static JSValue adler32(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(bytes, argv[0])
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < bytes_length; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return JS_NewUint32(ctx, b << 16 | a);
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("inflate", 3, inflate),
    JS_CFUNC_DEF("deflate", 1, deflate),
    JS_CFUNC_DEF("crc32", 2, crc32),
    JS_CFUNC_DEF("adler32", 1, adler32),
};

void flate_install(JSValueConst native)
{
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
}
