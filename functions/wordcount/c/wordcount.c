/* wordcount: counts the words of `text`; answers how many there are, how many distinct ones, and the `top` most frequent. */
#include "isolet.h"

#define TOP_DEFAULT 10
#define TOP_MAX 1000

typedef struct {
    isolet_str word;
    uint32_t hash, count;
} entry;

/* Open addressing; its size is a power of two, and at most half of it is used. */
typedef struct {
    entry *entries;
    uint32_t room, used, words;
} table;

static bool in_word(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

static entry *slot(const table *in, isolet_str word, uint32_t hash) {
    for (uint32_t at = hash;; at++) {
        entry *found = &in->entries[at & (in->room - 1)];
        if (!found->count) return found;
        if (found->hash == hash && found->word.len == word.len && !memcmp(found->word.data, word.data, word.len)) return found;
    }
}

static bool grow(table *of) {
    table larger = {NULL, of->room ? 2 * of->room : 256, of->used, of->words};
    larger.entries = isolet_alloc(larger.room * sizeof(entry));
    if (!larger.entries) return false;
    memset(larger.entries, 0, larger.room * sizeof(entry));
    for (uint32_t i = 0; i < of->room; i++)
        if (of->entries[i].count) *slot(&larger, of->entries[i].word, of->entries[i].hash) = of->entries[i];
    *of = larger;
    return true;
}

static bool count(table *in, isolet_str word) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < word.len; i++) hash = (hash ^ (uint8_t)word.data[i]) * 16777619u;
    if (2 * in->used >= in->room && !grow(in)) return false;
    entry *found = slot(in, word, hash);
    in->used += !found->count;
    in->words++;
    *found = (entry){word, hash, found->count + 1};
    return true;
}

/* Counts every word of `text`, of which it makes the letters small where they are. */
static bool count_all(table *in, char *text, size_t len) {
    for (size_t i = 0; i < len;) {
        size_t start = i;
        for (; i < len && in_word((uint8_t)text[i]); i++)
            if (text[i] >= 'A' && text[i] <= 'Z') text[i] |= 0x20;
        if (i > start && !count(in, (isolet_str){text + start, i - start})) return false;
        if (i == start) i++;
    }
    return true;
}

static int by_frequency(const void *a, const void *b) {
    const entry *one = a, *other = b;
    if (one->count != other->count) return one->count < other->count ? 1 : -1;
    size_t shorter = one->word.len < other->word.len ? one->word.len : other->word.len;
    int order = memcmp(one->word.data, other->word.data, shorter);
    return order ? order : (one->word.len > other->word.len) - (one->word.len < other->word.len);
}

static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    (void)context;
    isolet_str text = isolet_string(isolet_get(event, "text"));
    if (!text.data) return isolet_fail(result, "InvalidEvent", "`text` must be a string");
    isolet_value asked = isolet_get(event, "top");
    int64_t top = isolet_typeof(asked) == ISOLET_ABSENT ? TOP_DEFAULT : isolet_int(asked, 0);
    if (top < 1 || top > TOP_MAX) return isolet_fail(result, "InvalidEvent", "`top` must be an integer from 1 to 1000");

    table words = {NULL, 0, 0, 0};
    char *small = isolet_alloc(text.len);
    if (small && text.len) memcpy(small, text.data, text.len);
    if (!small || !count_all(&words, small, text.len)) return isolet_fail(result, "OutOfMemory", "the text has too many words");
    uint32_t listed = 0;
    for (uint32_t i = 0; i < words.room; i++)
        if (words.entries[i].count) words.entries[listed++] = words.entries[i];
    if (listed) qsort(words.entries, listed, sizeof(entry), by_frequency);

    isolet_put_map(result, 3);
    isolet_put_str(result, "words"), isolet_put_uint(result, words.words);
    isolet_put_str(result, "distinct"), isolet_put_uint(result, words.used);
    uint32_t shown = listed < top ? listed : (uint32_t)top;
    isolet_put_str(result, "top"), isolet_put_array(result, shown);
    for (uint32_t i = 0; i < shown; i++) {
        isolet_put_map(result, 2);
        isolet_put_str(result, "word"), isolet_put_strn(result, words.entries[i].word.data, words.entries[i].word.len);
        isolet_put_str(result, "count"), isolet_put_uint(result, words.entries[i].count);
    }
    return 0;
}

ISOLET_HANDLER(handle)
