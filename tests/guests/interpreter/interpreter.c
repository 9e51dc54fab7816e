/* The smallest interpreter: a program is a line of text in /var/task/program. It boots by asking its library for a word,
 * and answers {"program", "library", "boots", "inits", "calls"}. A program that says "trap" traps, "call" calls a capability. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "isolet.h"

__attribute__((import_module("isolet"), import_name("library"))) int32_t library(const char *name, int32_t length);
__attribute__((import_module("isolet"), import_name("take"))) int32_t take_reply(void *at);

static char program[256], word[64];
static int boots, inits, calls;
static unsigned char *table; /* as large as an interpreter's heap: the base is where it lies, a state does not repeat it */

#define TABLE_BYTES (1 << 20)

__attribute__((export_name("isolet_boot"))) void boot(void) {
    boots++;
    int32_t length = library("words/first", 11);
    if (length < 0 || length >= (int32_t)sizeof word) __builtin_trap();
    take_reply(word);
    table = malloc(TABLE_BYTES);
    uint32_t x = 1;
    for (int i = 0; i < TABLE_BYTES; i++) x = x * 1664525u + 1013904223u, table[i] = x >> 24;
}

static int prepare(void) {
    inits++;
    FILE *file = fopen("/var/task/program", "r");
    if (!file) return 0;
    size_t length = fread(program, 1, sizeof program - 1, file);
    program[length] = 0;
    fclose(file);
    if (!strcmp(program, "trap")) __builtin_trap();
    if (!strcmp(program, "call")) isolet_sleep(1);
    return 0;
}

static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    (void)event, (void)context;
    calls++;
    uint32_t sum = 0;
    for (int i = 0; i < TABLE_BYTES; i += 4096) sum += table[i];
    isolet_put_map(result, 6);
    isolet_put_str(result, "program"), isolet_put_str(result, program);
    isolet_put_str(result, "library"), isolet_put_str(result, word);
    isolet_put_str(result, "boots"), isolet_put_int(result, boots);
    isolet_put_str(result, "inits"), isolet_put_int(result, inits);
    isolet_put_str(result, "calls"), isolet_put_int(result, calls);
    isolet_put_str(result, "sum"), isolet_put_int(result, sum);
    return 0;
}

ISOLET_INIT(prepare)
ISOLET_HANDLER(handle)
