/* A work as a function of ours: the body of an HTTP event in, a text answer out. */
#include "isolet.h"
#include "work.h"

static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    (void)context;
    isolet_str body = isolet_http_body(event);
    size_t length;
    const uint8_t *answer = work((const uint8_t *)body.data, body.len, &length);
    isolet_put_map(result, 3);
    isolet_put_str(result, "statusCode"), isolet_put_uint(result, 200);
    isolet_put_str(result, "headers"), isolet_put_map(result, 1);
    isolet_put_str(result, "content-type"), isolet_put_str(result, "text/plain");
    isolet_put_str(result, "body"), isolet_put_strn(result, (const char *)answer, length);
    return 0;
}

ISOLET_INIT(prepare)
ISOLET_HANDLER(handle)
