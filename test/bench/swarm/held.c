/* Sorted arrays of ids. */
#include "held.h"

#include <stdlib.h>
#include <string.h>

/* Of ids, and of what begins with one. */
static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct held *held_find(const held_vec *v, uint64_t id)
{
    return v->len > 0 ? bsearch(&id, v->at, v->len, sizeof(*v->at), compare) : NULL;
}

void held_sort(held_vec *v)
{
    if (v->len > 0) {
        qsort(v->at, v->len, sizeof(*v->at), compare);
    }
}

void held_replace(held_vec *v, const held_vec *by)
{
    VEC_DONE(*v);
    if (by->len > 0) {
        v->at = mem_array(NULL, by->len, sizeof(*v->at));
        memcpy(v->at, by->at, by->len * sizeof(*v->at));
        v->len = v->cap = by->len;
    }
}

bool ids_have(const id_vec *v, uint64_t id)
{
    return v->len > 0 && bsearch(&id, v->at, v->len, sizeof(*v->at), compare) != NULL;
}

void ids_sort(id_vec *v)
{
    size_t n = 0;
    if (v->len > 0) {
        qsort(v->at, v->len, sizeof(*v->at), compare);
    }
    for (size_t i = 0; i < v->len; i++) {
        if (n == 0 || v->at[n - 1] != v->at[i]) {
            v->at[n++] = v->at[i];
        }
    }
    v->len = n;
}

void ids_replace(id_vec *v, const id_vec *by)
{
    VEC_DONE(*v);
    if (by->len > 0) {
        v->at = mem_array(NULL, by->len, sizeof(*v->at));
        memcpy(v->at, by->at, by->len * sizeof(*v->at));
        v->len = v->cap = by->len;
    }
}

void ids_remove(id_vec *v, const held_vec *others)
{
    size_t n = 0;
    for (size_t i = 0; i < v->len; i++) {
        if (!held_find(others, v->at[i])) {
            v->at[n++] = v->at[i];
        }
    }
    v->len = n;
    if (n == 0) {
        VEC_DONE(*v);
    }
}
