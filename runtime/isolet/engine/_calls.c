/* What binding.py does with ctypes, without its cost: calls of C functions that take and give words, words at addresses
 * that never move, bytes out of memory and into it. Optional: binding.py does without.
 *
 * A call holds the GIL, as those through ctypes.PyDLL do. Every argument is an integer, NULL (None) or the address of a
 * bytes object's contents, each in one register or one eight-byte slot of the stack; what a result is, a letter says.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>
#include <string.h>

#define ARGUMENTS_MAX 9

typedef uint64_t word;

/* ── a function ────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    void *function;
    int count;
    char result; /* 'v' nothing, 'p' an address or None, 'u' a number, 'b' a bool */
} Call;

static int word_of(PyObject *argument, word *out) {
    if (PyLong_Check(argument)) {
        *out = PyLong_AsUnsignedLongLongMask(argument);
        return *out == (word)-1 && PyErr_Occurred() ? -1 : 0;
    }
    if (argument == Py_None) {
        *out = 0;
        return 0;
    }
    if (PyBytes_Check(argument)) {
        *out = (word)(uintptr_t)PyBytes_AS_STRING(argument);
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "an int, None or bytes is needed, not %.100s", Py_TYPE(argument)->tp_name);
    return -1;
}

static PyObject *call(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names) {
    Call *self = (Call *)callable;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    word a[ARGUMENTS_MAX] = {0};
    word result;
    if (count != self->count || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_Format(PyExc_TypeError, "%d positional arguments are needed, not %zd", self->count, count);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (word_of(arguments[i], &a[i]) < 0)
            return NULL;
    if (count <= 3)
        result = ((word(*)(word, word, word))self->function)(a[0], a[1], a[2]);
    else if (count <= 6)
        result = ((word(*)(word, word, word, word, word, word))self->function)(a[0], a[1], a[2], a[3], a[4], a[5]);
    else
        result = ((word(*)(word, word, word, word, word, word, word, word, word))self->function)(
            a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
    switch (self->result) {
    case 'b':
        return PyBool_FromLong((result & 0xFF) != 0);
    case 'u':
        return PyLong_FromUnsignedLongLong(result);
    case 'p':
        if (result != 0)
            return PyLong_FromUnsignedLongLong(result);
        Py_RETURN_NONE;
    default:
        Py_RETURN_NONE;
    }
}

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *kwds) {
    unsigned long long address;
    int result, count;
    if (kwds != NULL && PyDict_GET_SIZE(kwds) != 0) {
        PyErr_SetString(PyExc_TypeError, "Call(address, result, count)");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "KCi", &address, &result, &count))
        return NULL;
    if (address == 0 || count < 0 || count > ARGUMENTS_MAX || result > 'z' || !strchr("vpub", result)) {
        PyErr_SetString(PyExc_ValueError, "Call(address, 'v' | 'p' | 'u' | 'b', 0..9)");
        return NULL;
    }
    Call *self = (Call *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = call;
        self->function = (void *)(uintptr_t)address;
        self->count = count;
        self->result = (char)result;
    }
    return (PyObject *)self;
}

static PyMemberDef call_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Call, vectorcall), READONLY, NULL},
    {NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_new, call_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, call_members},
    {Py_tp_doc, "Call(address, result, count): a C function of `count` words."},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "isolet.engine._calls.Call",
    .basicsize = sizeof(Call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = call_slots,
};

/* ── words ─────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    PyObject_VAR_HEAD
    word words[1];
} Words;

static PyObject *words_new(PyTypeObject *type, PyObject *args, PyObject *kwds) {
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "n", &count))
        return NULL;
    if (count < 1 || count > 4096 || kwds != NULL) {
        PyErr_SetString(PyExc_ValueError, "Words(1..4096)");
        return NULL;
    }
    return type->tp_alloc(type, count); /* zeroed */
}

static Py_ssize_t words_length(PyObject *self) { return Py_SIZE(self); }

static PyObject *words_item(PyObject *self, Py_ssize_t index) {
    if (index < 0 || index >= Py_SIZE(self)) {
        PyErr_SetString(PyExc_IndexError, "no such word");
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(((Words *)self)->words[index]);
}

static int words_set(PyObject *self, Py_ssize_t index, PyObject *value) {
    if (index < 0 || index >= Py_SIZE(self) || value == NULL) {
        PyErr_SetString(PyExc_IndexError, "no such word");
        return -1;
    }
    return word_of(value, &((Words *)self)->words[index]);
}

static PyObject *words_address(PyObject *self, void *closure) {
    return PyLong_FromUnsignedLongLong((word)(uintptr_t)((Words *)self)->words);
}

static PyGetSetDef words_properties[] = {
    {"address", words_address, NULL, "Where they are, for as long as this object lives.", NULL},
    {NULL},
};

static PyType_Slot words_slots[] = {
    {Py_tp_new, words_new},
    {Py_sq_length, words_length},
    {Py_sq_item, words_item},
    {Py_sq_ass_item, words_set},
    {Py_tp_getset, words_properties},
    {Py_tp_doc, "Words(count): unsigned 64-bit words, zero at first."},
    {0, NULL},
};

static PyType_Spec words_spec = {
    .name = "isolet.engine._calls.Words",
    .basicsize = offsetof(Words, words),
    .itemsize = sizeof(word),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = words_slots,
};

/* ── memory ────────────────────────────────────────────────────────────────────────────────────────────────── */

static PyObject *string_at(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "string_at(address, size)");
        return NULL;
    }
    word address = PyLong_AsUnsignedLongLongMask(arguments[0]);
    Py_ssize_t size = PyLong_AsSsize_t(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    return PyBytes_FromStringAndSize((const char *)(uintptr_t)address, size);
}

static PyObject *copy_to(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 3 || !PyBytes_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "memmove(address, bytes, size)");
        return NULL;
    }
    word address = PyLong_AsUnsignedLongLongMask(arguments[0]);
    Py_ssize_t size = PyLong_AsSsize_t(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    if (size < 0 || size > PyBytes_GET_SIZE(arguments[1])) {
        PyErr_SetString(PyExc_ValueError, "there are fewer bytes");
        return NULL;
    }
    memcpy((void *)(uintptr_t)address, PyBytes_AS_STRING(arguments[1]), (size_t)size);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"string_at", (PyCFunction)(void (*)(void))string_at, METH_FASTCALL, "As ctypes.string_at."},
    {"memmove", (PyCFunction)(void (*)(void))copy_to, METH_FASTCALL, "As ctypes.memmove, of a bytes object."},
    {NULL},
};

static int fill(PyObject *module) {
    PyObject *call_type = PyType_FromSpec(&call_spec), *words_type = PyType_FromSpec(&words_spec);
    if (call_type == NULL || words_type == NULL)
        return -1;
    if (PyModule_AddObject(module, "Call", call_type) < 0 || PyModule_AddObject(module, "Words", words_type) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "isolet.engine._calls",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__calls(void) { return PyModuleDef_Init(&definition); }
