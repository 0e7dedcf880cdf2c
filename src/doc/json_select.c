/* One pass over the bytes. */
#include "doc/json_select.h"

#include <string.h>

#include "base/limits.h"

struct scan {
    const char *at, *end;
    struct buf *out;
    int depth;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && is_space(*s->at)) {
        s->at++;
    }
}

/* To behind the closing quote; at stands behind the opening one. */
static void skip_string(struct scan *s)
{
    while (s->at < s->end) {
        const char *quote = memchr(s->at, '"', (size_t)(s->end - s->at));
        if (!quote) {
            s->at = s->end;
            return;
        }
        size_t slashes = 0;
        while (quote - slashes > s->at && quote[-1 - (ptrdiff_t)slashes] == '\\') {
            slashes++;
        }
        s->at = quote + 1;
        if (slashes % 2 == 0) {
            return;
        }
    }
}

/* What a value that isn't kept needs: no nesting on our stack. */
static void skip_value(struct scan *s)
{
    size_t depth = 0;
    while (s->at < s->end) {
        char c = *s->at;
        if (c == '"') {
            s->at++;
            skip_string(s);
            continue;
        }
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0) {
                return;
            }
            depth--;
        } else if (c == ',' && depth == 0) {
            return;
        }
        s->at++;
    }
}

static void copy_value(struct scan *s)
{
    const char *from = s->at;
    skip_value(s);
    buf_add(s->out, from, (size_t)(s->at - from));
}

static const struct json_keep *wanted(const struct json_keep *keep, struct str name)
{
    for (; keep->name; keep++) {
        if (str_is(name, keep->name)) {
            return keep;
        }
    }
    return NULL;
}

static void select_value(struct scan *s, const struct json_keep *keep);

/* One `"name": value`. Anything else is copied as it is, for the parser to refuse. */
static void select_member(struct scan *s, const struct json_keep *keep, bool *first)
{
    const char *from = s->at;
    const struct json_keep *found = NULL;
    if (*s->at == '"') {
        s->at++;
        skip_string(s);
        found = wanted(keep, (struct str){from + 1, (size_t)(s->at - from) - 1 -
                                                        (s->at[-1] == '"' && s->at - from > 1)});
        skip_space(s);
        if (!found && s->at < s->end && *s->at == ':') {
            skip_value(s);
            return;
        }
    }
    buf_addz(s->out, *first ? "" : ",");
    *first = false;
    if (!found || s->at == s->end || *s->at != ':') {
        s->at = from;
        copy_value(s);
        return;
    }
    s->at++;
    skip_space(s);
    buf_add(s->out, from, (size_t)(s->at - from));
    select_value(s, found->members);
}

/* at stands behind the opening bracket. */
static void select_inside(struct scan *s, const struct json_keep *keep, char close)
{
    bool first = true;
    for (;;) {
        skip_space(s);
        if (s->at == s->end || *s->at == close) {
            break;
        }
        if (close == '}') {
            select_member(s, keep, &first);
        } else {
            buf_addz(s->out, first ? "" : ",");
            first = false;
            select_value(s, keep);
        }
        skip_space(s);
        if (s->at == s->end || *s->at != ',') {
            break;
        }
        s->at++;
    }
}

static void select_value(struct scan *s, const struct json_keep *keep)
{
    char open = s->at < s->end ? *s->at : '\0';
    if (!keep || (open != '{' && open != '[') || s->depth >= LIMIT_DOC_DEPTH) {
        copy_value(s);
        return;
    }
    char close = open == '{' ? '}' : ']';
    s->depth++;
    s->at++;
    buf_addc(s->out, open);
    select_inside(s, keep, close);
    s->depth--;
    if (s->at < s->end && *s->at == close) {
        s->at++;
        buf_addc(s->out, close);
    } else {
        copy_value(s); /* something that the parser refuses */
    }
}

void json_select(struct str text, const struct json_keep *keep, struct buf *out)
{
    struct scan s = {.at = text.ptr, .end = text.ptr + text.len, .out = out};
    skip_space(&s);
    select_value(&s, keep);
    buf_add(out, s.at, (size_t)(s.end - s.at));
}
