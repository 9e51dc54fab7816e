/* What a C program does with long stretches of memory: memset, memcpy, memmove both ways, calloc, realloc, a struct that is
   larger than a chunk. The outcome is a msgpack array of checksums, so that two builds can be compared. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define LENGTH 1000003u

static unsigned char buffer[65536];
static unsigned char left[LENGTH], right[LENGTH];
static unsigned char outcome[256] = {0x81, 0xa2, 'o', 'k'};
static unsigned written;

typedef struct {
    unsigned char bytes[100000];
} large;

EXPORT("isolet_buffer") void *isolet_buffer(uint32_t length) { return length <= sizeof buffer ? buffer : 0; }

static void sum(const unsigned char *bytes, size_t length) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 16777619u;
    outcome[written++] = 0xce;
    for (int shift = 24; shift >= 0; shift -= 8) outcome[written++] = (unsigned char)(hash >> shift);
}

static void number(unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
}

__attribute__((noinline)) static large turned(large one) {
    for (size_t i = 0; i < sizeof one.bytes; i++) one.bytes[i] ^= 0x5a;
    return one;
}

EXPORT("isolet_handle") uint64_t isolet_handle(const unsigned char *event, uint32_t length) {
    size_t by = event[length - 1]; /* nothing of this is known when it is compiled */
    written = 5;
    outcome[4] = 0x98;
    memset(left, (int)by, LENGTH), sum(left, LENGTH);
    number(left, LENGTH), memcpy(right, left, LENGTH - by), sum(right, LENGTH);
    number(left, LENGTH), memmove(left + by, left, LENGTH - by), sum(left, LENGTH);
    number(left, LENGTH), memmove(left, left + by, LENGTH - by), sum(left, LENGTH);
    number(left, LENGTH), memmove(left + 70000 + by, left, LENGTH - 70000 - by), sum(left, LENGTH);
    unsigned char *grown = calloc(300000 + by, 1);
    sum(grown, 300000 + by);
    number(grown, 300000), grown = realloc(grown, 900000 + by), sum(grown, 300000);
    large one = *(const large *)(left + by);
    one = turned(one), sum(one.bytes, sizeof one.bytes);
    return (uint64_t)(uintptr_t)outcome << 32 | written;
}
