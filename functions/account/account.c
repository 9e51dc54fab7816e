/* account: a small web API.
 *
 *     GET  /accounts                        how many there are; ?limit=&after= lists them
 *     GET  /accounts/{id}                   a balance; ?currency=USD converts it, `accept: text/plain` answers text
 *     POST /accounts/{id}/deposits          a form: amount=12.50&note=…
 *
 * What a function keeps, it keeps in its snapshot: the accounts are made by isolet_init, once, at deployment, and every
 * request finds them so. A deposit is answered with the balance that it leads to and is gone with the isolate that made it; a
 * bank would call a database. What a client is to remember goes into its cookie, as the counter of its visits does here.
 */
#include "isolet.h"

#define ACCOUNTS 1000
#define FIRST_ID 1000
#define LIMIT_DEFAULT 10
#define LIMIT_MAX 100
/* One transfer; more is a mistake, or a job for another form. */
#define AMOUNT_CENTS_MAX 100000000

typedef struct {
    char owner[16];
    int64_t cents;
} account;

static account accounts[ACCOUNTS];

/* Units of the currency for a thousand euros; made up. */
static const struct {
    const char *code;
    int64_t per_thousand;
} currencies[] = {{"EUR", 1000}, {"USD", 1085}, {"GBP", 842}, {"CHF", 957}};

static void open_accounts(void) {
    static const char *const names[] = {"ada", "grace", "alan", "edsger", "barbara", "donald", "frances", "ken"};
    uint32_t state = 2026;
    for (int i = 0; i < ACCOUNTS; i++) {
        state = state * 1664525u + 1013904223u;
        snprintf(accounts[i].owner, sizeof accounts[i].owner, "%s-%d", names[state >> 29], i / 8);
        accounts[i].cents = (state >> 4) % 10000000;
    }
}

/* ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The visits that the client says it made, and this one. */
static const char *visits_cookie(isolet_value event) {
    isolet_str seen = isolet_http_cookie(event, "visits");
    unsigned count = 0;
    for (size_t i = 0; i < seen.len && i < 6 && seen.data[i] >= '0' && seen.data[i] <= '9'; i++)
        count = 10 * count + (unsigned)(seen.data[i] - '0');
    return isolet_format("visits=%u; Path=/accounts; HttpOnly; SameSite=Lax", count + 1);
}

static int answer(isolet_writer *result, isolet_value event, int status, const char *type, const char *body, isolet_header more) {
    return isolet_respond(result, &(isolet_response){
        .status = status,
        .headers = {{"content-type", type}, {"cache-control", "no-store"}, more},
        .cookies = {visits_cookie(event)},
        .body = isolet_text(body),
    });
}

static const isolet_header none = {NULL, NULL};

static int json(isolet_writer *result, isolet_value event, int status, const char *body, isolet_header more) {
    return answer(result, event, status, "application/json", body, more);
}

/* `reason` and `cure` are ours and need no escapes. */
static int problem(isolet_writer *result, isolet_value event, int status, const char *reason, const char *cure, isolet_header more) {
    return json(result, event, status, isolet_format("{\"error\":\"%s\",\"cure\":\"%s\"}", reason, cure), more);
}

static const char *as_json(isolet_str text) {
    isolet_writer packed = isolet_scratch();
    isolet_put_strn(&packed, text.data, text.len);
    isolet_str quoted = isolet_json(isolet_written(&packed));
    return isolet_format("%.*s", (int)quoted.len, quoted.data);
}

static const char *money(int64_t cents) {
    int64_t size = cents < 0 ? -cents : cents;
    return isolet_format("%s%lld.%02lld", cents < 0 ? "-" : "", (long long)(size / 100), (long long)(size % 100));
}

/* ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* All digits, at most nine of them; -1 for anything else. */
static int64_t number(isolet_str text) {
    int64_t value = 0;
    if (!text.len || text.len > 9) return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return -1;
        value = 10 * value + (text.data[i] - '0');
    }
    return value;
}

/* "12", "12.5" or "12.50" in cents; -1 for anything else. */
static int64_t cents_of(isolet_str text) {
    const char *point = text.len ? memchr(text.data, '.', text.len) : NULL;
    isolet_str whole = {text.data, point ? (size_t)(point - text.data) : text.len};
    isolet_str part = {point ? point + 1 : NULL, point ? text.len - whole.len - 1 : 0};
    int64_t euros = number(whole), cents = point ? number(part) : 0;
    if (euros < 0 || cents < 0 || part.len > 2) return -1;
    return euros * 100 + (part.len == 1 ? cents * 10 : cents);
}

static account *account_of(isolet_str id) {
    int64_t found = number(id) - FIRST_ID;
    return id.len && id.data[0] != '0' && found >= 0 && found < ACCOUNTS ? &accounts[found] : NULL;
}

static int list(isolet_value event, isolet_writer *result) {
    isolet_str limit_text = isolet_http_query(event, "limit"), after_text = isolet_http_query(event, "after");
    int64_t limit = limit_text.data ? number(limit_text) : LIMIT_DEFAULT;
    int64_t after = after_text.data ? number(after_text) - FIRST_ID : -1;
    if (limit < 1 || limit > LIMIT_MAX) return problem(result, event, 400, "limit is no number from 1 to 100", "leave it out", none);
    if (after < -1 || after >= ACCOUNTS) return problem(result, event, 400, "after is no account's id", "leave it out", none);
    isolet_writer body = isolet_scratch();
    int64_t last = after + limit < ACCOUNTS - 1 ? after + limit : ACCOUNTS - 1;
    isolet_put_map(&body, 2);
    isolet_put_str(&body, "total"), isolet_put_int(&body, ACCOUNTS);
    isolet_put_str(&body, "accounts"), isolet_put_array(&body, (uint32_t)(last - after));
    for (int64_t i = after + 1; i <= last; i++) {
        isolet_put_map(&body, 2);
        isolet_put_str(&body, "id"), isolet_put_int(&body, i + FIRST_ID);
        isolet_put_str(&body, "owner"), isolet_put_str(&body, accounts[i].owner);
    }
    isolet_str text = isolet_json(isolet_written(&body));
    return json(result, event, 200, isolet_format("%.*s", (int)text.len, text.data), none);
}

static int balance(isolet_value event, isolet_writer *result, const account *of) {
    isolet_str wanted = isolet_http_query(event, "currency");
    isolet_str accepted = isolet_http_header(event, "accept");
    size_t kinds = sizeof currencies / sizeof *currencies, kind = 0;
    while (wanted.data && kind < kinds && !isolet_is(wanted, currencies[kind].code)) kind++;
    if (kind == kinds) return problem(result, event, 400, "unknown currency", "use EUR, USD, GBP or CHF", none);
    const char *amount = money(of->cents * currencies[kind].per_thousand / 1000), *code = currencies[kind].code;
    if (isolet_is(accepted, "text/plain"))
        return answer(result, event, 200, "text/plain; charset=utf-8", isolet_format("%s %s\n", amount, code), none);
    return json(result, event, 200, isolet_format("{\"id\":%d,\"owner\":\"%s\",\"balance\":\"%s\",\"currency\":\"%s\"}",
        (int)(of - accounts) + FIRST_ID, of->owner, amount, code), none);
}

static int deposit(isolet_value event, isolet_context *context, isolet_writer *result, account *to) {
    isolet_str type = isolet_http_header(event, "content-type"), form = isolet_http_body(event);
    static const char expected[] = "application/x-www-form-urlencoded";
    if (type.len < sizeof expected - 1 || memcmp(type.data, expected, sizeof expected - 1))
        return problem(result, event, 415, "the body is not a form", "send application/x-www-form-urlencoded", none);
    int64_t cents = cents_of(isolet_form(form, "amount"));
    isolet_str note = isolet_form(form, "note");
    if (cents <= 0 || cents > AMOUNT_CENTS_MAX)
        return problem(result, event, 400, "amount is missing or no amount of money", "send amount=12.50, at most 1000000", none);
    if (note.data && !isolet_utf8(note)) return problem(result, event, 400, "note is not UTF-8", "encode it as UTF-8", none);
    to->cents += cents; /* for as long as this isolate lives */
    isolet_str request = isolet_request_id(context);
    int id = (int)(to - accounts) + FIRST_ID;
    isolet_logf(ISOLET_INFO, "deposit of %s to %d", money(cents), id);
    return json(result, event, 201, isolet_format(
        "{\"id\":%d,\"deposited\":\"%s\",\"balance\":\"%s\",\"currency\":\"EUR\",\"note\":%s,"
        "\"kept\":\"for this request only: a function's state is its snapshot\"}",
        id, money(cents), money(to->cents), note.data ? as_json(note) : "null"),
        (isolet_header){"location", isolet_format("/accounts/%d/deposits/%.*s", id, (int)request.len, request.data)});
}

/* ── routes ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Steps over `prefix` at the front of `path`; false if that is not there. */
static bool step(isolet_str *path, const char *prefix) {
    size_t len = strlen(prefix);
    if (path->len < len || memcmp(path->data, prefix, len)) return false;
    path->data += len;
    path->len -= len;
    return true;
}

/* The path decides, not the route that matched: the API answers alike at its routes, its own host and below /fn/account. */
static int handle(isolet_value event, isolet_context *context, isolet_writer *result) {
    isolet_str method = isolet_http_method(event), path = isolet_http_path(event);
    if (!method.data) return isolet_fail(result, "NotHttp", "this function answers HTTP requests; the event is none");
    bool get = isolet_is(method, "GET") || isolet_is(method, "HEAD");
    isolet_header allow_get = {"allow", "GET, HEAD"}, allow_post = {"allow", "POST"};
    const char *cure = "GET /accounts tells what there is";
    if (!step(&path, "/accounts")) return problem(result, event, 404, "no such path", cure, none);
    if (path.len == 0) return get ? list(event, result) : problem(result, event, 405, "only GET here", cure, allow_get);
    if (!step(&path, "/")) return problem(result, event, 404, "no such path", cure, none);
    const char *slash = path.len ? memchr(path.data, '/', path.len) : NULL;
    isolet_str id = {path.data, slash ? (size_t)(slash - path.data) : path.len};
    isolet_str rest = {path.data + id.len, path.len - id.len};
    account *found = account_of(id);
    if (!found) return problem(result, event, 404, "no such account", "ids are 1000 to 1999", none);
    if (!slash) return get ? balance(event, result, found) : problem(result, event, 405, "only GET here", cure, allow_get);
    if (!isolet_is(rest, "/deposits")) return problem(result, event, 404, "no such path", cure, none);
    if (!isolet_is(method, "POST")) return problem(result, event, 405, "only POST here", "send a form", allow_post);
    return deposit(event, context, result, found);
}

ISOLET_INIT(open_accounts)
ISOLET_HANDLER(handle)
