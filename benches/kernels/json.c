/* A JSON text parsed by descent: values on a stack of their own, numbers added up, strings counted. */
#include "kernel.h"

#include <stddef.h>

#define TEXT 4096

static char text[TEXT + 64];
static const char *at;
static uint32_t numbers, letters, depth_max;

static void blank(void) {
    while (*at == ' ' || *at == '\n') at++;
}

static int value(uint32_t depth) {
    if (depth > depth_max) depth_max = depth;
    blank();
    if (*at == '{' || *at == '[') {
        char close = *at++ == '{' ? '}' : ']';
        for (blank(); *at != close; blank()) {
            if (close == '}') {
                if (!value(depth + 1)) return 0;
                blank();
                if (*at++ != ':') return 0;
            }
            if (!value(depth + 1)) return 0;
            blank();
            if (*at == ',') at++;
        }
        at++;
        return 1;
    }
    if (*at == '"') {
        for (at++; *at && *at != '"'; at++) letters++;
        return *at++ == '"';
    }
    if (*at >= '0' && *at <= '9') {
        uint32_t number = 0;
        while (*at >= '0' && *at <= '9') number = number * 10 + (uint32_t)(*at++ - '0');
        numbers += number;
        return 1;
    }
    return 0;
}

static char *put(char *to, const char *word) {
    while (*word) *to++ = *word++;
    return to;
}

KERNEL run(uint32_t rounds) {
    uint32_t state = 1;
    numbers = letters = depth_max = 0;
    char *to = put(text, "[");
    while (to - text < TEXT - 80) {
        to = put(to, "{\"id\": 4");
        for (int i = 0; i < 4; i++) *to++ = (char)('0' + (next(&state) >> 16) % 10);
        to = put(to, ", \"name\": \"");
        for (int i = 0; i < 12; i++) *to++ = (char)('a' + (next(&state) >> 16) % 26);
        to = put(to, "\", \"tags\": [1, 2, [3]]},\n");
    }
    put(to, "0]");
    uint32_t failed = 0;
    while (rounds--) {
        at = text;
        failed += !value(0);
    }
    return failed ? 0 : numbers * 31 + letters + depth_max;
}
