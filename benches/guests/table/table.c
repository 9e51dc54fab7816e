/* table: 1 MiB filled during initialisation, and an answer that needs it. */
#include "isolet.h"

#define WORDS (1024 * 1024 / 4)

static uint32_t table[WORDS];

static void fill(void) {
    uint32_t state = 1;
    for (uint32_t i = 0; i < WORDS; i++) {
        state = state * 1664525u + 1013904223u;
        table[i] = state ^ (state >> 15);
    }
}

/* The word at `index`, and the table's size in bytes. */
static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    (void)context;
    uint64_t index = isolet_uint(isolet_get(event, "index"), 0);
    if (index >= WORDS) return isolet_fail(result, "IndexTooLarge", "the table has 262144 words");
    isolet_put_map(result, 2);
    isolet_put_str(result, "word"), isolet_put_uint(result, table[index]);
    isolet_put_str(result, "bytes"), isolet_put_uint(result, sizeof table);
    return 0;
}

ISOLET_INIT(fill)
ISOLET_HANDLER(handle)
