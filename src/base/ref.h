/* An atomic reference count: 1 at birth. */
#ifndef OSM_BASE_REF_H
#define OSM_BASE_REF_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"

struct ref {
    atomic_uint n;
};

static inline void ref_init(struct ref *r)
{
    atomic_init(&r->n, 1);
}

static inline void ref_get(struct ref *r)
{
    unsigned before = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
    ASSERT(before > 0);
}

/* True when that was the last one: the caller frees the object. */
static inline bool ref_put(struct ref *r)
{
    unsigned before = atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    return before == 1;
}

#endif
