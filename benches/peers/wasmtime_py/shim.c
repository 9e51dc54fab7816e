/* A work behind two exports: a buffer for the body, and the answer's address and length in one number. */
#include "work.h"

#include <stdlib.h>

__attribute__((export_name("buffer"))) uint8_t *buffer(size_t length) { return malloc(length ? length : 1); }

__attribute__((export_name("prepare_work"))) void prepare_work(void) { prepare(); }

__attribute__((export_name("handle"))) uint64_t handle(const uint8_t *body, size_t length) {
    size_t answer_length;
    const uint8_t *answer = work(body, length, &answer_length);
    return (uint64_t)(uintptr_t)answer << 32 | answer_length;
}
