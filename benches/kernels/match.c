/* A backtracking matcher: characters, `.`, classes `[a-z]`, each once or with `*` or `?` behind it. */
#include "kernel.h"

#include <stddef.h>

#define TEXT 2048

static char text[TEXT + 1];
static const char *const patterns[] = {"[a-e]*f", "a.c[x-z]?d", "q[a-z]*z", "[k-p]*[a-c]e", "zz?.y*a"};

static size_t atom(const char *pattern) {
    if (*pattern != '[') return 1;
    size_t length = 1;
    while (pattern[length] != ']') length++;
    return length + 1;
}

static int fits(const char *pattern, char c) {
    if (c == 0) return 0;
    if (*pattern == '.') return 1;
    if (*pattern != '[') return *pattern == c;
    for (const char *at = pattern + 1; *at != ']'; at++) {
        if (at[1] == '-' && at[2] != ']') {
            if (at[0] <= c && c <= at[2]) return 1;
            at += 2;
        } else if (*at == c) {
            return 1;
        }
    }
    return 0;
}

static const char *match(const char *pattern, const char *at) {
    if (*pattern == 0) return at;
    size_t length = atom(pattern);
    char how = pattern[length];
    if (how == '*') {
        const char *end = at;
        while (fits(pattern, *end)) end++;
        for (;; end--) {
            const char *found = match(pattern + length + 1, end);
            if (found || end == at) return found;
        }
    }
    if (how == '?') {
        const char *found = fits(pattern, *at) ? match(pattern + length + 1, at + 1) : NULL;
        return found ? found : match(pattern + length + 1, at);
    }
    return fits(pattern, *at) ? match(pattern + length, at + 1) : NULL;
}

KERNEL run(uint32_t rounds) {
    uint32_t state = 1, sum = 0;
    for (int i = 0; i < TEXT; i++) text[i] = (char)('a' + (next(&state) >> 16) % 26);
    while (rounds--)
        for (unsigned p = 0; p < sizeof patterns / sizeof *patterns; p++)
            for (const char *at = text; *at; at++) {
                const char *end = match(patterns[p], at);
                if (end) sum = sum * 31 + (uint32_t)(end - at);
            }
    return sum;
}
