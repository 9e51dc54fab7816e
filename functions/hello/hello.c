/* hello: the smallest function there is. It answers every event, HTTP request or not, with the same text. */
#include "isolet.h"

static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    (void)event;
    (void)context;
    return isolet_respond_text(result, 200, "hello\n");
}

ISOLET_HANDLER(handle)
