/* Base64. */
#include "doc/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool base64_decode(struct arena *a, struct str s, struct str *ret)
{
    char *out = arena_alloc(a, s.len / 4 * 3 + 4);
    size_t len = 0, digits = 0, padding = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (is_space(c)) {
            continue;
        }
        int d = c == '=' ? 0 : digit(c);
        padding += c == '=';
        if (d < 0 || (c != '=' && padding > 0) || padding > 2) {
            return false;
        }
        group = group << 6 | (uint32_t)d;
        if (++digits % 4 == 0) {
            out[len++] = (char)(group >> 16);
            out[len++] = (char)(group >> 8);
            out[len++] = (char)group;
        }
    }
    if (digits % 4 != 0) {
        return false;
    }
    len -= padding;
    out[len] = 0;
    *ret = (struct str){out, len};
    return true;
}

struct str base64_encode(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, (s.len + 2) / 3 * 4 + 1), *p = out;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = s.len - i;
        const unsigned char *in = (const unsigned char *)s.ptr + i;
        uint32_t group =
            (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) | (n > 2 ? in[2] : 0);
        *p++ = alphabet[group >> 18];
        *p++ = alphabet[group >> 12 & 63];
        *p++ = n > 1 ? alphabet[group >> 6 & 63] : '=';
        *p++ = n > 2 ? alphabet[group & 63] : '=';
    }
    *p = 0;
    return (struct str){out, (size_t)(p - out)};
}
