/* A work as an Extism plug-in: input and output lie in the host's own memory and are moved in pieces of eight bytes. */
#include "work.h"

#include <stdlib.h>

#define HOST(name) __attribute__((import_module("extism:host/env"), import_name(name)))

HOST("input_length") uint64_t input_length(void);
HOST("input_load_u8") uint8_t input_load_u8(uint64_t at);
HOST("input_load_u64") uint64_t input_load_u64(uint64_t at);
HOST("alloc") uint64_t host_alloc(uint64_t length);
HOST("store_u8") void store_u8(uint64_t at, uint8_t value);
HOST("store_u64") void store_u64(uint64_t at, uint64_t value);
HOST("output_set") void output_set(uint64_t at, uint64_t length);

__attribute__((export_name("run"))) int32_t run(void) {
    uint64_t length = input_length(), at = 0;
    uint8_t *body = malloc(length + 8);
    for (; at + 8 <= length; at += 8) *(uint64_t *)(body + at) = input_load_u64(at);
    for (; at < length; at++) body[at] = input_load_u8(at);
    prepare();
    size_t answer_length;
    const uint8_t *answer = work(body, length, &answer_length);
    uint64_t out = host_alloc(answer_length);
    for (at = 0; at + 8 <= answer_length; at += 8) {
        uint64_t word;
        __builtin_memcpy(&word, answer + at, 8);
        store_u64(out + at, word);
    }
    for (; at < answer_length; at++) store_u8(out + at, answer[at]);
    output_set(out, answer_length);
    free(body);
    return 0;
}
