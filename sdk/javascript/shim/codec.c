/*
 * msgpack and JavaScript values.
 *
 * Laws:
 * - What is written is what JSON.stringify would have said: toJSON is called, undefined and functions vanish, what is not
 *   finite is null, an integral double is an integer. Lone surrogates, which UTF-8 does not have, become U+FFFD.
 * - What is read is what JSON.parse would have made: numbers are doubles, `__proto__` is a property like any other.
 * - A length is believed only as far as there are bytes.
 */
#include "shim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The host reads outcomes 64 deep, two of which are the outcome's own. */
#define DEPTH_MAX 62
/* Events nest at most 512 deep; this is for what is not an event. */
#define READ_DEPTH_MAX 600

/* ── a buffer that grows ─────────────────────────────────────────────────────────────────────────────────────── */

bool bytes_reserve(Bytes *b, size_t more)
{
    if (b->failed)
        return false;
    if (b->capacity - b->length >= more)
        return true;
    size_t capacity = b->capacity ? b->capacity : 4096;
    while (capacity - b->length < more) {
        if (capacity > SIZE_MAX / 2) {
            b->failed = true;
            return false;
        }
        capacity *= 2;
    }
    uint8_t *bytes = realloc(b->bytes, capacity);
    if (!bytes) {
        b->failed = true;
        return false;
    }
    b->bytes = bytes;
    b->capacity = capacity;
    return true;
}

void bytes_put(Bytes *b, const void *from, size_t length)
{
    if (!bytes_reserve(b, length))
        return;
    memcpy(b->bytes + b->length, from, length);
    b->length += length;
}

void bytes_byte(Bytes *b, uint8_t byte)
{
    if (bytes_reserve(b, 1))
        b->bytes[b->length++] = byte;
}

static void put_be(Bytes *b, uint8_t tag, uint64_t value, int size)
{
    if (!bytes_reserve(b, 9))
        return;
    b->bytes[b->length++] = tag;
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
        b->bytes[b->length++] = (uint8_t)(value >> shift);
}

/* ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    const uint8_t *at, *end;
    BinForm form;
} Reader;

static uint64_t be(const uint8_t *at, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static JSValue malformed(void)
{
    return JS_ThrowInternalError(context, "the host's bytes are not msgpack");
}

static JSValue read_value(Reader *r, int depth);

/* True if `length` bytes are left; they are then behind r->at. */
static bool taken(Reader *r, uint64_t length, const uint8_t **from)
{
    if ((uint64_t)(r->end - r->at) < length)
        return false;
    *from = r->at;
    r->at += length;
    return true;
}

static JSValue read_string(Reader *r, uint64_t length)
{
    const uint8_t *from;
    if (!taken(r, length, &from))
        return malformed();
    return text_from_utf8(from, (size_t)length);
}

static JSValue read_bin(Reader *r, uint64_t length)
{
    const uint8_t *from;
    if (!taken(r, length, &from))
        return malformed();
    if (r->form == BIN_AS_ARRAY)
        return JS_NewUint8ArrayCopy(context, from, (size_t)length);
    size_t encoded = base64_length((size_t)length);
    char *text = js_malloc(context, encoded + 1);
    if (!text)
        return JS_EXCEPTION;
    base64_encode(text, from, (size_t)length);
    JSValue string = JS_NewStringLen(context, text, encoded);
    js_free(context, text);
    return string;
}

static JSValue read_array(Reader *r, uint64_t count, int depth)
{
    if (count > (uint64_t)(r->end - r->at)) /* each element has a byte at least */
        return malformed();
    JSValue array = JS_NewArray(context);
    if (JS_IsException(array))
        return array;
    for (uint32_t i = 0; i < count; i++) {
        JSValue element = read_value(r, depth + 1);
        if (JS_IsException(element) ||
            JS_DefinePropertyValueUint32(context, array, i, element, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(context, array);
            return JS_EXCEPTION;
        }
    }
    return array;
}

/* The key's atom; JS_ATOM_NULL with an exception pending if there is none. */
static JSAtom read_key(Reader *r)
{
    const uint8_t *from;
    uint64_t length;
    if (r->at >= r->end)
        goto wrong;
    uint8_t tag = *r->at++;
    if (tag >= 0xa0 && tag <= 0xbf)
        length = tag & 31;
    else if (tag >= 0xd9 && tag <= 0xdb) {
        int size = 1 << (tag - 0xd9);
        if (!taken(r, size, &from))
            goto wrong;
        length = be(from, size);
    } else
        goto wrong;
    if (!taken(r, length, &from))
        goto wrong;
    return JS_NewAtomLen(context, (const char *)from, (size_t)length);
wrong:
    malformed();
    return JS_ATOM_NULL;
}

static JSValue read_map(Reader *r, uint64_t count, int depth)
{
    if (count * 2 > (uint64_t)(r->end - r->at))
        return malformed();
    JSValue object = JS_NewObject(context);
    if (JS_IsException(object))
        return object;
    for (uint64_t i = 0; i < count; i++) {
        JSAtom key = read_key(r);
        if (key == JS_ATOM_NULL)
            goto failed;
        JSValue value = read_value(r, depth + 1);
        int done = JS_IsException(value) ? -1 : JS_DefinePropertyValue(context, object, key, value, JS_PROP_C_W_E);
        JS_FreeAtom(context, key);
        if (done < 0)
            goto failed;
    }
    return object;
failed:
    JS_FreeValue(context, object);
    return JS_EXCEPTION;
}

static JSValue read_float(const uint8_t *from, int size)
{
    if (size == 4) {
        uint32_t bits = (uint32_t)be(from, 4);
        float value;
        memcpy(&value, &bits, 4);
        return JS_NewNumber(context, value);
    }
    uint64_t bits = be(from, 8);
    double value;
    memcpy(&value, &bits, 8);
    return JS_NewNumber(context, value);
}

static JSValue read_tagged(Reader *r, uint8_t tag, int depth)
{
    /* What follows each tag from 0xc0 on: how many bytes of a number. 0xff: nothing may have this tag here. */
    static const uint8_t SIZES[32] = {
        0, 0xff, 0, 0, 1, 2, 4, 0xff, 0xff, 0xff, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 4, 2, 4, 2, 4,
    };
    int size = SIZES[tag - 0xc0];
    const uint8_t *from;
    if (size == 0xff || !taken(r, size, &from))
        return malformed();
    uint64_t n = be(from, size);
    switch (tag) {
    case 0xc0: return JS_NULL;
    case 0xc2: return JS_FALSE;
    case 0xc3: return JS_TRUE;
    case 0xc4: case 0xc5: case 0xc6: return read_bin(r, n);
    case 0xca: case 0xcb: return read_float(from, size);
    case 0xcc: case 0xcd: case 0xce: return JS_NewInt64(context, (int64_t)n);
    case 0xcf: return n <= INT64_MAX ? JS_NewInt64(context, (int64_t)n) : JS_NewFloat64(context, (double)n);
    case 0xd0: return JS_NewInt32(context, (int8_t)n);
    case 0xd1: return JS_NewInt32(context, (int16_t)n);
    case 0xd2: return JS_NewInt32(context, (int32_t)n);
    case 0xd3: return JS_NewInt64(context, (int64_t)n);
    case 0xd9: case 0xda: case 0xdb: return read_string(r, n);
    case 0xdc: case 0xdd: return read_array(r, n, depth);
    default: return read_map(r, n, depth);
    }
}

static JSValue read_value(Reader *r, int depth)
{
    if (r->at >= r->end || depth > READ_DEPTH_MAX)
        return malformed();
    uint8_t tag = *r->at++;
    if (tag <= 0x7f)
        return JS_NewInt32(context, tag);
    if (tag >= 0xe0)
        return JS_NewInt32(context, (int8_t)tag);
    if (tag <= 0x8f)
        return read_map(r, tag & 15, depth);
    if (tag <= 0x9f)
        return read_array(r, tag & 15, depth);
    if (tag <= 0xbf)
        return read_string(r, tag & 31);
    return read_tagged(r, tag, depth);
}

JSValue codec_decode(const uint8_t **at, const uint8_t *end, BinForm form)
{
    Reader r = {*at, end, form};
    JSValue value = read_value(&r, 0);
    *at = r.at;
    return value;
}

/* ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    Bytes *out;
    bool bin;
    void *parents[DEPTH_MAX + 1]; /* the objects that are being written: meeting one again is a cycle */
} Writer;

static bool write_value(Writer *w, JSValueConst value, JSValueConst key, int depth);

static void write_nil(Writer *w)
{
    bytes_byte(w->out, 0xc0);
}

static void write_int(Writer *w, int64_t n)
{
    if (n >= 0) {
        if (n < 0x80)
            bytes_byte(w->out, (uint8_t)n);
        else if (n <= 0xff)
            put_be(w->out, 0xcc, n, 1);
        else if (n <= 0xffff)
            put_be(w->out, 0xcd, n, 2);
        else if (n <= 0xffffffff)
            put_be(w->out, 0xce, n, 4);
        else
            put_be(w->out, 0xcf, n, 8);
    } else if (n >= -32)
        bytes_byte(w->out, (uint8_t)n);
    else if (n >= INT32_MIN)
        put_be(w->out, 0xd2, (uint32_t)n, 4);
    else
        put_be(w->out, 0xd3, (uint64_t)n, 8);
}

static void write_double(Writer *w, double d)
{
    if (!isfinite(d)) {
        write_nil(w);
        return;
    }
    if (d >= -9007199254740992.0 && d <= 9007199254740992.0 && d == (double)(int64_t)d) {
        write_int(w, (int64_t)d);
        return;
    }
    uint64_t bits;
    memcpy(&bits, &d, 8);
    put_be(w->out, 0xcb, bits, 8);
}

void codec_put_string(Bytes *out, const char *utf8, size_t length)
{
    if (length < 32)
        bytes_byte(out, (uint8_t)(0xa0 | length));
    else if (length <= 0xff)
        put_be(out, 0xd9, length, 1);
    else if (length <= 0xffff)
        put_be(out, 0xda, length, 2);
    else
        put_be(out, 0xdb, length, 4);
    size_t from = out->length;
    bytes_put(out, utf8, length);
    if (out->failed)
        return;
    /* Lone surrogates come as ED A0…BF xx: three bytes, as many as U+FFFD has. */
    uint8_t *at = out->bytes + from, *end = out->bytes + out->length;
    while ((at = memchr(at, 0xed, end - at)) && at + 2 < end) {
        if (at[1] >= 0xa0)
            memcpy(at, "\xef\xbf\xbd", 3);
        at += 3;
    }
}

bool codec_put_text(Bytes *out, JSValueConst string)
{
    size_t length;
    const char *utf8 = JS_ToCStringLen(context, &length, string);
    if (!utf8)
        return false;
    codec_put_string(out, utf8, length);
    JS_FreeCString(context, utf8);
    return true;
}

static void write_bin(Writer *w, const uint8_t *bytes, size_t length)
{
    if (length <= 0xff)
        put_be(w->out, 0xc4, length, 1);
    else if (length <= 0xffff)
        put_be(w->out, 0xc5, length, 2);
    else
        put_be(w->out, 0xc6, length, 4);
    bytes_put(w->out, bytes, length);
}

void codec_put_array(Bytes *out, uint32_t count)
{
    if (count < 16)
        bytes_byte(out, (uint8_t)(0x90 | count));
    else
        put_be(out, 0xdd, count, 4);
}

void codec_put_map(Bytes *out, uint32_t count)
{
    if (count < 16)
        bytes_byte(out, (uint8_t)(0x80 | count));
    else
        put_be(out, 0xdf, count, 4);
}

static bool vanishes(JSValueConst value)
{
    return JS_IsUndefined(value) || JS_IsSymbol(value) || (JS_IsObject(value) && JS_IsFunction(context, value));
}

static bool write_array(Writer *w, JSValueConst array, int depth)
{
    int64_t count;
    if (JS_GetLength(context, array, &count) < 0)
        return false;
    codec_put_array(w->out, (uint32_t)count);
    for (int64_t i = 0; i < count; i++) {
        JSValue element = JS_GetPropertyInt64(context, array, i);
        if (JS_IsException(element))
            return false;
        bool done = write_value(w, element, JS_UNDEFINED, depth + 1);
        JS_FreeValue(context, element);
        if (!done)
            return false;
    }
    return true;
}

/* A value after its toJSON; the caller frees it. */
static JSValue jsonable(JSValueConst value, JSValueConst key)
{
    JSValue method = JS_GetPropertyStr(context, value, "toJSON");
    if (JS_IsException(method))
        return method;
    if (!JS_IsFunction(context, method)) {
        JS_FreeValue(context, method);
        return JS_DupValue(context, value);
    }
    JSValue name = JS_IsUndefined(key) ? JS_NewString(context, "") : JS_DupValue(context, key);
    JSValue made = JS_Call(context, method, value, 1, (JSValueConst *)&name);
    JS_FreeValue(context, name);
    JS_FreeValue(context, method);
    return made;
}

static bool write_members(Writer *w, JSValueConst object, JSPropertyEnum *names, uint32_t count, int depth)
{
    size_t head = w->out->length;
    codec_put_map(w->out, count); /* corrected below if members vanish */
    uint32_t written = 0;
    for (uint32_t i = 0; i < count; i++) {
        JSValue raw = JS_GetProperty(context, object, names[i].atom);
        if (JS_IsException(raw))
            return false;
        if (JS_IsObject(raw) || JS_IsBigInt(raw)) {
            JSValue name = JS_AtomToString(context, names[i].atom);
            JSValue made = jsonable(raw, name);
            JS_FreeValue(context, name);
            JS_FreeValue(context, raw);
            if (JS_IsException(made))
                return false;
            raw = made;
        }
        bool done = true;
        if (!vanishes(raw)) {
            size_t length;
            const char *name = JS_AtomToCStringLen(context, &length, names[i].atom);
            if (name) {
                codec_put_string(w->out, name, length);
                JS_FreeCString(context, name);
                written++;
            }
            done = name && write_value(w, raw, JS_NULL, depth + 1);
        }
        JS_FreeValue(context, raw);
        if (!done)
            return false;
    }
    if (w->out->failed || written == count)
        return true;
    uint8_t *at = w->out->bytes + head;
    if (count < 16) {
        *at = (uint8_t)(0x80 | written);
        return true;
    }
    for (int i = 0; i < 4; i++)
        at[1 + i] = (uint8_t)(written >> (24 - 8 * i));
    return true;
}

static bool write_object(Writer *w, JSValueConst object, int depth)
{
    JSPropertyEnum *names;
    uint32_t count;
    if (JS_GetOwnPropertyNames(context, &names, &count, object, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return false;
    bool done = write_members(w, object, names, count, depth);
    JS_FreePropertyEnum(context, names, count);
    return done;
}

/* Number, String, Boolean and BigInt objects are what they hold. */
static JSValue unboxed(JSValueConst value)
{
    JSValue tag = JS_UNDEFINED;
    static JSClassID number, string, boolean;
    if (!number) { /* the classes' numbers are the engine's own: found by example */
        const char *texts[] = {"Object(0)", "Object('')", "Object(false)"};
        JSClassID *ids[] = {&number, &string, &boolean};
        for (int i = 0; i < 3; i++) {
            JSValue example = JS_Eval(context, texts[i], strlen(texts[i]), "<boxes>", JS_EVAL_TYPE_GLOBAL);
            *ids[i] = JS_GetClassID(example);
            JS_FreeValue(context, example);
        }
    }
    JSClassID id = JS_GetClassID(value);
    if (id == number)
        tag = JS_ToNumber(context, value);
    else if (id == string)
        tag = JS_ToString(context, value);
    else if (id == boolean)
        tag = JS_Invoke(context, value, JS_NewAtom(context, "valueOf"), 0, NULL);
    return tag;
}

static bool write_compound(Writer *w, JSValueConst value, int depth)
{
    void *self = JS_VALUE_GET_PTR(value);
    for (int i = 0; i < depth; i++)
        if (w->parents[i] == self) {
            JS_ThrowTypeError(context, "Converting circular structure to JSON");
            return false;
        }
    if (depth >= DEPTH_MAX) {
        JS_ThrowRangeError(context, "the value nests deeper than %d", DEPTH_MAX);
        return false;
    }
    w->parents[depth] = self;
    JSValue plain = unboxed(value);
    if (JS_IsException(plain))
        return false;
    if (!JS_IsUndefined(plain)) {
        bool done = write_value(w, plain, JS_NULL, depth);
        JS_FreeValue(context, plain);
        return done;
    }
    if (JS_IsArray(value))
        return write_array(w, value, depth);
    if (JS_IsProxy(value)) {
        JSValue target = JS_GetProxyTarget(context, value);
        bool is_array = JS_IsArray(target);
        JS_FreeValue(context, target);
        if (is_array)
            return write_array(w, value, depth);
    }
    return write_object(w, value, depth);
}

/* `key` is null if toJSON was called already. */
static bool write_value(Writer *w, JSValueConst value, JSValueConst key, int depth)
{
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_INT:
        write_int(w, JS_VALUE_GET_INT(value));
        return true;
    case JS_TAG_FLOAT64:
        write_double(w, JS_VALUE_GET_FLOAT64(value));
        return true;
    case JS_TAG_BOOL:
        bytes_byte(w->out, JS_VALUE_GET_BOOL(value) ? 0xc3 : 0xc2);
        return true;
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        return codec_put_text(w->out, value);
    case JS_TAG_BIG_INT:
    case JS_TAG_SHORT_BIG_INT:
    case JS_TAG_OBJECT:
        break;
    default:
        write_nil(w);
        return true;
    }
    if (w->bin && JS_GetTypedArrayType(value) == JS_TYPED_ARRAY_UINT8) {
        size_t length;
        uint8_t *bytes = JS_GetUint8Array(context, &length, value);
        write_bin(w, bytes, bytes ? length : 0);
        return true;
    }
    if (!JS_IsNull(key)) {
        JSValue made = jsonable(value, key);
        if (JS_IsException(made))
            return false;
        bool done = write_value(w, made, JS_NULL, depth);
        JS_FreeValue(context, made);
        return done;
    }
    if (!JS_IsObject(value)) {
        JS_ThrowTypeError(context, "Do not know how to serialize a BigInt");
        return false;
    }
    if (JS_IsFunction(context, value)) {
        write_nil(w);
        return true;
    }
    return write_compound(w, value, depth);
}

bool codec_encode(Bytes *out, JSValueConst value, bool bin)
{
    Writer w = {.out = out, .bin = bin};
    if (!write_value(&w, value, JS_UNDEFINED, 0))
        return false;
    if (out->failed) {
        JS_ThrowOutOfMemory(context);
        return false;
    }
    return true;
}
