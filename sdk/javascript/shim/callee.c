/*
 * What a call's callee is called in the source, for "x.y is not a function", in V8's way of writing it: `a.b`, `a.b(...)`,
 * `(intermediate value)` for what is no plain chain of names.
 *
 * The engine knows the place of the call: the last name of the chain, or the bracket of `a[b]`. From there the text is read
 * backwards to where the chain begins.
 */
#include "shim.h"

#include <ctype.h>
#include <string.h>

typedef struct {
    const char *text;
    size_t length;
} Source;

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '#' || (unsigned char)c >= 0x80;
}

/* Where a line and a column, both counted from zero, are; `length` if they are nowhere. */
static size_t place(const Source *s, int line, int column)
{
    size_t at = 0;
    for (; line > 0 && at < s->length; at++)
        if (s->text[at] == '\n')
            line--;
    for (; column > 0 && at < s->length; column--) {
        at++;
        while (at < s->length && ((unsigned char)s->text[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

/* The opening bracket of the closing one at `at`; SIZE_MAX if there is none. Strings within are not understood. */
static size_t opening(const Source *s, size_t at)
{
    int depth = 0;
    for (size_t i = at + 1; i-- > 0;) {
        char c = s->text[i];
        if (c == ')' || c == ']' || c == '}')
            depth++;
        else if ((c == '(' || c == '[' || c == '{') && --depth == 0)
            return i;
    }
    return SIZE_MAX;
}

static size_t closing(const Source *s, size_t at)
{
    int depth = 0;
    for (size_t i = at; i < s->length; i++) {
        char c = s->text[i];
        if (c == '(' || c == '[' || c == '{')
            depth++;
        else if ((c == ')' || c == ']' || c == '}') && --depth == 0)
            return i;
    }
    return SIZE_MAX;
}

/* Where the chain that ends before `end` begins. `*plain` is false if it begins with more than a name. */
static size_t beginning(const Source *s, size_t end, bool *plain)
{
    *plain = true;
    for (;;) {
        size_t at = end;
        while (at > 0 && (s->text[at - 1] == ')' || s->text[at - 1] == ']')) {
            size_t open = opening(s, at - 1);
            if (open == SIZE_MAX) {
                *plain = false;
                return at;
            }
            at = open;
        }
        size_t name = at;
        while (name > 0 && is_name(s->text[name - 1]))
            name--;
        if (name == at) { /* a literal, a template, a bracketed expression */
            *plain = false;
            return end;
        }
        if (name == 0 || s->text[name - 1] != '.')
            return name;
        end = name - 1;
        if (end > 0 && s->text[end - 1] == '?')
            end--;
        while (end > 0 && isspace((unsigned char)s->text[end - 1]))
            end--;
    }
}

typedef struct {
    char *to;
    size_t room;
} Out;

static void add(Out *out, const char *text, size_t length)
{
    if (length > out->room)
        length = out->room;
    memcpy(out->to, text, length);
    out->to += length;
    out->room -= length;
}

/* The chain as V8 writes it: without white space, arguments as dots, `['b']` as `.b`. */
static void print(const Source *s, size_t from, size_t to, Out *out)
{
    for (size_t at = from; at < to; at++) {
        char c = s->text[at];
        if (isspace((unsigned char)c) || (c == '?' && at + 1 < to && s->text[at + 1] == '.'))
            continue;
        if (c == '(') {
            add(out, "(...)", 5);
            at = closing(s, at);
        } else if (c == '[' && at + 2 < to && (s->text[at + 1] == '\'' || s->text[at + 1] == '"')) {
            size_t close = closing(s, at);
            add(out, ".", 1);
            if (close > at + 3)
                add(out, s->text + at + 2, close - at - 3);
            at = close;
        } else
            add(out, &c, 1);
        if (at >= to)
            return;
    }
}

bool isolet_callee(const char *text, size_t length, int line, int column, char *to, size_t room)
{
    Source s = {text, length};
    if (line < 0 || column < 0)
        return false;
    size_t at = place(&s, line, column), end = at;
    if (at >= length)
        return false;
    if (length - at > 4 && !memcmp(text + at, "new ", 4)) {
        for (at += 4; at < length && isspace((unsigned char)text[at]); at++)
            ;
        end = at;
        while (end < length && (is_name(text[end]) || text[end] == '.'))
            end++;
        at = end;
    } else if (is_name(text[at])) {
        while (end < length && is_name(text[end]))
            end++;
        /* The place of `a[b](c)` is that of `a`. */
        for (size_t close; end < length && text[end] == '[' && (close = closing(&s, end)) != SIZE_MAX;)
            end = close + 1;
    } else if (text[at] == '[') {
        end = closing(&s, at);
        if (end++ == SIZE_MAX)
            return false;
    } else
        return false;
    bool plain;
    size_t from = beginning(&s, end, &plain);
    if (end <= from)
        return false;
    Out out = {to, room - 1};
    if (!plain) {
        if (at > 0 && at != end) {
            add(&out, "(intermediate value)", 20);
            if (text[at] != '[')
                add(&out, ".", 1);
            print(&s, at, end, &out);
        } else
            return false;
    } else
        print(&s, from, end, &out);
    *out.to = 0;
    return true;
}
