/* The builtin module `_isolet`: what the bootstrap library reaches the host by. */
#include "shim.h"

static int forward(Buffer *request) {
    int32_t length = request->failed ? -6 : isolet_host_call(request->data, (uint32_t)request->len);
    free(request->data);
    return length;
}

/* call([name, argument…]) → reply. A negative status is answered as an int in a tuple: (status,). */
static PyObject *call(PyObject *Py_UNUSED(module), PyObject *request) {
    Buffer out = {0};
    if (write_value(&out, request, AS_MSGPACK)) {
        free(out.data);
        return NULL;
    }
    int32_t length = forward(&out);
    if (length < 0) return Py_BuildValue("(i)", length);
    uint8_t *reply = PyMem_RawMalloc((size_t)length + 1);
    if (reply == NULL) return PyErr_NoMemory();
    int32_t status = isolet_host_take(reply);
    Reader in = {reply, reply + length};
    PyObject *value = status < 0 ? Py_BuildValue("(i)", status) : read_value(&in, AS_MSGPACK);
    PyMem_RawFree(reply);
    return value;
}

PyObject *library_file(const char *name, size_t len) {
    int32_t length = isolet_host_library(name, (uint32_t)len);
    if (length < 0) return NULL;
    PyObject *file = PyBytes_FromStringAndSize(NULL, length);
    if (file != NULL) isolet_host_take(PyBytes_AS_STRING(file));
    return file;
}

static PyObject *library(PyObject *Py_UNUSED(module), PyObject *name) {
    Py_ssize_t len;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &len);
    if (utf8 == NULL) return NULL;
    PyObject *file = library_file(utf8, (size_t)len);
    if (file == NULL && !PyErr_Occurred()) Py_RETURN_NONE;
    return file;
}

static PyObject *log_(PyObject *Py_UNUSED(module), PyObject *args) {
    int level;
    PyObject *text;
    if (!PyArg_ParseTuple(args, "iU", &level, &text)) return NULL;
    PyObject *utf8 = PyUnicode_AsEncodedString(text, "utf-8", "replace");
    if (utf8 == NULL) return NULL;
    isolet_host_log(level, PyBytes_AS_STRING(utf8), (uint32_t)PyBytes_GET_SIZE(utf8));
    Py_DECREF(utf8);
    Py_RETURN_NONE;
}

extern int32_t environment(Buffer *block, uint32_t *count);

/* The environment as the host has it now: a dict of bytes. libc's copy is as old as the snapshot. */
static PyObject *environ_(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none)) {
    Buffer block = {0};
    uint32_t count = 0;
    if (environment(&block, &count)) return PyErr_NoMemory();
    PyObject *dict = PyDict_New();
    const char *entry = (const char *)block.data;
    for (uint32_t i = 0; dict != NULL && i < count; i++, entry += strlen(entry) + 1) {
        const char *equals = strchr(entry, '=');
        if (equals == NULL) continue;
        PyObject *key = PyBytes_FromStringAndSize(entry, equals - entry), *value = PyBytes_FromString(equals + 1);
        if (key == NULL || value == NULL || PyDict_SetItem(dict, key, value)) Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    free(block.data);
    return dict;
}

static PyMethodDef methods[] = {
    {"call", call, METH_O, "call([name, argument…]): the capability's reply, or (status,)."},
    {"library", library, METH_O, "library(name): a file of the interpreter's library as bytes, or None."},
    {"log", log_, METH_VARARGS, "log(level, text): one line of the log."},
    {"environ", environ_, METH_NOARGS, "environ(): the environment as the host has it now."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_isolet", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyObject *PyInit__isolet(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && PyModule_AddFunctions(module, derive_methods)) Py_CLEAR(module);
    return module;
}
