/* A work: what every shim in benches/peers calls. */
#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>

/* Once, before the first `work`. */
void prepare(void);

/* Answers `*length` bytes, valid until the next call. `body` may be answered itself. */
const uint8_t *work(const uint8_t *body, size_t body_length, size_t *length);

#endif
