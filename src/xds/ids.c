/* Sorted arrays of ids. */
#include "xds/ids.h"

#include <string.h>

/* The first that isn't below id, of those between lo and hi, or hi. */
static size_t position_in(const struct ids *s, size_t lo, size_t hi, uint64_t id)
{
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->at[mid] < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static size_t position(const struct ids *s, uint64_t id)
{
    return position_in(s, 0, s->len, id);
}

bool ids_has_next(const struct ids *s, size_t *at, uint64_t id)
{
    size_t lo = *at, step = 1;
    while (lo < s->len && s->at[lo] < id) {
        *at = lo + 1;
        lo += step;
        step *= 2;
    }
    *at = position_in(s, *at, lo < s->len ? lo : s->len, id);
    return *at < s->len && s->at[*at] == id;
}

bool ids_has(const struct ids *s, uint64_t id)
{
    size_t i = position(s, id);
    return i < s->len && s->at[i] == id;
}

void ids_add(struct ids *s, uint64_t id)
{
    size_t i = position(s, id);
    if (i < s->len && s->at[i] == id) {
        return;
    }
    VEC_PUSH(*s, id);
    memmove(s->at + i + 1, s->at + i, (s->len - 1 - i) * sizeof(*s->at));
    s->at[i] = id;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void ids_seal(struct ids *s)
{
    size_t sorted = 1, n = 0;
    while (sorted < s->len && s->at[sorted - 1] < s->at[sorted]) {
        sorted++;
    }
    if (sorted >= s->len) {
        return;
    }
    qsort(s->at, s->len, sizeof(*s->at), compare);
    for (size_t i = 0; i < s->len; i++) {
        if (n == 0 || s->at[n - 1] != s->at[i]) {
            s->at[n++] = s->at[i];
        }
    }
    s->len = n;
}

/* Merges into an array that is as large as it has to be: it stays, for each of many proxies. */
void ids_add_all(struct ids *s, const struct ids *more)
{
    if (more->len == 0) {
        return;
    }
    struct ids out = {mem_array(NULL, s->len + more->len, sizeof(*out.at)), 0, 0};
    size_t i = 0, j = 0;
    while (i < s->len || j < more->len) {
        bool mine = j == more->len || (i < s->len && s->at[i] <= more->at[j]);
        uint64_t id = mine ? s->at[i] : more->at[j];
        j += j < more->len && more->at[j] == id;
        i += mine;
        out.at[out.len++] = id;
    }
    ids_done(s);
    out.cap = out.len;
    out.at = mem_array(out.at, out.cap, sizeof(*out.at));
    *s = out;
}

void ids_remove_all(struct ids *s, const struct ids *gone)
{
    size_t n = 0;
    for (size_t i = 0, j = 0; i < s->len; i++) {
        while (j < gone->len && gone->at[j] < s->at[i]) {
            j++;
        }
        if (j == gone->len || gone->at[j] != s->at[i]) {
            s->at[n++] = s->at[i];
        }
    }
    s->len = n;
}

void ids_done(struct ids *s)
{
    VEC_DONE(*s);
}
