/* What the SDK's tests drive: an event with `op` exercises one part of isolet.h, any other is answered with what was seen. */
#include "isolet.h"

static int frozen_draw;

static int by_key(const void *a, const void *b) {
    const isolet_value *one = a, *other = b;
    isolet_str x = isolet_string(one[0]), y = isolet_string(other[0]);
    int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* Takes a value apart and writes it again, key by key. */
static void recode(isolet_writer *to, isolet_value value) {
    isolet_value item;
    isolet_each each = isolet_each_of(value);
    size_t count = isolet_len(value);
    switch (isolet_typeof(value)) {
    case ISOLET_ABSENT: isolet_put_str(to, "absent"); return;
    case ISOLET_NIL: isolet_put_nil(to); return;
    case ISOLET_BOOL: isolet_put_bool(to, isolet_bool(value, false)); return;
    case ISOLET_INT:
        if (isolet_uint(value, 0) > INT64_MAX) isolet_put_uint(to, isolet_uint(value, 0));
        else isolet_put_int(to, isolet_int(value, 0));
        return;
    case ISOLET_FLOAT: isolet_put_double(to, isolet_double(value, 0)); return;
    case ISOLET_STR: isolet_put_strn(to, isolet_string(value).data, isolet_string(value).len); return;
    case ISOLET_BIN: isolet_put_bin(to, isolet_bytes(value).data, isolet_bytes(value).len); return;
    case ISOLET_ARRAY:
        isolet_put_array(to, (uint32_t)count);
        while (isolet_next(&each, NULL, &item)) recode(to, item);
        return;
    case ISOLET_MAP: break;
    }
    isolet_value *pairs = isolet_alloc(2 * sizeof(isolet_value) * (count + 1));
    for (size_t i = 0; isolet_next(&each, &pairs[2 * i], &pairs[2 * i + 1]); i++) {}
    qsort(pairs, count, 2 * sizeof(isolet_value), by_key);
    isolet_put_map(to, (uint32_t)count);
    for (size_t i = 0; i < 2 * count; i++) recode(to, pairs[i]);
}

static void put_text(isolet_writer *to, const char *key, isolet_str text) {
    isolet_put_str(to, key);
    if (text.data) isolet_put_strn(to, text.data, text.len);
    else isolet_put_nil(to);
}

static int op_seen(isolet_value event, isolet_context *context, isolet_writer *result) {
    isolet_put_map(result, 2);
    isolet_put_str(result, "event");
    isolet_put_value(result, event);
    isolet_put_str(result, "context");
    isolet_put_map(result, 11);
    put_text(result, "function_name", isolet_function_name(context));
    put_text(result, "function_version", isolet_function_version(context));
    put_text(result, "function_arn", isolet_function_arn(context));
    put_text(result, "log_group", isolet_log_group(context));
    put_text(result, "log_stream", isolet_log_stream(context));
    put_text(result, "request_id", isolet_request_id(context));
    put_text(result, "trace_id", isolet_trace_id(context));
    isolet_put_str(result, "memory_limit_mb"), isolet_put_int(result, isolet_memory_limit_mb(context));
    isolet_put_str(result, "deadline_ms"), isolet_put_int(result, isolet_deadline_ms(context));
    isolet_str entropy = isolet_entropy(context);
    isolet_put_str(result, "entropy"), isolet_put_bin(result, entropy.data, entropy.len);
    isolet_put_str(result, "client_context"), isolet_put_value(result, isolet_client_context(context));
    return 0;
}

static int op_recode(isolet_value event, isolet_writer *result) {
    isolet_str data = isolet_bytes(isolet_get(event, "data"));
    if (!isolet_valid(data)) return isolet_fail(result, "MalformedError", "not one value of the ABI");
    isolet_value value = {(const uint8_t *)data.data, (const uint8_t *)data.data + data.len};
    isolet_writer scratch = isolet_scratch();
    recode(&scratch, value);
    isolet_value written = isolet_written(&scratch);
    isolet_put_bin(result, written.at, (size_t)(written.end - written.at));
    return 0;
}

/* Reads bytes that may be anything, in every way there is: what must not happen is a step outside. */
static int op_read_anyway(isolet_value event, isolet_writer *result) {
    isolet_str data = isolet_bytes(isolet_get(event, "data"));
    isolet_value value = {(const uint8_t *)data.data, (const uint8_t *)data.data + data.len}, key, item;
    size_t sum = isolet_len(value) + isolet_string(isolet_get(value, "a")).len + isolet_bytes(isolet_at(value, 1)).len;
    isolet_each each = isolet_each_of(value);
    while (isolet_next(&each, &key, &item)) sum += isolet_typeof(item) + isolet_bytes(key).len + isolet_http_path(item).len;
    sum += (size_t)isolet_int(value, 0) + isolet_json(value).len + (isolet_double(value, 0) > 0);
    isolet_put_bool(result, sum + 1 > 0);
    return 0;
}

typedef isolet_str (*reader)(isolet_value request, const char *name);

static isolet_str read_form(isolet_value request, const char *name) { return isolet_form(isolet_http_body(request), name); }

static void put_read(isolet_writer *result, isolet_value event, isolet_value request, const char *kind, reader read) {
    isolet_value name;
    isolet_value names = isolet_get(event, kind);
    isolet_each each = isolet_each_of(names);
    isolet_put_str(result, kind);
    isolet_put_map(result, (uint32_t)isolet_len(names));
    while (isolet_next(&each, NULL, &name)) {
        isolet_str text = isolet_string(name);
        const char *key = isolet_format("%.*s", (int)text.len, text.data);
        put_text(result, key, read(request, key));
    }
}

static int op_http(isolet_value event, isolet_writer *result) {
    isolet_value request = isolet_get(event, "request");
    isolet_str body = isolet_http_body(request);
    isolet_put_map(result, 8);
    put_text(result, "method", isolet_http_method(request));
    put_text(result, "path", isolet_http_path(request));
    isolet_put_str(result, "body");
    if (body.data) isolet_put_bin(result, body.data, body.len);
    else isolet_put_nil(result);
    put_read(result, event, request, "header", isolet_http_header);
    put_read(result, event, request, "query", isolet_http_query);
    put_read(result, event, request, "path_parameter", isolet_http_path_parameter);
    put_read(result, event, request, "cookie", isolet_http_cookie);
    put_read(result, event, request, "form", read_form);
    return 0;
}

static const char *c_text(isolet_value value) {
    isolet_str text = isolet_string(value);
    return isolet_format("%.*s", (int)text.len, text.data);
}

static int op_respond(isolet_value event, isolet_writer *result) {
    isolet_value given = isolet_get(event, "response"), key, item, body = isolet_get(given, "body");
    isolet_response response = {.status = (int)isolet_int(isolet_get(given, "status"), 0)};
    isolet_each headers = isolet_each_of(isolet_get(given, "headers"));
    for (size_t i = 0; isolet_next(&headers, &key, &item); i++)
        response.headers[i] = (isolet_header){c_text(key), c_text(item)};
    isolet_each cookies = isolet_each_of(isolet_get(given, "cookies"));
    for (size_t i = 0; isolet_next(&cookies, NULL, &item); i++) response.cookies[i] = c_text(item);
    response.body = isolet_bytes(body);
    response.binary = isolet_typeof(body) == ISOLET_BIN;
    return isolet_respond(result, &response);
}

static int op_capabilities(isolet_value event, isolet_writer *result) {
    unsigned char bytes[300];
    isolet_writer unknown = isolet_scratch();
    isolet_value reply;
    isolet_put_array(&unknown, 1), isolet_put_str(&unknown, "none such");
    isolet_put_array(result, 4);
    isolet_put_int(result, isolet_sleep(isolet_double(isolet_get(event, "sleep_ms"), 0)));
    isolet_put_int(result, isolet_random(bytes, sizeof bytes));
    isolet_put_bin(result, bytes, sizeof bytes);
    isolet_put_int(result, isolet_call(&unknown, &reply));
    return 0;
}

static int64_t if_version_of(isolet_value options) { return isolet_int(isolet_get(options, "if_version"), ISOLET_ANY_VERSION); }

static void put_entry(isolet_writer *to, isolet_kv_entry entry) {
    if (!entry.value.data) {
        isolet_put_nil(to);
        return;
    }
    isolet_put_map(to, 2);
    isolet_put_str(to, "value"), isolet_put_bin(to, entry.value.data, entry.value.len);
    isolet_put_str(to, "version"), isolet_put_int(to, entry.version);
}

static isolet_status ask_kv(isolet_str name, isolet_value call, isolet_writer *to, isolet_error *error) {
    const char *space = c_text(isolet_at(call, 1));
    isolet_str key = isolet_string(isolet_at(call, 2));
    isolet_value options = isolet_at(call, isolet_is(name, "kv.put") ? 4 : 3);
    isolet_status status;
    if (isolet_is(name, "kv.get")) {
        isolet_kv_entry entry;
        if (!(status = isolet_kv_get(space, key, &entry, error))) put_entry(to, entry);
    } else if (isolet_is(name, "kv.put")) {
        int64_t version;
        double ttl_s = isolet_double(isolet_get(options, "ttl_s"), 0);
        status = isolet_kv_put(space, key, isolet_bytes(isolet_at(call, 3)), if_version_of(options), ttl_s, &version, error);
        if (!status) isolet_put_map(to, 1), isolet_put_str(to, "version"), isolet_put_int(to, version);
    } else if (isolet_is(name, "kv.delete")) {
        bool existed;
        if (!(status = isolet_kv_delete(space, key, if_version_of(options), &existed, error))) isolet_put_bool(to, existed);
    } else {
        isolet_kv_page page;
        isolet_str after = isolet_string(isolet_get(options, "after"));
        uint32_t limit = (uint32_t)isolet_uint(isolet_get(options, "limit"), 0);
        status = isolet_kv_list(space, key, after, limit, &page, error);
        if (status) return status;
        isolet_put_map(to, 2);
        isolet_put_str(to, "keys"), isolet_put_value(to, page.keys);
        isolet_put_str(to, "more"), isolet_put_bool(to, page.more);
    }
    return status;
}

static isolet_status ask_fetch(isolet_value given, isolet_writer *to, isolet_error *error) {
    isolet_fetch_request fetch = {.url = isolet_string(isolet_get(given, "url"))};
    isolet_fetch_answer answer;
    isolet_value method = isolet_get(given, "method"), redirect = isolet_get(given, "redirect"), pair;
    isolet_each headers = isolet_each_of(isolet_get(given, "headers"));
    for (size_t i = 0; i < ISOLET_HEADERS_MAX && isolet_next(&headers, NULL, &pair); i++)
        fetch.headers[i] = (isolet_header){c_text(isolet_at(pair, 0)), c_text(isolet_at(pair, 1))};
    if (isolet_string(method).data) fetch.method = c_text(method);
    if (isolet_string(redirect).data) fetch.redirect = c_text(redirect);
    fetch.body = isolet_bytes(isolet_get(given, "body"));
    fetch.timeout_ms = isolet_double(isolet_get(given, "timeout_ms"), 0);
    isolet_status status = isolet_fetch(&fetch, &answer, error);
    if (status) return status;
    isolet_fetch_header(&answer, "Content-Type");
    isolet_put_map(to, 4);
    isolet_put_str(to, "status"), isolet_put_int(to, answer.status);
    put_text(to, "url", answer.url);
    isolet_put_str(to, "headers"), isolet_put_value(to, answer.headers);
    isolet_put_str(to, "body"), isolet_put_bin(to, answer.body.data, answer.body.len);
    return status;
}

static isolet_status ask_others(isolet_str name, isolet_value call, isolet_writer *to, isolet_error *error) {
    isolet_value argument = isolet_at(call, 1), result;
    isolet_status status;
    if (isolet_is(name, "invoke")) {
        isolet_writer payload = isolet_scratch();
        isolet_put_value(&payload, isolet_at(call, 2));
        if (!(status = isolet_invoke(c_text(argument), &payload, &result, error))) isolet_put_value(to, result);
    } else {
        isolet_str secret;
        status = isolet_secret(c_text(argument), &secret, error);
        if (!status && isolet_utf8(secret)) isolet_put_strn(to, secret.data, secret.len);
        else if (!status) isolet_put_bin(to, secret.data, secret.len);
    }
    return status;
}

#ifdef ISOLET_NATIVE
static isolet_str native_reply;
isolet_str isolet_native_capability(isolet_value call) {
    isolet_str name = isolet_string(isolet_at(call, 0)), none = {NULL, 0};
    return isolet_is(name, "sleep") || isolet_is(name, "random") ? none : native_reply;
}
#endif

/* Makes the request of `call`, an array as abi.md 5 has it, by the function of the SDK that is for it. Answers a result, too. */
static int op_ask(isolet_value event, isolet_writer *result) {
    isolet_value call = isolet_get(event, "call");
    isolet_str name = isolet_string(isolet_at(call, 0));
    isolet_error error;
    isolet_status status;
    isolet_writer ok = isolet_scratch();
#ifdef ISOLET_NATIVE
    native_reply = isolet_bytes(isolet_get(event, "reply"));
#endif
    if (name.len > 3 && !memcmp(name.data, "kv.", 3)) status = ask_kv(name, call, &ok, &error);
    else if (isolet_is(name, "fetch")) status = ask_fetch(isolet_at(call, 1), &ok, &error);
    else status = ask_others(name, call, &ok, &error);
    isolet_put_map(result, 1);
    if (!status) {
        isolet_put_str(result, "ok"), isolet_put_value(result, isolet_written(&ok));
        return 0;
    }
    isolet_put_str(result, "error");
    isolet_put_map(result, 3);
    put_text(result, "type", error.type);
    put_text(result, "message", error.message);
    isolet_put_str(result, "cause"), isolet_put_value(result, error.cause);
    return 0;
}

static int op_log(isolet_writer *result) {
    isolet_log(ISOLET_WARN, "plain");
    isolet_logf(ISOLET_ERROR, "%d and %s", 7, "text");
    isolet_logf(ISOLET_INFO, "%02000d", 1);
    printf("printed\n");
    return fflush(stdout) ? isolet_fail(result, "Error", "stdout") : 0;
}

static int op_grow(isolet_value event, isolet_writer *result) {
    int64_t count = isolet_int(isolet_get(event, "count"), 0);
    isolet_put_array(result, (uint32_t)count);
    for (int64_t i = 0; i < count; i++) {
        if (i % 1000 == 0) isolet_alloc(100); /* somebody else's memory between */
        isolet_put_int(result, i);
    }
    return 0;
}

static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    isolet_str op = isolet_string(isolet_get(event, "op"));
    if (!op.data) return op_seen(event, context, result);
    if (isolet_is(op, "recode")) return op_recode(event, result);
    if (isolet_is(op, "read anyway")) return op_read_anyway(event, result);
    if (isolet_is(op, "http")) return op_http(event, result);
    if (isolet_is(op, "respond")) return op_respond(event, result);
    if (isolet_is(op, "capabilities")) return op_capabilities(event, result);
    if (isolet_is(op, "ask")) return op_ask(event, result);
    if (isolet_is(op, "log")) return op_log(result);
    if (isolet_is(op, "grow")) return op_grow(event, result);
    if (isolet_is(op, "nothing")) return 0;
    if (isolet_is(op, "status")) return 3;
    if (isolet_is(op, "fail")) {
        isolet_put_str(result, "dropped");
        return isolet_failf(result, "TooSmall", "%d is too small\nby far", 7);
    }
    if (isolet_is(op, "json")) {
        isolet_str json = isolet_json(isolet_get(event, "value"));
        isolet_put_strn(result, json.data, json.len);
        return 0;
    }
    if (isolet_is(op, "draw")) {
        isolet_put_array(result, 4);
        isolet_put_int(result, frozen_draw);
        isolet_put_int(result, rand());
        isolet_put_int(result, random());
        isolet_put_int(result, lrand48());
        return 0;
    }
    return isolet_fail(result, "OpUnknown", c_text(isolet_get(event, "op")));
}

static void prepare(void) {
    srand(1);
    frozen_draw = rand();
}

ISOLET_INIT(prepare)
ISOLET_HANDLER(handle)
