/* Plain scalars follow YAML 1.1 as kubectl's reader does, not its specification to the letter: no
 * base 60, no underscores in numbers, dates are strings. */
#include "doc/value_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Up to here every whole number has its own double. */
#define EXACT_MAX 9007199254740992.0
/* Longer text is no number that anyone means. */
#define NUMBER_MAX_BYTES 400

struct word {
    const char *text;
    struct value value;
};

#define NOTHING {.type = VALUE_NULL}
#define YES {.type = VALUE_BOOL, .boolean = true}
#define NO {.type = VALUE_BOOL, .boolean = false}
#define FLOAT(n) {.type = VALUE_FLOAT, .number = (n)}

static const struct word words[] = {
    {"", NOTHING},
    {"~", NOTHING},
    {"null", NOTHING},
    {"Null", NOTHING},
    {"NULL", NOTHING},
    {"true", YES},
    {"True", YES},
    {"TRUE", YES},
    {"yes", YES},
    {"Yes", YES},
    {"YES", YES},
    {"y", YES},
    {"Y", YES},
    {"on", YES},
    {"On", YES},
    {"ON", YES},
    {"false", NO},
    {"False", NO},
    {"FALSE", NO},
    {"no", NO},
    {"No", NO},
    {"NO", NO},
    {"n", NO},
    {"N", NO},
    {"off", NO},
    {"Off", NO},
    {"OFF", NO},
    {".nan", FLOAT(NAN)},
    {".NaN", FLOAT(NAN)},
    {".NAN", FLOAT(NAN)},
    {".inf", FLOAT(INFINITY)},
    {".Inf", FLOAT(INFINITY)},
    {".INF", FLOAT(INFINITY)},
    {"+.inf", FLOAT(INFINITY)},
    {"+.Inf", FLOAT(INFINITY)},
    {"+.INF", FLOAT(INFINITY)},
    {"-.inf", FLOAT(-INFINITY)},
    {"-.Inf", FLOAT(-INFINITY)},
    {"-.INF", FLOAT(-INFINITY)},
};

static bool resolve_word(struct str text, struct value *out)
{
    if (text.len > 5) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_is(text, words[i].text)) {
            int line = out->line;
            *out = words[i].value;
            out->line = line;
            return true;
        }
    }
    return false;
}

/* 0x, 0o and 0b, and a bare 0 before more digits for octal. Moves past the prefix. */
static int take_base(struct str *s)
{
    int base = 10;
    size_t skip = 0;
    if (s->len > 1 && s->ptr[0] == '0') {
        char c = (char)(s->ptr[1] | 0x20);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        skip = c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    *s = (struct str){s->ptr + skip, s->len - skip};
    return base;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static bool resolve_int(struct str text, int64_t *ret)
{
    bool negative = text.ptr[0] == '-';
    if (negative || text.ptr[0] == '+') {
        text = (struct str){text.ptr + 1, text.len - 1};
    }
    int base = take_base(&text);
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit >= base || __builtin_mul_overflow(n, base, &n) ||
            __builtin_add_overflow(n, negative ? -digit : digit, &n)) {
            return false;
        }
    }
    *ret = n;
    return text.len > 0;
}

static size_t count_digits(struct str s, size_t from)
{
    size_t n = 0;
    while (from + n < s.len && s.ptr[from + n] >= '0' && s.ptr[from + n] <= '9') {
        n++;
    }
    return n;
}

static bool is_sign(struct str s, size_t at)
{
    return at < s.len && (s.ptr[at] == '+' || s.ptr[at] == '-');
}

/* A sign, digits, a fraction, an exponent; digits on one side of the point at least. */
static bool looks_like_float(struct str s)
{
    size_t i = is_sign(s, 0) ? 1 : 0;
    size_t whole = count_digits(s, i), fraction = 0;
    i += whole;
    if (i < s.len && s.ptr[i] == '.') {
        fraction = count_digits(s, i + 1);
        i += 1 + fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (i < s.len && (s.ptr[i] | 0x20) == 'e') {
        i += is_sign(s, i + 1) ? 2 : 1;
        size_t exponent = count_digits(s, i);
        i += exponent;
        if (exponent == 0) {
            return false;
        }
    }
    return i == s.len;
}

/* What no double can hold stays text. */
static bool resolve_float(struct str text, double *ret)
{
    char copy[NUMBER_MAX_BYTES + 1];
    if (!looks_like_float(text)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret = strtod(copy, NULL);
    return isfinite(*ret);
}

void value_set_number(struct value *out, double number)
{
    if (number == trunc(number) && fabs(number) <= EXACT_MAX) {
        out->type = VALUE_INT;
        out->integer = (int64_t)number;
    } else {
        out->type = VALUE_FLOAT;
        out->number = number;
    }
}

void value_resolve_plain(struct str text, struct value *out)
{
    int64_t integer;
    double number;
    if (resolve_word(text, out)) {
        return;
    }
    bool digits = text.ptr[0] == '.' || is_sign(text, 0) || count_digits(text, 0) > 0;
    if (digits && text.len <= NUMBER_MAX_BYTES) {
        if (resolve_int(text, &integer)) {
            out->type = VALUE_INT;
            out->integer = integer;
            return;
        }
        if (resolve_float(text, &number)) {
            value_set_number(out, number);
            return;
        }
    }
    out->type = VALUE_STRING;
    out->string = text;
}

void value_write_number(const struct value *v, struct buf *out)
{
    if (v->type == VALUE_INT) {
        buf_printf(out, "%lld", (long long)v->integer);
        return;
    }
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, v->number);
        if (strtod(text, NULL) == v->number) {
            break;
        }
    }
    buf_addz(out, text);
}

/* Length of the character at the start of s, 0 when it is none (RFC 3629). */
static size_t utf8_len(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x80) {
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || beyond ? 0 : len;
}

bool value_is_utf8(struct str s)
{
    while (s.len > 0) {
        size_t n = utf8_len(s);
        if (n == 0) {
            return false;
        }
        s = (struct str){s.ptr + n, s.len - n};
    }
    return true;
}
