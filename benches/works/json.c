/* An order's items counted, summed, and named in capitals. Reads the JSON that works.py writes: no escapes, whole numbers. */
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void prepare(void) {}

typedef struct {
    const char *at, *end;
} reader;

/* Goes behind the next `name":`; false at the end. */
static int behind(reader *in, const char *name) {
    size_t length = strlen(name);
    for (; in->at + length + 2 < in->end; in->at++) {
        if (in->at[0] == '"' && !memcmp(in->at + 1, name, length) && in->at[length + 1] == '"') {
            in->at += length + 3; /* and the colon */
            return 1;
        }
    }
    return 0;
}

static uint64_t number(reader *in) {
    uint64_t value = 0;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') value = value * 10 + (uint64_t)(*in->at++ - '0');
    return value;
}

const uint8_t *work(const uint8_t *body, size_t body_length, size_t *length) {
    reader in = {(const char *)body, (const char *)body + body_length};
    static char names[1 << 16], answer[(1 << 16) + 128];
    size_t used = 0;
    uint64_t count = 0, total = 0;
    while (behind(&in, "name")) {
        if (used + 128 > sizeof names) break;
        names[used++] = count ? ',' : '[';
        names[used++] = '"';
        for (in.at++; in.at < in.end && *in.at != '"'; in.at++)
            names[used++] = *in.at >= 'a' && *in.at <= 'z' ? (char)(*in.at - 32) : *in.at;
        names[used++] = '"';
        behind(&in, "cents");
        uint64_t cents = number(&in);
        behind(&in, "quantity");
        total += cents * number(&in);
        count++;
    }
    int head = snprintf(answer, 128, "{\"count\":%llu,\"total\":%llu,\"names\":", (unsigned long long)count, (unsigned long long)total);
    memcpy(answer + head, names, used);
    memcpy(answer + head + used, "]}", 2);
    *length = (size_t)head + used + 2;
    return (const uint8_t *)answer;
}
