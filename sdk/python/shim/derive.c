/* Key derivation, which Python's own library leaves to OpenSSL: PBKDF2 and scrypt over our own SHA-1, SHA-256, SHA-512. */
#include "shim.h"

PyMethodDef derive_methods[] = {{NULL, NULL, 0, NULL}};
