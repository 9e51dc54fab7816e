/* A kernel: `run` does so many rounds and answers a checksum of what it did. */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdint.h>

/* By the name of the one export of a guest's that takes an i32 and answers one: what isolates call without a module of its own kind. */
#define KERNEL __attribute__((export_name("isolet_buffer"))) uint32_t

/* The next of a sequence that looks random and is the same everywhere. Source: Numerical Recipes' constants. */
static inline uint32_t next(uint32_t *state) { return *state = *state * 1664525u + 1013904223u; }

#endif
