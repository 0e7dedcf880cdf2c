/* Character classes and escapes. */
#include "kinds/regex_class.h"

#include <string.h>

static char peek(struct str s, size_t at)
{
    return at < s.len ? s.ptr[at] : 0;
}

bool regex_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int bad(struct err *e, size_t at, const char *what)
{
    return err_set(e, "%s, at character %zu", what, at + 1);
}

/* After "\x": two digits, or any number of them in braces. */
static int hex_escape(struct str s, size_t *at, unsigned char *ret, struct err *e)
{
    size_t from = *at - 2;
    bool braces = peek(s, *at) == '{';
    unsigned n = 0, digits = 0;
    *at += braces;
    for (; hex_digit(peek(s, *at)) >= 0 && (braces || digits < 2) && n <= 0xff; (*at)++) {
        n = n * 16 + (unsigned)hex_digit(peek(s, *at));
        digits++;
    }
    if (n > 0xff) {
        return bad(e, from, "Envoy matches bytes, so at most \\x{ff} is possible");
    }
    if (digits == 0 || (!braces && digits != 2) || (braces && peek(s, *at) != '}')) {
        return bad(e, from, "expected \\x41 or \\x{41}");
    }
    *at += braces;
    *ret = (unsigned char)n;
    return 0;
}

/* After "\" and an octal digit. One digit other than 0 would refer to a group. */
static int octal_escape(struct str s, size_t *at, unsigned char *ret, struct err *e)
{
    size_t from = *at - 2;
    unsigned n = (unsigned)(peek(s, *at - 1) - '0');
    bool more = peek(s, *at) >= '0' && peek(s, *at) <= '7';
    if (n != 0 && !more) {
        return bad(e, from, "RE2 has no references to groups such as \\1");
    }
    for (int i = 0; i < 2 && peek(s, *at) >= '0' && peek(s, *at) <= '7'; i++, (*at)++) {
        n = n * 8 + (unsigned)(peek(s, *at) - '0');
    }
    if (n > 0xff) {
        return bad(e, from, "Envoy matches bytes, so at most \\377 is possible");
    }
    *ret = (unsigned char)n;
    return 0;
}

int regex_char_escape(struct str s, size_t *at, unsigned char *ret, struct err *e)
{
    static const char names[] = "afnrtv", values[] = "\a\f\n\r\t\v";
    size_t from = *at;
    if (from + 1 >= s.len) {
        return bad(e, from, "nothing follows the \\; write \\\\ for the character itself");
    }
    char c = s.ptr[from + 1];
    *at += 2;
    if (c == 'x') {
        return hex_escape(s, at, ret, e);
    }
    if (c >= '0' && c <= '7') {
        return octal_escape(s, at, ret, e);
    }
    if (c == '8' || c == '9' || c == 'k' || c == 'g') {
        return bad(e, from, "RE2 has no references to groups");
    }
    const char *name = c ? strchr(names, c) : NULL;
    if (!name && ((regex_is_word(c) && c != '_') || (unsigned char)c >= 0x80)) {
        return err_set(e, "RE2 doesn't know \\%.*s, at character %zu", (unsigned char)c < 0x80, &c,
                       from + 1);
    }
    *ret = name ? (unsigned char)values[name - names] : (unsigned char)c;
    return 0;
}

/* Unicode's general categories and the scripts that RE2 knows. */
static const char *const unicode_groups[] = {
    "Any",      "C",          "Cc",       "Cf",        "Co",        "Cs",       "L",
    "Ll",       "Lm",         "Lo",       "Lt",        "Lu",        "M",        "Mc",
    "Me",       "Mn",         "N",        "Nd",        "Nl",        "No",       "P",
    "Pc",       "Pd",         "Pe",       "Pf",        "Pi",        "Po",       "Ps",
    "S",        "Sc",         "Sk",       "Sm",        "So",        "Z",        "Zl",
    "Zp",       "Zs",         "Arabic",   "Armenian",  "Bengali",   "Braille",  "Common",
    "Cyrillic", "Devanagari", "Ethiopic", "Georgian",  "Greek",     "Gujarati", "Gurmukhi",
    "Han",      "Hangul",     "Hebrew",   "Hiragana",  "Inherited", "Kannada",  "Katakana",
    "Khmer",    "Lao",        "Latin",    "Malayalam", "Mongolian", "Myanmar",  "Oriya",
    "Sinhala",  "Tamil",      "Telugu",   "Thai",      "Tibetan",
};

/* In Latin-1, and negated, no group has more. */
#define UNICODE_RANGES 24

static int unicode_escape(struct str s, size_t *at, struct regex_class *c, struct err *e)
{
    size_t from = *at;
    struct str name = {s.ptr + from + 2, from + 2 < s.len};
    size_t end = from + 3;
    if (peek(s, from + 2) == '{') {
        const char *close = memchr(name.ptr, '}', s.len - from - 2);
        if (!close) {
            return bad(e, from, "the } of \\p{...} is missing");
        }
        end = (size_t)(close - s.ptr) + 1;
        name = (struct str){s.ptr + from + 3, (size_t)(close - s.ptr) - from - 3};
        if (peek(name, 0) == '^') {
            name = (struct str){name.ptr + 1, name.len - 1};
        }
    }
    for (size_t i = 0; i < sizeof(unicode_groups) / sizeof(unicode_groups[0]); i++) {
        if (str_is(name, unicode_groups[i])) {
            c->ranges += UNICODE_RANGES;
            *at = end;
            return 1;
        }
    }
    return bad(e, from, "expected a Unicode category or script such as \\pL or \\p{Greek}");
}

int regex_class_escape(struct str s, size_t *at, struct regex_class *c, struct err *e)
{
    switch (peek(s, *at + 1)) {
    case 'p':
    case 'P':
        return unicode_escape(s, at, c, e);
    case 'd':
    case 'D':
    case 's':
    case 'S':
    case 'w':
    case 'W':
        c->ranges += 6;
        *at += 2;
        return 1;
    default:
        return 0;
    }
}

static const char *const posix_names[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                          "digit", "graph", "lower", "print", "punct",
                                          "space", "upper", "word",  "xdigit"};

/* "[:alpha:]" inside a class: 1, 0 when there is no ":]" at all, -1 for an unknown name. */
static int posix_class(struct str s, size_t *at, struct regex_class *c, struct err *e)
{
    struct str rest = {s.ptr + *at + 2, s.len - *at - 2};
    const char *end = memmem(rest.ptr, rest.len, ":]", 2);
    if (!end) {
        return 0;
    }
    struct str name = {rest.ptr, (size_t)(end - rest.ptr)};
    if (peek(name, 0) == '^') {
        name = (struct str){name.ptr + 1, name.len - 1};
    }
    for (size_t i = 0; i < sizeof(posix_names) / sizeof(posix_names[0]); i++) {
        if (str_is(name, posix_names[i])) {
            c->ranges += 6;
            *at = (size_t)(end - s.ptr) + 2;
            return 1;
        }
    }
    return bad(e, *at, "there is no such class; an example is [:alpha:]");
}

static int class_char(struct str s, size_t *at, unsigned char *ret, struct err *e)
{
    if (peek(s, *at) == '\\') {
        return regex_char_escape(s, at, ret, e);
    }
    *ret = (unsigned char)peek(s, *at);
    if (*ret >= 0x80) {
        return bad(e, *at, "Envoy matches bytes, so a class can't hold characters outside ASCII");
    }
    (*at)++;
    return 0;
}

/* One character or "a-z". */
static int class_range(struct str s, size_t *at, struct regex_class *c, struct err *e)
{
    size_t from = *at;
    unsigned char low, high;
    if (class_char(s, at, &low, e) < 0) {
        return -1;
    }
    if (peek(s, *at) == '-' && *at + 1 < s.len && s.ptr[*at + 1] != ']') {
        (*at)++;
        if (class_char(s, at, &high, e) < 0) {
            return -1;
        }
        if (high < low) {
            return bad(e, from, "the range goes backwards");
        }
    }
    c->ranges++;
    return 0;
}

int regex_class_parse(struct str s, size_t *at, struct regex_class *c, struct err *e)
{
    size_t from = (*at)++;
    if (peek(s, *at) == '^') {
        (*at)++;
        c->ranges++;
    }
    for (bool first = true; *at < s.len && (s.ptr[*at] != ']' || first); first = false) {
        int n = 0;
        if (s.len - *at > 2 && peek(s, *at) == '[' && peek(s, *at + 1) == ':') {
            n = posix_class(s, at, c, e);
        } else if (peek(s, *at) == '\\') {
            n = regex_class_escape(s, at, c, e);
        }
        if (n < 0 || (n == 0 && class_range(s, at, c, e) < 0)) {
            return -1;
        }
    }
    if (*at >= s.len) {
        return bad(e, from, "the [ is never closed");
    }
    (*at)++;
    return 0;
}

uint32_t regex_class_cost(const struct regex_class *c, bool fold)
{
    uint32_t ranges = c->ranges * (fold ? 3 : 1);
    return ranges < 1 ? 1 : ranges > 128 ? 128 : ranges;
}
