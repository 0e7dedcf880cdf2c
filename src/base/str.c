/* String views. */
#include "base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct str str_of(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_is(struct str a, const char *cstr)
{
    return str_eq(a, str_of(cstr));
}

bool str_is_nocase(struct str a, const char *cstr)
{
    return a.len == strlen(cstr) && strncasecmp(a.len ? a.ptr : "", cstr, a.len) == 0;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && (n == 0 || memcmp(s.ptr, prefix, n) == 0);
}

bool str_ends(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.len >= n && (n == 0 || memcmp(s.ptr + s.len - n, suffix, n) == 0);
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool str_cut(struct str s, char sep, struct str *head, struct str *tail)
{
    const char *at = s.len > 0 ? memchr(s.ptr, sep, s.len) : NULL;
    if (!at) {
        *head = s;
        *tail = (struct str){0};
        return false;
    }
    *head = (struct str){s.ptr, (size_t)(at - s.ptr)};
    *tail = (struct str){at + 1, s.len - head->len - 1};
    return true;
}

bool str_int(struct str s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i >= s.len) {
        return false;
    }
    int64_t n = 0;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
        int digit = s.ptr[i] - '0';
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, negative ? -digit : digit, &n)) {
            return false;
        }
    }
    if (n < min || n > max) {
        return false;
    }
    *ret = n;
    return true;
}
