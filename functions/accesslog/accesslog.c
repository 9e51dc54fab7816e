/* accesslog: counts a web server's access log by status, path and minute.
 *
 * The log is the body of an HTTP request, or `log` in a plain event: Apache's Common or Combined Log Format, one request a
 * line (https://httpd.apache.org/docs/2.4/logs.html):
 *
 *     host ident user [10/Oct/2000:13:55:36 -0700] "GET /index.html?x=1 HTTP/1.0" 200 2326 "referer" "agent"
 *
 * The answer: how many lines there are, how many are none of the format, the bytes sent, and the counts. A path is without its
 * query; a request line that is not `method path protocol` (a port scan's bytes, mostly) counts as the path "-". A minute is
 * written as in ISO 8601, with the log's own offset. Of the paths, only the `top` most frequent are listed (a parameter of the
 * query, or a key of the event).
 *
 * plain.py says the same in Python; the test holds one to the other.
 */
#include "isolet.h"

#define TOP_DEFAULT 1000
#define TOP_MAX 50000
#define SIZE_DIGITS_MAX 18 /* more is no size */

typedef struct {
    isolet_str key;
    uint32_t hash, count;
} entry;

/* Open addressing; `room` is a power of two, at most half full. The entries lie in the order of their first appearance. */
typedef struct {
    entry *entries;
    uint32_t *slots; /* number of the entry + 1; 0: free */
    uint32_t used, room;
} table;

typedef struct {
    table paths, minutes;
    uint32_t status[1000];
    uint32_t lines, malformed;
    uint64_t bytes;
    const char *last_time; /* of the last line, and the number of its minute */
    uint32_t last_minute;
    bool full; /* memory ran out */
} counts;

/* ── counting ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* FNV-1a. A log is its owner's: nobody gains by making its paths collide. */
static uint32_t hash_of(isolet_str key) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < key.len; i++) hash = (hash ^ (uint8_t)key.data[i]) * 16777619u;
    return hash;
}

static bool grow(table *t) {
    uint32_t room = t->room ? 2 * t->room : 1024;
    entry *entries = isolet_alloc(room / 2 * sizeof(entry));
    uint32_t *slots = isolet_alloc(room * sizeof(uint32_t));
    if (!entries || !slots) return false;
    memset(slots, 0, room * sizeof(uint32_t));
    if (t->used) memcpy(entries, t->entries, t->used * sizeof(entry));
    for (uint32_t i = 0; i < t->used; i++) {
        uint32_t at = entries[i].hash & (room - 1);
        while (slots[at]) at = (at + 1) & (room - 1);
        slots[at] = i + 1;
    }
    t->entries = entries;
    t->slots = slots;
    t->room = room;
    return true;
}

/* The entry of `key`, counted; NULL if memory ran out. */
static entry *count(table *t, isolet_str key) {
    if (t->used * 2 >= t->room && !grow(t)) return NULL;
    uint32_t hash = hash_of(key), at = hash & (t->room - 1);
    for (; t->slots[at]; at = (at + 1) & (t->room - 1)) {
        entry *found = &t->entries[t->slots[at] - 1];
        if (found->hash == hash && found->key.len == key.len && !memcmp(found->key.data, key.data, key.len)) {
            found->count++;
            return found;
        }
    }
    t->entries[t->used] = (entry){key, hash, 1};
    t->slots[at] = ++t->used;
    return &t->entries[t->used - 1];
}

/* ── reading a line ─────────────────────────────────────────────────────────────────────────────────────────────── */

static const char *word(const char *at, const char *end) {
    const char *start = at;
    while (at < end && *at != ' ') at++;
    return at > start && at < end ? at + 1 : NULL; /* behind its space */
}

/* Behind the closing quote of the text that opens at `at`; a backslash takes the next character with it. */
static const char *quoted(const char *at, const char *end) {
    if (at == end || *at++ != '"') return NULL;
    for (; at < end; at++) {
        if (*at == '"') return at + 1;
        if (*at == '\\' && ++at == end) return NULL;
    }
    return NULL;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* The number of a month by its English name, 0 if it is none. */
static int month_of(const char *name) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (!memcmp(names + 3 * i, name, 3)) return i + 1;
    return 0;
}

#define TIME_LEN 29 /* [10/Oct/2000:13:55:36 -0700] and a space */
#define MINUTE_LEN 22 /* 2000-10-10T13:55-07:00 */

static bool is_time(const char *at, const char *end) {
    static const char shape[] = "[00/___/0000:00:00:00 +0000] ";
    if (end - at < TIME_LEN) return false;
    for (int i = 0; i < TIME_LEN; i++) {
        bool fits = shape[i] == '0' ? digit(at[i]) : shape[i] == '+' ? at[i] == '+' || at[i] == '-' : at[i] == shape[i];
        if (!fits && shape[i] != '_') return false;
    }
    return month_of(at + 4) > 0;
}

/* Counts the minute of a checked time. The lines of one minute mostly follow each other: only the first is spelled out. */
static bool count_minute(counts *c, const char *time) {
    if (c->last_time && !memcmp(c->last_time + 1, time + 1, 17) && !memcmp(c->last_time + 22, time + 22, 5)) {
        c->minutes.entries[c->last_minute].count++;
        return true;
    }
    char *text = isolet_alloc(MINUTE_LEN);
    if (!text) return false;
    int month = month_of(time + 4);
    memcpy(text, time + 8, 4);
    memcpy(text + 4, (char[4]){'-', (char)('0' + month / 10), (char)('0' + month % 10), '-'}, 4);
    memcpy(text + 8, time + 1, 2);
    text[10] = 'T';
    memcpy(text + 11, time + 13, 5);
    memcpy(text + 16, time + 22, 3);
    text[19] = ':';
    memcpy(text + 20, time + 25, 2);
    entry *counted = count(&c->minutes, (isolet_str){text, MINUTE_LEN});
    if (!counted) return false;
    c->last_time = time;
    c->last_minute = (uint32_t)(counted - c->minutes.entries);
    return true;
}

static isolet_str path_of(const char *request, const char *end) {
    static const isolet_str none = {"-", 1};
    const char *path = word(request, end);
    const char *behind = path ? word(path, end) : NULL;
    if (!behind || behind == end || memchr(behind, ' ', (size_t)(end - behind))) return none;
    const char *stop = memchr(path, '?', (size_t)(behind - 1 - path));
    isolet_str found = {path, (size_t)((stop ? stop : behind - 1) - path)};
    return found.len && isolet_utf8(found) ? found : none;
}

/* False if the line is none of the format; nothing is counted then. */
static bool count_line(counts *c, const char *at, const char *end) {
    const char *ident = word(at, end), *user = ident ? word(ident, end) : NULL, *time = user ? word(user, end) : NULL;
    if (!time || !is_time(time, end)) return false;
    const char *request = time + TIME_LEN, *status = quoted(request, end);
    if (!status || end - status < 6 || status[0] != ' ' || status[4] != ' ') return false;
    if (!digit(status[1]) || !digit(status[2]) || !digit(status[3])) return false;
    const char *size = status + 5, *behind = size;
    uint64_t bytes = 0;
    if (*behind == '-') behind++;
    else while (behind < end && digit(*behind)) bytes = bytes * 10 + (uint64_t)(*behind++ - '0');
    if (behind == size || behind - size > SIZE_DIGITS_MAX) return false;
    if (behind < end) { /* the Combined format's two texts, both or neither */
        const char *agent = *behind == ' ' ? quoted(behind + 1, end) : NULL;
        if (!agent || agent == end || *agent != ' ' || quoted(agent + 1, end) != end) return false;
    }
    c->status[(status[1] - '0') * 100 + (status[2] - '0') * 10 + (status[3] - '0')]++;
    c->bytes += bytes;
    if (!count(&c->paths, path_of(request + 1, status - 1)) || !count_minute(c, time)) c->full = true;
    return true;
}

static void count_log(counts *c, isolet_str log) {
    const char *at = log.data, *end = log.data + log.len;
    while (at < end && !c->full) {
        const char *stop = memchr(at, '\n', (size_t)(end - at)), *next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > at && stop[-1] == '\r') stop--;
        if (stop > at) {
            c->lines++;
            if (!count_line(c, at, stop)) c->malformed++;
        }
        at = next;
    }
}

/* ── the answer ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static int compare_keys(isolet_str a, isolet_str b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_count(const void *a, const void *b) {
    const entry *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : compare_keys(x->key, y->key);
}

static int by_key(const void *a, const void *b) { return compare_keys(((const entry *)a)->key, ((const entry *)b)->key); }

static void put_table(isolet_writer *to, const char *name, table *t, int (*order)(const void *, const void *), uint32_t most) {
    uint32_t listed = t->used < most ? t->used : most;
    if (t->used) qsort(t->entries, t->used, sizeof(entry), order);
    isolet_put_str(to, name);
    isolet_put_map(to, listed);
    for (uint32_t i = 0; i < listed; i++) {
        isolet_put_strn(to, t->entries[i].key.data, t->entries[i].key.len);
        isolet_put_uint(to, t->entries[i].count);
    }
}

static void put_status(isolet_writer *to, const counts *c) {
    uint32_t kinds = 0;
    for (int i = 0; i < 1000; i++) kinds += c->status[i] > 0;
    isolet_put_str(to, "status");
    isolet_put_map(to, kinds);
    for (int i = 0; i < 1000; i++) {
        if (!c->status[i]) continue;
        isolet_put_strn(to, (char[3]){(char)('0' + i / 100), (char)('0' + i / 10 % 10), (char)('0' + i % 10)}, 3);
        isolet_put_uint(to, c->status[i]);
    }
}

static uint32_t top_of(isolet_value event) {
    isolet_str text = isolet_http_query(event, "top");
    uint64_t top = isolet_uint(isolet_get(event, "top"), TOP_DEFAULT);
    if (text.data) top = 0;
    for (size_t i = 0; i < text.len && digit(text.data[i]) && top <= TOP_MAX; i++) top = 10 * top + (uint64_t)(text.data[i] - '0');
    return top < TOP_MAX ? (uint32_t)top : TOP_MAX;
}

static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    (void)context;
    isolet_str log = isolet_http_method(event).data ? isolet_http_body(event) : isolet_bytes(isolet_get(event, "log"));
    if (!log.data) return isolet_fail(result, "LogMissing", "send the log as the request's body, or as `log` in the event");
    counts *c = isolet_alloc(sizeof *c);
    if (c) memset(c, 0, sizeof *c), count_log(c, log);
    if (!c || c->full) return isolet_fail(result, "TooManyPaths", "the counts do not fit in memory: raise `memory_mb`");
    isolet_put_map(result, 7);
    isolet_put_str(result, "lines"), isolet_put_uint(result, c->lines);
    isolet_put_str(result, "malformed"), isolet_put_uint(result, c->malformed);
    isolet_put_str(result, "bytes"), isolet_put_uint(result, c->bytes);
    put_status(result, c);
    put_table(result, "minute", &c->minutes, by_key, TOP_MAX);
    isolet_put_str(result, "paths"), isolet_put_uint(result, c->paths.used);
    put_table(result, "path", &c->paths, by_count, top_of(event));
    return 0;
}

ISOLET_HANDLER(handle)
