/* Block-style YAML. Text is quoted whenever some reader might take it for anything else, by YAML
 * 1.1 or 1.2: a number in base 60, a date, `yes`. */
#include "doc/value.h"

#include <string.h>

#include "doc/value_scalar.h"

/* A key on one line may have 1,024 characters; each byte may take 4 when it is quoted. */
#define PLAIN_KEY_MAX_BYTES 1000
#define QUOTED_KEY_MAX_BYTES 250

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_plain_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || (c && strchr("_-./:@=+,()$%*;<>?!^~ ", c));
}

/* Text that reads as itself without quotes, in a block. */
static bool is_plain(struct str s)
{
    if (s.len == 0 || s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == ':' ||
        !(is_letter(s.ptr[0]) || s.ptr[0] == '/' || s.ptr[0] == '_')) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!is_plain_char(s.ptr[i]) || (s.ptr[i] == ':' && s.ptr[i + 1] == ' ')) {
            return false;
        }
    }
    struct value v = {0};
    value_resolve_plain(s, &v);
    return v.type == VALUE_STRING;
}

/* Bytes of a character at s that YAML doesn't take as it is, 0 when it does: controls, and in
 * UTF-8 U+0080 to U+009F, U+2028, U+2029, U+FEFF, U+FFFE and U+FFFF. */
static size_t special_len(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x20 || p[0] == 0x7f) {
        return 1;
    }
    if (p[0] == 0xc2 && s.len > 1 && p[1] < 0xa0) {
        return 2;
    }
    bool special = s.len > 2 && ((p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) ||
                                 (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf) ||
                                 (p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe));
    return special ? 3 : 0;
}

/* Lines that can stand as they are after "|": the first shows the indentation, so it may not begin
 * with white space; one line end at most comes last. */
static bool is_block(struct str s)
{
    if (s.len < 2 || !memchr(s.ptr, '\n', s.len) || s.ptr[0] == ' ' || s.ptr[0] == '\n' ||
        str_ends(s, "\n\n")) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        struct str rest = {s.ptr + i, s.len - i};
        if (s.ptr[i] != '\n' && special_len(rest) > 0) {
            return false;
        }
    }
    return true;
}

static void indent(struct buf *out, int spaces)
{
    buf_printf(out, "%*s", spaces, "");
}

static void write_special(const unsigned char *p, size_t len, struct buf *out)
{
    if (len == 1) {
        const char *at = p[0] ? strchr("\nn\tt\rr", p[0]) : NULL;
        if (at) {
            buf_printf(out, "\\%c", at[1]);
        } else {
            buf_printf(out, "\\x%02x", p[0]);
        }
    } else if (len == 2) {
        buf_printf(out, "\\x%02x", p[1]);
    } else {
        buf_printf(out, "\\u%04x", (p[0] & 15) << 12 | (p[1] & 63) << 6 | (p[2] & 63));
    }
}

static void write_quoted(struct str s, struct buf *out)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        struct str rest = {s.ptr + i, s.len - i};
        size_t len = special_len(rest);
        if (len > 0) {
            write_special((const unsigned char *)s.ptr + i, len, out);
            i += len - 1;
            continue;
        }
        if (s.ptr[i] == '"' || s.ptr[i] == '\\') {
            buf_addc(out, '\\');
        }
        buf_addc(out, s.ptr[i]);
    }
    buf_addc(out, '"');
}

static void write_block(struct str s, int spaces, struct buf *out)
{
    bool ended = str_ends(s, "\n");
    buf_addz(out, ended ? "|" : "|-");
    if (ended) {
        s.len--;
    }
    bool more = true;
    while (more) {
        struct str line;
        more = str_cut(s, '\n', &line, &s);
        buf_addc(out, '\n');
        if (line.len > 0) {
            indent(out, spaces);
            buf_adds(out, line);
        }
    }
}

static void write_key(struct str key, struct buf *out)
{
    bool plain = is_plain(key);
    bool simple = key.len <= (plain ? PLAIN_KEY_MAX_BYTES : QUOTED_KEY_MAX_BYTES);
    const char *before = simple ? "" : "? ";
    buf_addz(out, before);
    if (plain) {
        buf_adds(out, key);
    } else {
        write_quoted(key, out);
    }
}

static bool is_collection(const struct value *v)
{
    return (v->type == VALUE_ARRAY && v->array.len > 0) ||
           (v->type == VALUE_OBJECT && v->object.len > 0);
}

/* Everything that begins on the line at hand; spaces: of the lines that follow. What is no text is
 * written as in JSON. */
static void write_scalar(const struct value *v, int spaces, struct buf *out)
{
    if (v->type != VALUE_STRING) {
        value_write_json(v, out);
    } else if (is_plain(v->string)) {
        buf_adds(out, v->string);
    } else if (is_block(v->string)) {
        write_block(v->string, spaces, out);
    } else {
        write_quoted(v->string, out);
    }
    buf_addc(out, '\n');
}

/* Writes v at the place of the cursor, its first line being indented already. */
static void write_node(const struct value *v, int spaces, struct buf *out);

static void write_member(const struct member *m, int spaces, struct buf *out)
{
    size_t start = out->len;
    write_key(m->key, out);
    if (out->data && out->len > start && out->data[start] == '?') {
        buf_addc(out, '\n');
        indent(out, spaces);
    }
    buf_addc(out, ':');
    if (!is_collection(&m->value)) {
        buf_addc(out, ' ');
        write_scalar(&m->value, spaces + 2, out);
        return;
    }
    /* Lists stand under their key without more indentation, as kubectl writes them. */
    int below = m->value.type == VALUE_ARRAY ? spaces : spaces + 2;
    buf_addc(out, '\n');
    indent(out, below);
    write_node(&m->value, below, out);
}

static void write_node(const struct value *v, int spaces, struct buf *out)
{
    if (!is_collection(v)) {
        write_scalar(v, spaces + 2, out);
        return;
    }
    if (v->type == VALUE_ARRAY) {
        for (size_t i = 0; i < v->array.len; i++) {
            indent(out, i > 0 ? spaces : 0);
            buf_addz(out, "- ");
            write_node(&v->array.at[i], spaces + 2, out);
        }
        return;
    }
    for (size_t i = 0; i < v->object.len; i++) {
        indent(out, i > 0 ? spaces : 0);
        write_member(&v->object.at[i], spaces, out);
    }
}

void value_write_yaml(const struct value *v, struct buf *out)
{
    write_node(v, 0, out);
}
