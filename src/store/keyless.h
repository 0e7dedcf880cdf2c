/* A hash table whose values know their own keys: it holds pointers and their hashes, 12 bytes a
 * slot, and asks its user whether a value is the one that is meant. */
#ifndef OSM_STORE_KEYLESS_H
#define OSM_STORE_KEYLESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyless {
    void **values; /* NULL: a free slot */
    uint32_t *hashes;
    size_t len, cap;
};

void keyless_done(struct keyless *t); /* the values are the user's */

/* Where the value is for which is(arg, value) holds, or NULL. Valid until the next change. */
void **keyless_find(const struct keyless *t, uint32_t hash, bool (*is)(void *arg, void *value),
                    void *arg);
/* Adds what isn't there. */
void keyless_add(struct keyless *t, uint32_t hash, void *value);
void keyless_remove(struct keyless *t, void **slot);

#endif
