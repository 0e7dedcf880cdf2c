/* A view of bytes: pointer and length, passed by value, owns nothing, not always NUL-terminated.
 * Views made by an arena are NUL-terminated, so that .ptr can go to libc. */
#ifndef OSM_BASE_STR_H
#define OSM_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){literal, sizeof(literal) - 1})
/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).len, ((s).ptr ? (s).ptr : "")

struct str str_of(const char *cstr); /* NULL gives the empty view */
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *cstr);
bool str_is_nocase(struct str a, const char *cstr);
int str_cmp(struct str a, struct str b); /* byte order, shorter first */
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
struct str str_trim(struct str s); /* without white space at both ends */
/* Splits at the first sep: true and both halves, or false and *head = s. */
bool str_cut(struct str s, char sep, struct str *head, struct str *tail);
/* Whole decimal number, all of s; false when it is none or out of [min, max]. */
bool str_int(struct str s, int64_t min, int64_t max, int64_t *ret);

#endif
