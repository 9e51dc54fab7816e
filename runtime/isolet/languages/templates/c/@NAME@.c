#include "isolet.h"

/* Runs once, at deployment: what it fills, every invocation finds filled. */
static int greetings;

static void prepare(void) { greetings = 1; }

/* Answers {"hello": name}. `name` is in the event, or in the query string of an HTTP request. */
static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    isolet_str name = isolet_http_method(event).data ? isolet_http_query(event, "name")
                                                     : isolet_string(isolet_get(event, "name"));
    if (!name.data) name = isolet_text("world");
    isolet_str request = isolet_request_id(context);
    isolet_logf(ISOLET_INFO, "greeting %.*s for %.*s", (int)name.len, name.data, (int)request.len, request.data);
    isolet_put_map(result, 2);
    isolet_put_str(result, "hello"), isolet_put_strn(result, name.data, name.len);
    isolet_put_str(result, "greetings"), isolet_put_int(result, greetings++);
    return 0;
}

ISOLET_INIT(prepare)
ISOLET_HANDLER(handle)
