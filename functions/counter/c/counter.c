/* counter: adds `by` to the counter `name` and answers its new value. Others may write it, too: the value goes back only if
 * nobody did since it was read, or else it is read again. */
#include "isolet.h"

#define ATTEMPTS 16
#define NAME_CHARS_MAX 64

/* The decimal number that is the whole of `text`. */
static bool number(isolet_str text, int64_t *value) {
    char digits[24], *end;
    if (!text.len || text.len >= sizeof digits || text.data[0] == ' ' || text.data[0] == '+') return false;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    *value = strtoll(digits, &end, 10);
    return *end == '\0';
}

static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    (void)context;
    isolet_str name = isolet_string(isolet_get(event, "name"));
    if (!name.len || name.len > NAME_CHARS_MAX)
        return isolet_fail(result, "InvalidEvent", "`name` must be a string of 1 to 64 characters");
    isolet_value by = isolet_get(event, "by");
    if (isolet_typeof(by) != ISOLET_INT && isolet_typeof(by) != ISOLET_ABSENT)
        return isolet_fail(result, "InvalidEvent", "`by` must be an integer");

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        isolet_kv_entry entry;
        isolet_error error;
        int64_t value = 0;
        if (isolet_kv_get("counters", name, &entry, &error)) return isolet_fail_with(result, &error);
        if (entry.version && !number(entry.value, &value))
            return isolet_failf(result, "NotACounter", "%.*s holds no number", (int)name.len, name.data);
        value += isolet_int(by, 1);
        isolet_str text = isolet_text(isolet_format("%lld", (long long)value));
        isolet_status status = isolet_kv_put("counters", name, text, entry.version, 0, NULL, &error);
        if (status == ISOLET_CONFLICT) continue;
        if (status) return isolet_fail_with(result, &error);
        isolet_put_map(result, 2);
        isolet_put_str(result, "name"), isolet_put_strn(result, name.data, name.len);
        isolet_put_str(result, "value"), isolet_put_int(result, value);
        return 0;
    }
    return isolet_failf(result, "Contended", "%.*s: %d attempts, and another writer was first each time", (int)name.len,
                        name.data, ATTEMPTS);
}

ISOLET_HANDLER(handle)
