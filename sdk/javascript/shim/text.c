/*
 * Bytes to strings and back. Buffer, TextEncoder and TextDecoder are made of these (library/buffer.js, encoding.js).
 *
 * Laws:
 * - Decoding never fails: what is not UTF-8 becomes U+FFFD, one for each maximal part, as WHATWG's Encoding says; a digit
 *   that is not hexadecimal ends hex; what is not base64's is skipped, as Node does.
 * - Every function takes a Uint8Array and a range that is cut to what there is.
 */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64_length(size_t length)
{
    return (length + 2) / 3 * 4;
}

/* Returns how many characters were written. */
static size_t base64_write(char *out, const uint8_t *bytes, size_t length, const char *alphabet, bool padded)
{
    char *at = out;
    size_t i = 0;
    for (; i + 2 < length; i += 3) {
        uint32_t n = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        *at++ = alphabet[n >> 18];
        *at++ = alphabet[n >> 12 & 63];
        *at++ = alphabet[n >> 6 & 63];
        *at++ = alphabet[n & 63];
    }
    if (i < length) {
        uint32_t n = (uint32_t)bytes[i] << 16 | (i + 1 < length ? (uint32_t)bytes[i + 1] << 8 : 0);
        *at++ = alphabet[n >> 18];
        *at++ = alphabet[n >> 12 & 63];
        if (i + 1 < length)
            *at++ = alphabet[n >> 6 & 63];
        else if (padded)
            *at++ = '=';
        if (padded)
            *at++ = '=';
    }
    return at - out;
}

void base64_encode(char *out, const uint8_t *bytes, size_t length)
{
    base64_write(out, bytes, length, BASE64, true);
}

/* ── UTF-8 ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* How many bytes from `at` belong together: a character if `*valid`, else a maximal part of none. */
static size_t utf8_step(const uint8_t *at, const uint8_t *end, bool *valid)
{
    uint8_t lead = *at;
    *valid = true;
    if (lead < 0x80)
        return 1;
    uint8_t low = 0x80, high = 0xbf;
    size_t more;
    if (lead >= 0xc2 && lead <= 0xdf)
        more = 1;
    else if (lead >= 0xe0 && lead <= 0xef) {
        more = 2;
        if (lead == 0xe0)
            low = 0xa0;
        if (lead == 0xed)
            high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        more = 3;
        if (lead == 0xf0)
            low = 0x90;
        if (lead == 0xf4)
            high = 0x8f;
    } else {
        *valid = false;
        return 1;
    }
    for (size_t i = 1; i <= more; i++) {
        if (at + i >= end || at[i] < low || at[i] > high) {
            *valid = false;
            return i;
        }
        low = 0x80;
        high = 0xbf;
    }
    return more + 1;
}

/* Where the first byte is that no character begins with or goes on with; `end` if there is none. */
static const uint8_t *utf8_flaw(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        if (*at < 0x80) {
            at++;
            continue;
        }
        bool valid;
        size_t step = utf8_step(at, end, &valid);
        if (!valid)
            return at;
        at += step;
    }
    return end;
}

JSValue text_from_utf8(const uint8_t *bytes, size_t length)
{
    const uint8_t *end = bytes + length;
    const uint8_t *flaw = utf8_flaw(bytes, end);
    if (flaw == end)
        return JS_NewStringLen(context, (const char *)bytes, length);
    Bytes out = {0};
    bytes_put(&out, bytes, flaw - bytes);
    for (const uint8_t *at = flaw; at < end;) {
        bool valid;
        size_t step = utf8_step(at, end, &valid);
        if (valid)
            bytes_put(&out, at, step);
        else
            bytes_put(&out, "\xef\xbf\xbd", 3);
        at += step;
    }
    JSValue string = out.failed ? JS_ThrowOutOfMemory(context)
                                : JS_NewStringLen(context, (const char *)out.bytes, out.length);
    free(out.bytes);
    return string;
}

/* ── what JavaScript sees ────────────────────────────────────────────────────────────────────────────────────── */

uint8_t *view(JSValueConst value, size_t *length)
{
    static uint8_t nothing[1];
    uint8_t *bytes = JS_GetUint8Array(context, length, value);
    if (!bytes && !JS_HasException(context) && JS_GetTypedArrayType(value) == JS_TYPED_ARRAY_UINT8) {
        *length = 0;
        return nothing;
    }
    if (!bytes && !JS_HasException(context))
        JS_ThrowTypeError(context, "a Uint8Array is wanted");
    return bytes;
}

/* argv: Uint8Array, from, to. Cuts the range to the bytes that there are. */
static bool range(int argc, JSValueConst *argv, const uint8_t **bytes, size_t *length)
{
    size_t total;
    *bytes = view(argv[0], &total);
    if (!*bytes)
        return false;
    int64_t from = 0, to = (int64_t)total;
    if (argc > 1 && !JS_IsUndefined(argv[1]) && JS_ToInt64(context, &from, argv[1]) < 0)
        return false;
    if (argc > 2 && !JS_IsUndefined(argv[2]) && JS_ToInt64(context, &to, argv[2]) < 0)
        return false;
    from = from < 0 ? 0 : from > (int64_t)total ? (int64_t)total : from;
    to = to < from ? from : to > (int64_t)total ? (int64_t)total : to;
    *bytes += from;
    *length = (size_t)(to - from);
    return true;
}

#define RANGE \
    const uint8_t *bytes; \
    size_t length; \
    if (!range(argc, argv, &bytes, &length)) \
        return JS_EXCEPTION;

static JSValue utf8_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    RANGE
    return text_from_utf8(bytes, length);
}

/* Whether all of it is UTF-8. */
static JSValue utf8_valid(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    RANGE
    return JS_NewBool(ctx, utf8_flaw(bytes, bytes + length) == bytes + length);
}

/* How many bytes at the end begin a character that is not whole: a decoder of streams keeps them back. */
static JSValue utf8_unfinished(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    RANGE
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        const uint8_t *at = bytes + length - back;
        if ((*at & 0xc0) == 0x80)
            continue;
        bool valid;
        size_t step = utf8_step(at, bytes + length, &valid);
        bool lead = *at >= 0xc2 && *at <= 0xf4;
        return JS_NewInt32(ctx, !valid && lead && step == back ? (int)back : 0);
    }
    return JS_NewInt32(ctx, 0);
}

static JSValue give(Bytes *out)
{
    if (out->failed) {
        free(out->bytes);
        return JS_ThrowOutOfMemory(context);
    }
    JSValue array = JS_NewUint8ArrayCopy(context, out->bytes ? out->bytes : (const uint8_t *)"", out->length);
    free(out->bytes);
    return array;
}

static JSValue utf8_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *utf8 = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!utf8)
        return JS_EXCEPTION;
    JSValue array = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)utf8, length);
    JS_FreeCString(ctx, utf8);
    if (JS_IsException(array))
        return array;
    uint8_t *at = JS_GetUint8Array(ctx, &length, array), *end = at + length;
    while (at && (at = memchr(at, 0xed, end - at)) && at + 2 < end) { /* lone surrogates */
        if (at[1] >= 0xa0)
            memcpy(at, "\xef\xbf\xbd", 3);
        at += 3;
    }
    return array;
}

static JSValue utf8_length(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *utf8 = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!utf8)
        return JS_EXCEPTION;
    JS_FreeCString(ctx, utf8);
    return JS_NewInt64(ctx, (int64_t)length);
}

/* Latin-1, or ASCII with `argv[3]`: the eighth bit is then dropped, as Node does. */
static JSValue latin1_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    RANGE
    bool ascii = argc > 3 && JS_ToBool(ctx, argv[3]);
    char *utf8 = js_malloc(ctx, 2 * length + 1);
    if (!utf8)
        return JS_EXCEPTION;
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t c = ascii ? bytes[i] & 0x7f : bytes[i];
        if (c < 0x80)
            utf8[n++] = (char)c;
        else {
            utf8[n++] = (char)(0xc0 | c >> 6);
            utf8[n++] = (char)(0x80 | (c & 0x3f));
        }
    }
    JSValue string = JS_NewStringLen(ctx, utf8, n);
    js_free(ctx, utf8);
    return string;
}

static JSValue latin1_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const uint16_t *units = JS_ToCStringLenUTF16(ctx, &length, argv[0]);
    if (!units)
        return JS_EXCEPTION;
    Bytes out = {0};
    if (bytes_reserve(&out, length)) {
        for (size_t i = 0; i < length; i++)
            out.bytes[i] = (uint8_t)units[i];
        out.length = length;
    }
    JS_FreeCStringUTF16(ctx, units);
    return give(&out);
}

static JSValue utf16_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    RANGE
    size_t count = length / 2;
    uint16_t *units = js_malloc(ctx, 2 * count + 2);
    if (!units)
        return JS_EXCEPTION;
    memcpy(units, bytes, 2 * count);
    JSValue string = JS_NewStringUTF16(ctx, units, count);
    js_free(ctx, units);
    return string;
}

static JSValue utf16_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t count;
    const uint16_t *units = JS_ToCStringLenUTF16(ctx, &count, argv[0]);
    if (!units)
        return JS_EXCEPTION;
    JSValue array = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)units, 2 * count);
    JS_FreeCStringUTF16(ctx, units);
    return array;
}

static JSValue hex_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    RANGE
    static const char DIGITS[] = "0123456789abcdef";
    char *hex = js_malloc(ctx, 2 * length + 1);
    if (!hex)
        return JS_EXCEPTION;
    for (size_t i = 0; i < length; i++) {
        hex[2 * i] = DIGITS[bytes[i] >> 4];
        hex[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    JSValue string = JS_NewStringLen(ctx, hex, 2 * length);
    js_free(ctx, hex);
    return string;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static JSValue hex_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *hex = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!hex)
        return JS_EXCEPTION;
    Bytes out = {0};
    for (size_t i = 0; i + 1 < length; i += 2) {
        int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            break;
        bytes_byte(&out, (uint8_t)(high << 4 | low));
    }
    JS_FreeCString(ctx, hex);
    return give(&out);
}

/* argv[3]: the alphabet for URLs, without padding. */
static JSValue base64_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    RANGE
    bool url = argc > 3 && JS_ToBool(ctx, argv[3]);
    char *text = js_malloc(ctx, base64_length(length) + 1);
    if (!text)
        return JS_EXCEPTION;
    size_t written = base64_write(text, bytes, length, url ? BASE64URL : BASE64, !url);
    JSValue string = JS_NewStringLen(ctx, text, written);
    js_free(ctx, text);
    return string;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets; ends at the first `=`, skips what is in neither. */
static JSValue base64_encode_js(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!text)
        return JS_EXCEPTION;
    Bytes out = {0};
    uint32_t held = 0;
    int bits = 0;
    bytes_reserve(&out, length / 4 * 3 + 3);
    for (size_t i = 0; i < length && text[i] != '='; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            continue;
        held = held << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes_byte(&out, (uint8_t)(held >> bits));
        }
    }
    JS_FreeCString(ctx, text);
    return give(&out);
}

/* Where `argv[1]` is in `argv[0]`, from `argv[2]` on; from its end backwards with `argv[3]`. −1: nowhere. */
static JSValue index_of(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(hay, argv[0])
    VIEW(needle, argv[1])
    int64_t from;
    if (JS_ToInt64(ctx, &from, argv[2]) < 0)
        return JS_EXCEPTION;
    bool last = argc > 3 && JS_ToBool(ctx, argv[3]);
    int64_t most = (int64_t)hay_length - (int64_t)needle_length;
    if (last) {
        for (int64_t at = from < most ? from : most; at >= 0; at--)
            if (!memcmp(hay + at, needle, needle_length))
                return JS_NewInt64(ctx, at);
    } else
        for (int64_t at = from; at <= most; at++)
            if (!memcmp(hay + at, needle, needle_length))
                return JS_NewInt64(ctx, at);
    return JS_NewInt32(ctx, -1);
}

static JSValue compare(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(a, argv[0])
    VIEW(b, argv[1])
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    if (!order)
        order = a_length < b_length ? -1 : a_length > b_length;
    return JS_NewInt32(ctx, order < 0 ? -1 : order > 0);
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("utf8Decode", 3, utf8_decode),
    JS_CFUNC_DEF("utf8Encode", 1, utf8_encode),
    JS_CFUNC_DEF("utf8Length", 1, utf8_length),
    JS_CFUNC_DEF("utf8Valid", 3, utf8_valid),
    JS_CFUNC_DEF("utf8Unfinished", 3, utf8_unfinished),
    JS_CFUNC_DEF("latin1Decode", 4, latin1_decode),
    JS_CFUNC_DEF("latin1Encode", 1, latin1_encode),
    JS_CFUNC_DEF("utf16Decode", 3, utf16_decode),
    JS_CFUNC_DEF("utf16Encode", 1, utf16_encode),
    JS_CFUNC_DEF("hexDecode", 3, hex_decode),
    JS_CFUNC_DEF("hexEncode", 1, hex_encode),
    JS_CFUNC_DEF("base64Decode", 4, base64_decode),
    JS_CFUNC_DEF("base64Encode", 1, base64_encode_js),
    JS_CFUNC_DEF("indexOf", 4, index_of),
    JS_CFUNC_DEF("compare", 2, compare),
};

void text_install(JSValueConst native)
{
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
}
