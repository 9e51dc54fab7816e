/* The guest's exports: the interpreter comes up once, a function's module once, and every invocation is one call.
 *
 *   isolet_boot     Python, the bootstrap library, the way of an invocation walked a few times: the base state
 *   isolet_init     environment, the user's module, garbage collected: the function state
 *   isolet_handle   envelope → handler(event, context) → outcome
 *
 * Laws:
 * - What the user's module does wrong is an outcome, never a trap: a module that cannot be imported is remembered, and
 *   every event is answered with that error.
 * - Generators are reseeded before anything of the user's runs.
 * - An invocation is the last thing that happens in its memory: nothing is freed after it.
 */
#include "shim.h"
#include <unistd.h>
#include <wasi/api.h>

enum { WARMING_CALLS = 24, PAGE_BYTES = 65536 };

static PyObject *runtime;       /* the module _isolet_runtime */
static PyObject *runtime_names; /* … its globals */
static PyObject *context_type;  /* … its LambdaContext */
static PyObject *handler;       /* the user's; NULL: `initial_error` is what every event is answered with */
static PyObject *initial_error; /* (type, message, stack) */
static PyObject *environment_names; /* os.environ's dict of bytes */
static PyObject *random_seed;       /* _random.Random.seed */
static PyObject *name_random, *name_inst, *name_gauss_next, *name_context;
static int exit_code = -1; /* the user's module called sys.exit */
static int booted;

/* ── the environment ─────────────────────────────────────────────────────────────────────────────────────────── */

int32_t environment(Buffer *block, uint32_t *count) {
    __wasi_size_t entries = 0, bytes = 0;
    if (__wasi_environ_sizes_get(&entries, &bytes)) return -1;
    uint8_t **pointers = malloc(sizeof(uint8_t *) * (entries + 1));
    block->data = malloc(bytes + 1);
    int failed = pointers == NULL || block->data == NULL || __wasi_environ_get(pointers, block->data);
    free(pointers);
    if (failed) return -1;
    block->len = bytes;
    *count = entries;
    return 0;
}

static void set_variable(const char *name, PyObject *text) {
    PyObject *key = PyBytes_FromString(name), *value = text ? PyUnicode_AsUTF8String(text) : NULL;
    if (key != NULL && value != NULL) PyDict_SetItem(environment_names, key, value);
    else if (key != NULL && text == NULL && PyDict_Contains(environment_names, key) == 1) {
        PyDict_DelItem(environment_names, key);
    }
    Py_XDECREF(key);
    Py_XDECREF(value);
    PyErr_Clear();
}

/* ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* pymalloc's arenas straight from the memory's end: malloc would round a megabyte and its head up to two. What else comes
 * this way, chunks of Python's own stack, is malloc's. */
enum { ARENA_BYTES = 1 << 20 };
static void *spare_arenas;

static void *arena_alloc(void *Py_UNUSED(none), size_t size) {
    if (size != ARENA_BYTES) return malloc(size);
    if (spare_arenas != NULL) {
        void *arena = spare_arenas;
        spare_arenas = *(void **)arena;
        return arena;
    }
    size_t page = __builtin_wasm_memory_grow(0, ARENA_BYTES / PAGE_BYTES);
    return page == SIZE_MAX ? NULL : (void *)(page * PAGE_BYTES);
}

static void arena_free(void *Py_UNUSED(none), void *arena, size_t size) {
    if (size != ARENA_BYTES) {
        free(arena);
        return;
    }
    *(void **)arena = spare_arenas;
    spare_arenas = arena;
}

/* ── boot ────────────────────────────────────────────────────────────────────────────────────────────────────── */

#define HOME L"/var/lang"
#define LIBRARY HOME L"/lib/python3.11"
#define LAYERS L"/opt/python"

/* What Python needs before it can import: text encodings, and the importer of everything else. */
static const char *const first_modules[] = {
    "encodings", "encodings.aliases", "encodings.utf_8", "encodings.latin_1", "encodings.ascii", "_isolet_importer",
};
enum { FIRST_MODULES = sizeof first_modules / sizeof *first_modules };
static struct _frozen first_table[FIRST_MODULES + 1];

static void die(const char *what) {
    if (PyErr_Occurred()) PyErr_Print();
    isolet_host_log(5, what, (uint32_t)strlen(what));
    __builtin_trap();
}

static void die_of(PyStatus status) {
    if (PyStatus_Exception(status)) die(status.err_msg ? status.err_msg : "the interpreter does not start");
}

static void read_first_modules(void) {
    for (int i = 0; i < FIRST_MODULES; i++) {
        char name[64];
        size_t len = 0;
        for (const char *c = first_modules[i]; *c; c++) name[len++] = *c == '.' ? '/' : *c;
        int32_t size = isolet_host_library(name, (uint32_t)len);
        if (size < 0) die("the interpreter's library is not there");
        uint8_t *code = malloc((size_t)size);
        if (code == NULL) die("no memory to start in");
        isolet_host_take(code);
        first_table[i].name = first_modules[i];
        first_table[i].code = code;
        first_table[i].size = size;
        first_table[i].is_package = i == 0;
        first_table[i].get_code = NULL;
    }
    PyImport_FrozenModules = first_table;
}

static void set_text(PyConfig *config, wchar_t **field, const wchar_t *text) {
    die_of(PyConfig_SetString(config, field, text));
}

static void configure(PyConfig *config) {
    PyConfig_InitIsolatedConfig(config);
    config->site_import = 0;
    config->write_bytecode = 0;
    config->install_signal_handlers = 0;
    config->pathconfig_warnings = 0;
    config->parse_argv = 0;
    config->safe_path = 1;
    set_text(config, &config->program_name, HOME L"/bin/python3.11");
    set_text(config, &config->executable, HOME L"/bin/python3.11");
    set_text(config, &config->base_executable, HOME L"/bin/python3.11");
    set_text(config, &config->prefix, HOME);
    set_text(config, &config->base_prefix, HOME);
    set_text(config, &config->exec_prefix, HOME);
    set_text(config, &config->base_exec_prefix, HOME);
    set_text(config, &config->stdlib_dir, LIBRARY);
    set_text(config, &config->stdio_encoding, L"utf-8");
    set_text(config, &config->stdio_errors, L"backslashreplace");
    config->module_search_paths_set = 1;
    /* Lambda's order: the function, its layers, the library. */
    static const wchar_t *const paths[] = {L"/var/task", LAYERS L"/lib/python3.11/site-packages", LAYERS, LIBRARY};
    for (int i = 0; i < 4; i++) die_of(PyWideStringList_Append(&config->module_search_paths, paths[i]));
    die_of(PyWideStringList_Append(&config->argv, L"/var/runtime/bootstrap.py"));
}

extern PyObject *PyInit_zlib(void);
extern PyObject *PyInit__sqlite3(void);

static void start_python(void) {
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    die_of(Py_PreInitialize(&before));
    PyObjectArenaAllocator arenas = {NULL, arena_alloc, arena_free};
    PyObject_SetArenaAllocator(&arenas);
    PyImport_AppendInittab("_isolet", PyInit__isolet);
    PyImport_AppendInittab("zlib", PyInit_zlib);
    PyImport_AppendInittab("_sqlite3", PyInit__sqlite3);
    read_first_modules();
    PyConfig config;
    configure(&config);
    die_of(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
}

static PyObject *attribute(PyObject *of, const char *name) {
    PyObject *value = of ? PyObject_GetAttrString(of, name) : NULL;
    if (value == NULL) die(name);
    return value;
}

static PyObject *imported(const char *name) {
    PyObject *module = PyImport_ImportModule(name);
    if (module == NULL) die(name);
    return module;
}

static void find_what_every_call_needs(void) {
    imported("_isolet_importer");
    runtime = imported("_isolet_runtime");
    runtime_names = PyModule_GetDict(runtime);
    context_type = attribute(runtime, "LambdaContext");
    environment_names = attribute(attribute(imported("os"), "environ"), "_data");
    random_seed = attribute(attribute(imported("_random"), "Random"), "seed");
    name_random = PyUnicode_InternFromString("random");
    name_inst = PyUnicode_InternFromString("_inst");
    name_gauss_next = PyUnicode_InternFromString("gauss_next");
    name_context = PyUnicode_InternFromString("context");
}

int64_t isolet_handle(uint32_t ptr, uint32_t len);

/* Walks an invocation's way with a handler that does nothing, until its code is specialised and its caches are filled. */
static void warm_up(void) {
    Buffer envelope = {0};
    handler = attribute(runtime, "sample_handler");
    if (write_value(&envelope, attribute(runtime, "SAMPLE"), AS_MSGPACK)) die("the sample event");
    for (int i = 0; i < WARMING_CALLS; i++) isolet_handle((uint32_t)(uintptr_t)envelope.data, (uint32_t)envelope.len);
    free(envelope.data);
    handler = NULL;
    Py_XDECREF(PyObject_CallMethod(runtime, "booted", NULL));
    if (PyErr_Occurred()) die("the runtime's first steps");
}

__attribute__((export_name("isolet_boot"))) void isolet_boot(void) {
    if (booted) return;
    start_python();
    find_what_every_call_needs();
    warm_up();
    booted = 1;
}

/* ── exits and errors ────────────────────────────────────────────────────────────────────────────────────────── */

static void flush(void) {
    static const char *const streams[] = {"stdout", "stderr"};
    for (int i = 0; i < 2; i++) {
        PyObject *stream = PySys_GetObject(streams[i]);
        if (stream != NULL && stream != Py_None) Py_XDECREF(PyObject_CallMethod(stream, "flush", NULL));
        PyErr_Clear();
    }
}

static PyObject *fetched_exception(void) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != NULL) PyException_SetTraceback(value, trace);
    Py_XDECREF(trace);
    Py_XDECREF(type);
    return value;
}

/* The status that a process would end with; takes the exception that is set, which no `except Exception` catches. */
static int status_of_exit(void) {
    PyObject *status = PyObject_CallMethod(runtime, "exit_status", "N", fetched_exception());
    long code = status != NULL ? PyLong_AsLong(status) : 1;
    PyErr_Clear();
    return (int)code & 0xff;
}

/* Takes the exception that is set. (type, message, stack), a new reference; NULL if even that failed. */
static PyObject *error_of_exception(const char *how) {
    PyObject *error = PyObject_CallMethod(runtime, how, "N", fetched_exception());
    PyErr_Clear();
    return error;
}

/* ── init ────────────────────────────────────────────────────────────────────────────────────────────────────── */

__attribute__((export_name("isolet_init"))) void isolet_init(void) {
    isolet_boot();
    chdir("/var/task");
    /* (handler, error, exit status), one of them not None */
    PyObject *loaded = PyObject_CallMethod(runtime, "load", NULL);
    if (loaded == NULL || !PyTuple_Check(loaded)) die("the runtime's loader");
    PyObject *found = PyTuple_GET_ITEM(loaded, 0), *error = PyTuple_GET_ITEM(loaded, 1);
    handler = found == Py_None ? NULL : Py_NewRef(found);
    initial_error = error == Py_None ? NULL : Py_NewRef(error);
    PyObject *status = PyTuple_GET_ITEM(loaded, 2);
    if (status != Py_None) exit_code = (int)PyLong_AsLong(status) & 0xff;
    Py_DECREF(loaded);
    flush();
    Py_XDECREF(PyObject_CallMethod(runtime, "settle", NULL));
    PyErr_Clear();
}

/* ── invocations ─────────────────────────────────────────────────────────────────────────────────────────────── */

__attribute__((export_name("isolet_buffer"))) uint32_t isolet_buffer(uint32_t len) {
    static void *buffer;
    static uint32_t size;
    if (len > size || buffer == NULL) {
        free(buffer);
        buffer = malloc(len ? len : 1);
        size = buffer ? len : 0;
    }
    return (uint32_t)(uintptr_t)buffer;
}

/* `random`'s own generator, if anyone imported it; one that is imported later seeds itself. */
static void reseed(const uint8_t *entropy, size_t len) {
    PyObject *module = PyDict_GetItemWithError(PyImport_GetModuleDict(), name_random);
    PyObject *generator = module ? PyObject_GetAttr(module, name_inst) : NULL;
    PyObject *seed = generator ? _PyLong_FromByteArray(entropy, len, 1, 0) : NULL;
    if (seed != NULL) {
        PyObject *arguments[] = {generator, seed};
        Py_XDECREF(PyObject_Vectorcall(random_seed, arguments, 2, NULL));
        PyObject_SetAttr(generator, name_gauss_next, Py_None);
        Py_DECREF(seed);
    }
    Py_XDECREF(generator);
    PyErr_Clear();
}

/* What the envelope's context calls a thing, and what Lambda's does. */
static const struct {
    const char *key, *attribute;
    enum { PLAIN, AS_TEXT, STREAM, TRACE, CLIENT } kind;
} fields[] = {
    {"request_id", "aws_request_id", PLAIN},
    {"function_name", "function_name", PLAIN},
    {"function_version", "function_version", PLAIN},
    {"function_arn", "invoked_function_arn", PLAIN},
    {"memory_limit_mb", "memory_limit_in_mb", AS_TEXT},
    {"log_group", "log_group_name", PLAIN},
    {"log_stream", "log_stream_name", STREAM},
    {"deadline_ms", "_epoch_deadline_time_in_ms", PLAIN},
    {"trace_id", "", TRACE},
    {"client_context", "client_context", CLIENT},
};
enum { FIELDS = sizeof fields / sizeof *fields };
static PyObject *field_names[FIELDS];

static int set_field(PyObject *context, int field, PyObject *value) {
    switch (fields[field].kind) {
    case PLAIN: break;
    case AS_TEXT: Py_SETREF(value, PyObject_Str(value)); break;
    case STREAM: set_variable("AWS_LAMBDA_LOG_STREAM_NAME", value); break;
    case TRACE: set_variable("_X_AMZN_TRACE_ID", value); break;
    case CLIENT: value = PyObject_CallMethod(runtime, "client_context", "N", value); break;
    }
    if (value == NULL) return -1;
    if (field_names[field] == NULL) field_names[field] = PyUnicode_InternFromString(fields[field].attribute);
    int failed = fields[field].kind == TRACE ? 0 : PyObject_SetAttr(context, field_names[field], value);
    Py_DECREF(value);
    return failed;
}

static int read_field(Reader *in, PyObject *context) {
    const char *key;
    size_t len;
    const uint8_t *entropy;
    if (!read_text(in, &key, &len)) return -1;
    if (len == 7 && memcmp(key, "entropy", 7) == 0) {
        if (!read_binary(in, &entropy, &len)) return -1;
        reseed(entropy, len);
        return 0;
    }
    PyObject *value = read_value(in, AS_JSON);
    if (value == NULL) return -1;
    for (int i = 0; i < FIELDS; i++) {
        if (strlen(fields[i].key) == len && memcmp(fields[i].key, key, len) == 0) return set_field(context, i, value);
    }
    Py_DECREF(value);
    return 0;
}

static PyObject *read_context(Reader *in) {
    PyObject *context = PyObject_CallNoArgs(context_type);
    int64_t entries = read_map(in);
    set_variable("_X_AMZN_TRACE_ID", NULL);
    for (; context != NULL && entries > 0; entries--) {
        if (read_field(in, context)) Py_CLEAR(context);
    }
    return entries < 0 ? NULL : context;
}

/* Event and context of an envelope; 0, or -1 with or without an exception. */
static int read_envelope(Reader *in, PyObject **event, PyObject **context) {
    for (int64_t entries = read_map(in); entries > 0; entries--) {
        const char *key;
        size_t len;
        if (!read_text(in, &key, &len)) return -1;
        if (len == 5 && memcmp(key, "event", 5) == 0) *event = read_value(in, AS_JSON);
        else if (len == 7 && memcmp(key, "context", 7) == 0) *context = read_context(in);
        else Py_XDECREF(read_value(in, AS_JSON));
    }
    return *event != NULL && *context != NULL ? 0 : -1;
}

static int64_t packed(Buffer *out) { return (int64_t)((uint64_t)(uintptr_t)out->data << 32 | out->len); }

static void write_literal(Buffer *out, const char *text) { write_text(out, text, strlen(text)); }

/* {"error": {type, message, stack}} of a tuple; of NULL, of what can still be said. */
static int64_t answer_error(PyObject *error) {
    static Buffer out;
    static const char *const keys[] = {"type", "message", "stack"};
    if (error == NULL) error = Py_BuildValue("(ss[])", "MemoryError", "there was no memory left to say what failed");
    out.len = 0;
    write_map(&out, 1);
    write_literal(&out, "error");
    write_map(&out, 3);
    for (int i = 0; i < 3; i++) {
        write_literal(&out, keys[i]);
        if (error == NULL || write_value(&out, PyTuple_GET_ITEM(error, i), AS_JSON)) die("the answer of an error");
    }
    return packed(&out);
}

/* Ends the process as sys.exit would; the host words it as Lambda does. */
static void leave(int status) {
    flush();
    __wasi_proc_exit((__wasi_exitcode_t)status);
}

static int64_t answer_exception(const char *how) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) leave(status_of_exit());
    PyObject *error = error_of_exception(how);
    flush();
    return answer_error(error);
}

static int64_t answer(PyObject *result) {
    static Buffer out;
    out.len = 0;
    write_map(&out, 1);
    write_literal(&out, "ok");
    if (write_value(&out, result, AS_JSON)) return answer_exception("marshal_error");
    if (out.failed) {
        PyErr_NoMemory();
        return answer_exception("error");
    }
    flush();
    return packed(&out);
}

__attribute__((export_name("isolet_handle"))) int64_t isolet_handle(uint32_t ptr, uint32_t len) {
    PyObject *event = NULL, *context = NULL;
    Reader in = {(const uint8_t *)(uintptr_t)ptr, (const uint8_t *)(uintptr_t)ptr + len};
    if (read_envelope(&in, &event, &context)) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "malformed envelope");
        return answer_exception("unmarshal_error");
    }
    PyDict_SetItem(runtime_names, name_context, context);
    if (exit_code >= 0) leave(exit_code);
    if (handler == NULL) {
        PyObject_CallMethod(runtime, "log_error", "(O)", initial_error);
        flush();
        return answer_error(initial_error);
    }
    PyObject *arguments[] = {event, context};
    PyObject *result = PyObject_Vectorcall(handler, arguments, 2, NULL);
    if (result != NULL && PyCoro_CheckExact(result)) result = PyObject_CallMethod(runtime, "run", "N", result);
    if (result == NULL) return answer_exception("error");
    return answer(result);
}
