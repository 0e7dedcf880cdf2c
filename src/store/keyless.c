/* Open addressing with linear probing; at most 3/4 full. */
#include "store/keyless.h"

#include <string.h>

#include "base/mem.h"

void keyless_done(struct keyless *t)
{
    free(t->values);
    free(t->hashes);
    *t = (struct keyless){0};
}

void **keyless_find(const struct keyless *t, uint32_t hash, bool (*is)(void *arg, void *value),
                    void *arg)
{
    for (size_t i = hash; t->cap > 0; i++) {
        size_t at = i & (t->cap - 1);
        if (!t->values[at]) {
            return NULL;
        }
        if (t->hashes[at] == hash && is(arg, t->values[at])) {
            return &t->values[at];
        }
    }
    return NULL;
}

static void place(struct keyless *t, uint32_t hash, void *value)
{
    size_t at = hash & (t->cap - 1);
    while (t->values[at]) {
        at = (at + 1) & (t->cap - 1);
    }
    t->values[at] = value;
    t->hashes[at] = hash;
}

static void resize(struct keyless *t, size_t cap)
{
    struct keyless old = *t;
    t->cap = cap;
    t->values = mem_array(NULL, cap, sizeof(*t->values));
    t->hashes = mem_array(NULL, cap, sizeof(*t->hashes));
    memset(t->values, 0, cap * sizeof(*t->values));
    for (size_t i = 0; i < old.cap; i++) {
        if (old.values[i]) {
            place(t, old.hashes[i], old.values[i]);
        }
    }
    free(old.values);
    free(old.hashes);
}

void keyless_add(struct keyless *t, uint32_t hash, void *value)
{
    if ((t->len + 1) * 4 > t->cap * 3) {
        resize(t, t->cap ? t->cap * 2 : 8);
    }
    place(t, hash, value);
    t->len++;
}

/* What follows without a gap moves up, so that nothing marks what was removed. */
void keyless_remove(struct keyless *t, void **slot)
{
    size_t hole = (size_t)(slot - t->values), mask = t->cap - 1;
    for (size_t i = (hole + 1) & mask; t->values[i]; i = (i + 1) & mask) {
        size_t home = t->hashes[i] & mask;
        /* Only what may not stay behind the hole: its home isn't between the hole and itself. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->values[hole] = t->values[i];
            t->hashes[hole] = t->hashes[i];
            hole = i;
        }
    }
    t->values[hole] = NULL;
    t->len--;
    if (t->cap > 8 && t->len * 8 < t->cap) {
        resize(t, t->cap / 2);
    }
}
