/* msgpack ↔ Python's objects.
 *
 * Reading an event: maps are dicts, binary is base64 text, since an event has JSON's types only. Writing a result follows
 * what Lambda's runtime does with it (simplejson): keys become text, a named tuple is an object, Decimal a number; what
 * JSON has no word for is a TypeError in json's own words. Capabilities carry bytes as they are.
 *
 * Laws:
 * - A length is believed only as far as there are bytes: nothing is allocated for items that cannot be there.
 * - What is written is one value that the host takes: UTF-8 text, text keys, no key twice, within abi.md's limits.
 */
#include "shim.h"

/* abi.md, section 6. The outcome itself is one level and the map around the result another. */
enum { DEPTH_MAX = 62, LENGTH_MAX = 100000, EVENT_DEPTH_MAX = 520 };

/* ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static PyObject *malformed(void) {
    PyErr_SetString(PyExc_ValueError, "malformed msgpack");
    return NULL;
}

static int take_bytes(Reader *in, size_t len, const uint8_t **data) {
    if ((size_t)(in->end - in->at) < len) return 0;
    *data = in->at;
    in->at += len;
    return 1;
}

static int take_number(Reader *in, int bytes, uint64_t *number) {
    const uint8_t *p;
    if (!take_bytes(in, (size_t)bytes, &p)) return 0;
    uint64_t n = 0;
    for (int i = 0; i < bytes; i++) n = n << 8 | p[i];
    *number = n;
    return 1;
}

/* A length of 1 << power bytes. */
static int take_length(Reader *in, int power, size_t *len) {
    uint64_t n;
    if (!take_number(in, 1 << power, &n)) return 0;
    *len = (size_t)n;
    return 1;
}

int read_text(Reader *in, const char **text, size_t *len) {
    if (in->at == in->end) return 0;
    const uint8_t *start = in->at;
    uint8_t tag = *in->at++;
    int fine = 0;
    if (tag >= 0xa0 && tag <= 0xbf) {
        *len = tag & 31;
        fine = 1;
    } else if (tag >= 0xd9 && tag <= 0xdb) {
        fine = take_length(in, tag - 0xd9, len);
    }
    if (fine && take_bytes(in, *len, (const uint8_t **)text)) return 1;
    in->at = start;
    return 0;
}

int read_binary(Reader *in, const uint8_t **data, size_t *len) {
    if (in->at == in->end || *in->at < 0xc4 || *in->at > 0xc6) return 0;
    const uint8_t *start = in->at;
    uint8_t tag = *in->at++;
    if (take_length(in, tag - 0xc4, len) && take_bytes(in, *len, data)) return 1;
    in->at = start;
    return 0;
}

int64_t read_map(Reader *in) {
    if (in->at == in->end) return -1;
    uint8_t tag = *in->at;
    size_t len;
    if (tag >= 0x80 && tag <= 0x8f) {
        in->at++;
        return tag & 15;
    }
    if (tag != 0xde && tag != 0xdf) return -1;
    in->at++;
    return take_length(in, tag - 0xdd, &len) ? (int64_t)len : -1;
}

static PyObject *base64(const uint8_t *p, size_t len) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    PyObject *text = PyUnicode_New((Py_ssize_t)((len + 2) / 3 * 4), 127);
    if (text == NULL) return NULL;
    uint8_t *out = PyUnicode_1BYTE_DATA(text);
    for (; len >= 3; len -= 3, p += 3, out += 4) {
        out[0] = (uint8_t)digits[p[0] >> 2];
        out[1] = (uint8_t)digits[(p[0] & 3) << 4 | p[1] >> 4];
        out[2] = (uint8_t)digits[(p[1] & 15) << 2 | p[2] >> 6];
        out[3] = (uint8_t)digits[p[2] & 63];
    }
    if (len) {
        uint8_t second = len == 2 ? p[1] : 0;
        out[0] = (uint8_t)digits[p[0] >> 2];
        out[1] = (uint8_t)digits[(p[0] & 3) << 4 | second >> 4];
        out[2] = len == 2 ? (uint8_t)digits[(second & 15) << 2] : '=';
        out[3] = '=';
    }
    return text;
}

static PyObject *binary(const uint8_t *p, size_t len, Values values) {
    return values == AS_JSON ? base64(p, len) : PyBytes_FromStringAndSize((const char *)p, (Py_ssize_t)len);
}

static PyObject *read_nested(Reader *in, Values values, int depth);

static PyObject *read_items(Reader *in, size_t len, Values values, int depth) {
    if (len > (size_t)(in->end - in->at)) return malformed();
    PyObject *list = PyList_New((Py_ssize_t)len);
    if (list == NULL) return NULL;
    for (size_t i = 0; i < len; i++) {
        PyObject *item = read_nested(in, values, depth);
        if (item == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *read_entries(Reader *in, size_t len, Values values, int depth) {
    if (len > (size_t)(in->end - in->at) / 2) return malformed();
    PyObject *dict = PyDict_New();
    if (dict == NULL) return NULL;
    for (size_t i = 0; i < len; i++) {
        const char *text;
        size_t size;
        PyObject *key, *value;
        if (!read_text(in, &text, &size)) {
            malformed();
            goto failed;
        }
        if ((key = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, NULL)) == NULL) goto failed;
        if ((value = read_nested(in, values, depth)) == NULL) {
            Py_DECREF(key);
            goto failed;
        }
        int refused = PyDict_SetItem(dict, key, value);
        Py_DECREF(key);
        Py_DECREF(value);
        if (refused) goto failed;
    }
    return dict;
failed:
    Py_DECREF(dict);
    return NULL;
}

static PyObject *read_nested(Reader *in, Values values, int depth) {
    if (in->at == in->end || depth > EVENT_DEPTH_MAX) return malformed();
    const uint8_t *p;
    uint64_t n;
    size_t len;
    uint8_t tag = *in->at++;
    if (tag < 0x80) return PyLong_FromLong(tag);
    if (tag < 0x90) return read_entries(in, tag & 15, values, depth + 1);
    if (tag < 0xa0) return read_items(in, tag & 15, values, depth + 1);
    if (tag < 0xc0) {
        len = tag & 31;
        return take_bytes(in, len, &p) ? PyUnicode_DecodeUTF8((const char *)p, (Py_ssize_t)len, NULL) : malformed();
    }
    if (tag >= 0xe0) return PyLong_FromLong((int8_t)tag);
    switch (tag) {
    case 0xc0: Py_RETURN_NONE;
    case 0xc2: Py_RETURN_FALSE;
    case 0xc3: Py_RETURN_TRUE;
    case 0xc4: case 0xc5: case 0xc6:
        if (!take_length(in, tag - 0xc4, &len) || !take_bytes(in, len, &p)) return malformed();
        return binary(p, len, values);
    case 0xca: {
        float f;
        uint32_t bits;
        if (!take_number(in, 4, &n)) return malformed();
        bits = (uint32_t)n;
        memcpy(&f, &bits, 4);
        return PyFloat_FromDouble(f);
    }
    case 0xcb: {
        double d;
        if (!take_number(in, 8, &n)) return malformed();
        memcpy(&d, &n, 8);
        return PyFloat_FromDouble(d);
    }
    case 0xcc: case 0xcd: case 0xce: case 0xcf:
        return take_number(in, 1 << (tag - 0xcc), &n) ? PyLong_FromUnsignedLongLong(n) : malformed();
    case 0xd0: return take_number(in, 1, &n) ? PyLong_FromLong((int8_t)n) : malformed();
    case 0xd1: return take_number(in, 2, &n) ? PyLong_FromLong((int16_t)n) : malformed();
    case 0xd2: return take_number(in, 4, &n) ? PyLong_FromLong((int32_t)n) : malformed();
    case 0xd3: return take_number(in, 8, &n) ? PyLong_FromLongLong((int64_t)n) : malformed();
    case 0xd9: case 0xda: case 0xdb:
        if (!take_length(in, tag - 0xd9, &len) || !take_bytes(in, len, &p)) return malformed();
        return PyUnicode_DecodeUTF8((const char *)p, (Py_ssize_t)len, NULL);
    case 0xdc: case 0xdd:
        return take_length(in, tag - 0xdb, &len) ? read_items(in, len, values, depth + 1) : malformed();
    case 0xde: case 0xdf:
        return take_length(in, tag - 0xdd, &len) ? read_entries(in, len, values, depth + 1) : malformed();
    default: return malformed();
    }
}

PyObject *read_value(Reader *in, Values values) { return read_nested(in, values, 0); }

/* ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static uint8_t *room(Buffer *out, size_t len) {
    if (out->cap - out->len < len) {
        size_t cap = out->cap ? out->cap : 512;
        while (cap - out->len < len) cap *= 2;
        uint8_t *grown = realloc(out->data, cap);
        if (grown == NULL) {
            out->failed = 1;
            return NULL;
        }
        out->data = grown;
        out->cap = cap;
    }
    uint8_t *at = out->data + out->len;
    out->len += len;
    return at;
}

static void put(Buffer *out, uint8_t tag, uint64_t number, int bytes) {
    uint8_t *at = room(out, (size_t)bytes + 1);
    if (at == NULL) return;
    *at++ = tag;
    while (bytes-- > 0) *at++ = (uint8_t)(number >> 8 * bytes);
}

/* A head of a length: `fixed` | length if it fits below `fits`, else the first of three tags (for 8 bits, or none) on. */
static void put_length(Buffer *out, uint64_t len, uint8_t fixed, uint32_t fits, uint8_t tag8, uint8_t tag16) {
    if (len < fits) put(out, (uint8_t)(fixed | len), 0, 0);
    else if (tag8 && len < 0x100) put(out, tag8, len, 1);
    else if (len < 0x10000) put(out, tag16, len, 2);
    else put(out, (uint8_t)(tag16 + 1), len, 4);
}

void write_map(Buffer *out, uint32_t entries) { put_length(out, entries, 0x80, 16, 0, 0xde); }

void write_array(Buffer *out, uint32_t items) { put_length(out, items, 0x90, 16, 0, 0xdc); }

void write_text(Buffer *out, const char *text, size_t len) {
    put_length(out, len, 0xa0, 32, 0xd9, 0xda);
    uint8_t *at = room(out, len);
    if (at != NULL) memcpy(at, text, len);
}

static void write_binary(Buffer *out, const void *data, size_t len) {
    put_length(out, len, 0, 0, 0xc4, 0xc5);
    uint8_t *at = room(out, len);
    if (at != NULL) memcpy(at, data, len);
}

/* What encloses the value under way: how deep, and in what, so that a circle is told from mere depth. */
typedef struct {
    Values values;
    int depth;
    PyObject *around[DEPTH_MAX];
} Nest;

static int write_nested(Buffer *out, PyObject *value, Nest *nest);

static int enter(Nest *nest, PyObject *value) {
    if (nest->depth < DEPTH_MAX) {
        nest->around[nest->depth++] = value;
        return 0;
    }
    for (int i = 0; i < DEPTH_MAX; i++) {
        if (nest->around[i] == value) {
            PyErr_SetString(PyExc_ValueError, "Circular reference detected");
            return -1;
        }
    }
    PyErr_Format(PyExc_ValueError, "it is nested deeper than %d levels", DEPTH_MAX);
    return -1;
}

static int too_long(Py_ssize_t len) {
    if (len <= LENGTH_MAX) return 0;
    PyErr_Format(PyExc_ValueError, "%zd items in one list or dict, and at most %d are taken", len, LENGTH_MAX);
    return -1;
}

static int write_unicode(Buffer *out, PyObject *text) {
    Py_ssize_t len;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &len);
    if (utf8 != NULL) {
        write_text(out, utf8, (size_t)len);
        return 0;
    }
    /* A lone surrogate: JSON can escape it, UTF-8 cannot say it. */
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return -1;
    PyErr_Clear();
    PyObject *replaced = PyUnicode_AsEncodedString(text, "utf-8", "replace");
    if (replaced == NULL) return -1;
    write_text(out, PyBytes_AS_STRING(replaced), (size_t)PyBytes_GET_SIZE(replaced));
    Py_DECREF(replaced);
    return 0;
}

/* The key that json gives this one, a new reference. */
static PyObject *text_key(PyObject *key) {
    if (PyUnicode_Check(key)) return Py_NewRef(key);
    if (key == Py_True) return PyUnicode_FromString("true");
    if (key == Py_False) return PyUnicode_FromString("false");
    if (key == Py_None) return PyUnicode_FromString("null");
    if (PyLong_Check(key)) return PyLong_Type.tp_repr(key);
    if (PyFloat_Check(key)) return PyFloat_Type.tp_repr(key);
    if (PyBytes_Check(key)) return PyUnicode_FromEncodedObject(key, "utf-8", "strict");
    PyErr_Format(PyExc_TypeError, "keys must be str, int, float, bool or None, not %.100s", Py_TYPE(key)->tp_name);
    return NULL;
}

/* A dict of the same entries with text keys: 1 and "1" are one key in JSON as well, and the last of them wins. */
static PyObject *with_text_keys(PyObject *dict) {
    PyObject *copy = PyDict_New(), *key, *value;
    Py_ssize_t at = 0;
    while (copy != NULL && PyDict_Next(dict, &at, &key, &value)) {
        PyObject *text = text_key(key);
        if (text == NULL || PyDict_SetItem(copy, text, value)) Py_CLEAR(copy);
        Py_XDECREF(text);
    }
    return copy;
}

static int write_entries(Buffer *out, PyObject *dict, Nest *nest) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    write_map(out, (uint32_t)PyDict_GET_SIZE(dict));
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (write_unicode(out, key) || write_nested(out, value, nest)) return -1;
    }
    return 0;
}

static int write_dict(Buffer *out, PyObject *dict, Nest *nest) {
    PyObject *key, *value, *converted = NULL;
    Py_ssize_t at = 0;
    if (too_long(PyDict_GET_SIZE(dict)) || enter(nest, dict)) return -1;
    while (converted == NULL && PyDict_Next(dict, &at, &key, &value)) {
        if (PyUnicode_CheckExact(key)) continue;
        if ((converted = with_text_keys(dict)) == NULL) return -1;
    }
    int failed = write_entries(out, converted ? converted : dict, nest);
    Py_XDECREF(converted);
    nest->depth--;
    return failed;
}

static int write_sequence(Buffer *out, PyObject *sequence, Nest *nest) {
    Py_ssize_t len = PySequence_Fast_GET_SIZE(sequence);
    if (too_long(len) || enter(nest, sequence)) return -1;
    write_array(out, (uint32_t)len);
    for (Py_ssize_t i = 0; i < len; i++) {
        if (write_nested(out, PySequence_Fast_GET_ITEM(sequence, i), nest)) return -1;
    }
    nest->depth--;
    return 0;
}

static int write_double(Buffer *out, double d, Values values) {
    uint64_t bits;
    if (values == AS_JSON && !isfinite(d)) {
        const char *name = isnan(d) ? "nan" : d > 0 ? "inf" : "-inf";
        PyErr_Format(PyExc_ValueError, "Out of range float values are not JSON compliant: %s", name);
        return -1;
    }
    memcpy(&bits, &d, 8);
    put(out, 0xcb, bits, 8);
    return 0;
}

static int write_long(Buffer *out, PyObject *value, Values values) {
    int overflow;
    long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (n == -1 && !overflow && PyErr_Occurred()) return -1;
    if (overflow) {
        unsigned long long big = PyLong_AsUnsignedLongLong(value);
        if (!PyErr_Occurred()) {
            put(out, 0xcf, big, 8);
            return 0;
        }
        /* As abi.md 2.2 has it for events: a number beyond 64 bits is a float. */
        PyErr_Clear();
        double d = PyLong_AsDouble(value);
        return d == -1.0 && PyErr_Occurred() ? -1 : write_double(out, d, values);
    }
    if (n >= -32 && n < 128) put(out, (uint8_t)n, 0, 0);
    else if (n >= -128 && n < 0) put(out, 0xd0, (uint64_t)n, 1);
    else if (n >= 0 && n < 0x100) put(out, 0xcc, (uint64_t)n, 1);
    else if (n >= -0x8000 && n < 0x8000) put(out, 0xd1, (uint64_t)n, 2);
    else if (n >= -0x80000000LL && n < 0x80000000LL) put(out, 0xd2, (uint64_t)n, 4);
    else put(out, 0xd3, (uint64_t)n, 8);
    return 0;
}

static int is_decimal(PyObject *value) {
    PyObject *module = PyImport_GetModule(PyUnicode_InternFromString("decimal"));
    if (module == NULL) return 0; /* nobody imported it, so nobody has one */
    PyObject *type = PyObject_GetAttrString(module, "Decimal");
    int is = type != NULL && PyObject_IsInstance(value, type) == 1;
    Py_XDECREF(type);
    Py_DECREF(module);
    PyErr_Clear();
    return is;
}

/* As a number: whole ones exactly as far as 64 bits go, others as float. */
static int write_decimal(Buffer *out, PyObject *value, Nest *nest) {
    PyObject *text = PyObject_Str(value);
    if (text == NULL) return -1;
    PyObject *number = PyLong_FromUnicodeObject(text, 10);
    if (number == NULL) {
        PyErr_Clear();
        number = PyFloat_FromString(text);
    }
    Py_DECREF(text);
    int failed = number == NULL || write_nested(out, number, nest);
    Py_XDECREF(number);
    return failed ? -1 : 0;
}

/* As text: so does Lambda's runtime, whose JSON is simplejson's. */
static int write_bytes(Buffer *out, PyObject *value) {
    PyObject *text = PyUnicode_FromEncodedObject(value, "utf-8", "strict");
    int failed = text == NULL || write_unicode(out, text);
    Py_XDECREF(text);
    return failed ? -1 : 0;
}

static int write_odd(Buffer *out, PyObject *value, Nest *nest) {
    if (nest->values == AS_MSGPACK && PyObject_CheckBuffer(value)) {
        Py_buffer view;
        if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)) return -1;
        write_binary(out, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
        return 0;
    }
    if (PyBytes_Check(value)) return write_bytes(out, value);
    if (is_decimal(value)) return write_decimal(out, value, nest);
    PyErr_Format(PyExc_TypeError, "Object of type %.200s is not JSON serializable", _PyType_Name(Py_TYPE(value)));
    return -1;
}

static int write_tuple(Buffer *out, PyObject *tuple, Nest *nest) {
    if (PyTuple_CheckExact(tuple)) return write_sequence(out, tuple, nest);
    PyObject *as_dict = PyObject_GetAttrString(tuple, "_asdict");
    if (as_dict == NULL) {
        PyErr_Clear();
        return write_sequence(out, tuple, nest);
    }
    PyObject *dict = PyObject_CallNoArgs(as_dict);
    Py_DECREF(as_dict);
    int failed = dict == NULL || write_nested(out, dict, nest);
    Py_XDECREF(dict);
    return failed ? -1 : 0;
}

static int write_nested(Buffer *out, PyObject *value, Nest *nest) {
    if (PyUnicode_Check(value)) return write_unicode(out, value);
    if (value == Py_None || PyBool_Check(value)) {
        put(out, value == Py_None ? 0xc0 : value == Py_True ? 0xc3 : 0xc2, 0, 0);
        return 0;
    }
    if (PyLong_Check(value)) return write_long(out, value, nest->values);
    if (PyFloat_Check(value)) return write_double(out, PyFloat_AS_DOUBLE(value), nest->values);
    if (PyDict_Check(value)) return write_dict(out, value, nest);
    if (PyList_Check(value)) return write_sequence(out, value, nest);
    if (PyTuple_Check(value)) return write_tuple(out, value, nest);
    return write_odd(out, value, nest);
}

int write_value(Buffer *out, PyObject *value, Values values) {
    Nest nest;
    nest.values = values;
    nest.depth = 0;
    if (values == AS_JSON && PyBytes_Check(value)) {
        /* Lambda's runtime answers bytes as they are. */
        write_binary(out, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
        return 0;
    }
    return write_nested(out, value, &nest);
}
