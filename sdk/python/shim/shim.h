/* The interpreter's side of sdk/abi.md: what the shim's files share. */
#ifndef ISOLET_SHIM_H
#define ISOLET_SHIM_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define HOST(name) __attribute__((import_module("isolet"), import_name(name))) extern

HOST("call") int32_t isolet_host_call(const void *ptr, uint32_t len);
HOST("take") int32_t isolet_host_take(void *ptr);
HOST("log") void isolet_host_log(int32_t level, const void *ptr, uint32_t len);
HOST("library") int32_t isolet_host_library(const void *ptr, uint32_t len);

/* ── msgpack ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Bytes that grow. `failed` is set when memory ran out; what is written then is lost. */
typedef struct {
    uint8_t *data;
    size_t len, cap;
    int failed;
} Buffer;

typedef struct {
    const uint8_t *at, *end;
} Reader;

/* How bytes travel. An event's and a result's values are JSON's; a capability's are msgpack's. */
typedef enum { AS_JSON, AS_MSGPACK } Values;

/* The next value, or NULL with an exception. */
PyObject *read_value(Reader *in, Values values);
/* The next string's bytes; 0 and nothing read if the next value is none. */
int read_text(Reader *in, const char **text, size_t *len);
/* The entries of the map that comes next; -1 if none comes. */
int64_t read_map(Reader *in);
/* The next binary's bytes; 0 if it is none. */
int read_binary(Reader *in, const uint8_t **data, size_t *len);

/* 0, or -1 with an exception and part of the value written. */
int write_value(Buffer *out, PyObject *value, Values values);
void write_map(Buffer *out, uint32_t entries);
void write_array(Buffer *out, uint32_t items);
void write_text(Buffer *out, const char *text, size_t len);

/* ── the builtin module `_isolet` ────────────────────────────────────────────────────────────────────────────── */

PyObject *PyInit__isolet(void);
/* A file of the library as bytes; NULL without an exception if there is none. */
PyObject *library_file(const char *name, size_t len);

/* derive.c */
extern PyMethodDef derive_methods[];

#endif
