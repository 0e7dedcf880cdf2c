/* Sets of strings, relations between strings, sorted string lists. */
#include "mesh/internal.h"

#include <string.h>

void set_add(struct set *s, struct str key)
{
    map_put(&s->map, key, s);
}

void set_done(struct set *s)
{
    map_done(&s->map, NULL);
}

static void set_free(void *value)
{
    struct set *s = value;
    if (s) {
        set_done(s);
        free(s);
    }
}

void relation_add(struct relation *r, struct str key, struct str member)
{
    struct set *s = map_find(&r->sets, key);
    if (!s) {
        s = NEW(struct set);
        map_put(&r->sets, key, s);
    }
    set_add(s, member);
}

void relation_remove(struct relation *r, struct str key, struct str member)
{
    struct set *s = map_find(&r->sets, key);
    if (!s) {
        return;
    }
    map_remove(&s->map, member);
    if (map_len(&s->map) == 0) {
        set_free(map_remove(&r->sets, key));
    }
}

const struct set *relation_find(const struct relation *r, struct str key)
{
    static const struct set none;
    const struct set *s = map_find(&r->sets, key);
    return s ? s : &none;
}

void relation_done(struct relation *r)
{
    map_done(&r->sets, set_free);
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void strs_sort_unique(struct strs *s)
{
    if (s->len == 0) {
        return;
    }
    qsort(s->at, s->len, sizeof(*s->at), by_bytes);
    size_t n = 1;
    for (size_t i = 1; i < s->len; i++) {
        if (!str_eq(s->at[i], s->at[n - 1])) {
            s->at[n++] = s->at[i];
        }
    }
    s->len = n;
}

bool strs_has(const struct strs *s, struct str wanted)
{
    return s->len > 0 && bsearch(&wanted, s->at, s->len, sizeof(*s->at), by_bytes);
}

bool strs_equal(const struct strs *a, const struct strs *b)
{
    if (a->len != b->len) {
        return false;
    }
    for (size_t i = 0; i < a->len; i++) {
        if (!str_eq(a->at[i], b->at[i])) {
            return false;
        }
    }
    return true;
}

struct strs set_sorted(struct arena *a, const struct set *s)
{
    struct strs list = {.at = arena_array(a, map_len(&s->map), sizeof(struct str))};
    SET_EACH(s, it)
    {
        list.at[list.len++] = arena_str(a, it.key);
    }
    strs_sort_unique(&list);
    return list;
}
