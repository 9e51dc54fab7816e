/* A work for the component in adapter.wat: it collects the body, and gives the answer's address and length in one number. */
#include "work.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *body;
static size_t body_length, body_room;

/* What the canonical ABI wants of a guest: memory for what it hands over. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size, (void)align;
    return realloc(old, size);
}

/* 64 bytes for results of calls. */
__attribute__((export_name("scratch"))) void *scratch(void) {
    static uint64_t words[8];
    return words;
}

__attribute__((export_name("append"))) void append(uint8_t *part, size_t length) {
    if (body_length + length > body_room) {
        body_room = 2 * (body_length + length);
        body = realloc(body, body_room);
    }
    memcpy(body + body_length, part, length);
    body_length += length;
    free(part);
}

__attribute__((export_name("answer"))) uint64_t answer(void) {
    prepare();
    size_t length;
    const uint8_t *made = work(body, body_length, &length);
    return (uint64_t)(uintptr_t)made << 32 | length;
}
