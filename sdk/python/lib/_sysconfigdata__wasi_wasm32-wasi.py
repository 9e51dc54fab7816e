"""What `sysconfig` knows of how this interpreter was built, as far as it means anything in a guest."""

build_time_vars = {
    "ABIFLAGS": "",
    "EXT_SUFFIX": ".cpython-311-wasm32-wasi.so",
    "HAVE_FORK": 0,
    "HOST_GNU_TYPE": "wasm32-unknown-wasi",
    "LIBDIR": "/var/lang/lib",
    "MULTIARCH": "wasm32-wasi",
    "Py_DEBUG": 0,
    "Py_ENABLE_SHARED": 0,
    "SIZEOF_VOID_P": 4,
    "SOABI": "cpython-311-wasm32-wasi",
    "VERSION": "3.11",
    "WITH_DOC_STRINGS": 1,
    "WITH_PYMALLOC": 1,
    "prefix": "/var/lang",
    "exec_prefix": "/var/lang",
}
