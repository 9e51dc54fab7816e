/* A waPC guest, written from waPC's specification alone: it knows nothing of isolet. Its operations: `greet` answers JSON,
 * `ask` asks the host for what its payload names, `fail` fails. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAPC(name) __attribute__((import_module("wapc"), import_name(#name)))
WAPC(__guest_request) void guest_request(char *operation, char *payload);
WAPC(__guest_response) void guest_response(const char *at, size_t length);
WAPC(__guest_error) void guest_error(const char *at, size_t length);
WAPC(__host_call)
bool host_call(const char *binding, size_t binding_length, const char *space, size_t space_length, const char *operation,
               size_t operation_length, const char *payload, size_t length);
WAPC(__host_response_len) size_t host_response_length(void);
WAPC(__host_response) void host_response(char *into);
WAPC(__host_error_len) size_t host_error_length(void);
WAPC(__host_error) void host_error(char *into);
WAPC(__console_log) void console_log(const char *at, size_t length);

static char *greeting;

/* Runs once. */
__attribute__((export_name("wapc_init"))) void wapc_init(void) {
    greeting = malloc(16);
    strcpy(greeting, "hello");
}

static bool greet(const char *payload, size_t length) {
    size_t room = length + 64;
    char *answer = malloc(room);
    if (!answer) return false;
    int written = snprintf(answer, room, "{\"%s\":%.*s}", greeting, (int)length, payload);
    strcpy(greeting, "again"); /* nobody sees it */
    guest_response(answer, (size_t)written);
    console_log("greeted", 7);
    return true;
}

/* The payload is the operation, a newline, and the request. */
static bool ask(const char *payload, size_t length) {
    const char *line = memchr(payload, '\n', length);
    size_t name = line ? (size_t)(line - payload) : length, rest = line ? length - name - 1 : 0;
    if (host_call("isolet", 6, "", 0, payload, name, line ? line + 1 : payload, rest)) {
        char *response = malloc(host_response_length() + 1);
        host_response(response);
        guest_response(response, host_response_length());
        return true;
    }
    char *error = malloc(host_error_length() + 1);
    host_error(error);
    guest_error(error, host_error_length());
    return false;
}

__attribute__((export_name("__guest_call"))) int32_t guest_call(size_t operation_length, size_t payload_length) {
    char *operation = malloc(operation_length + 1), *payload = malloc(payload_length + 1);
    if (!operation || !payload) return 0;
    guest_request(operation, payload);
    operation[operation_length] = '\0';
    if (!strcmp(operation, "greet")) return greet(payload, payload_length);
    if (!strcmp(operation, "ask")) return ask(payload, payload_length);
    if (!strcmp(operation, "fail")) guest_error("as it was told", 14);
    return 0;
}
