/* A table of 20,000 entries, made before the first call; a call looks one up. Open addressing, FNV-1a. */
#include "work.h"

#include <stdio.h>
#include <string.h>

#define ENTRIES 20000u
#define SLOTS 65536u /* a power of two, a third full */

typedef struct {
    char key[16];
    uint32_t value;
} entry;

static entry table[SLOTS];

static uint32_t slot_of(const char *key, size_t length) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)key[i]) * 16777619u;
    return hash & (SLOTS - 1);
}

static entry *find(const char *key, size_t length) {
    uint32_t at = slot_of(key, length);
    while (table[at].key[0] && (strncmp(table[at].key, key, length) || table[at].key[length])) at = (at + 1) & (SLOTS - 1);
    return &table[at];
}

void prepare(void) {
    for (uint32_t i = 0; i < ENTRIES; i++) {
        char key[16];
        int length = snprintf(key, sizeof key, "key-%u", i);
        entry *free_one = find(key, (size_t)length);
        memcpy(free_one->key, key, (size_t)length + 1);
        free_one->value = i * 2654435761u;
    }
}

const uint8_t *work(const uint8_t *body, size_t body_length, size_t *length) {
    static char answer[16];
    if (body_length == 0 || body_length >= sizeof table[0].key) {
        *length = 0;
        return body;
    }
    entry *found = find((const char *)body, body_length);
    *length = found->key[0] ? (size_t)snprintf(answer, sizeof answer, "%u", found->value) : 0;
    return (const uint8_t *)answer;
}
