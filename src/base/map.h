/* A map from byte strings to pointers, with a seeded hash; iterates in insertion order. Keys are
 * copied, values belong to the caller. Zero-initialised is empty. Not thread safe. */
#ifndef OSM_BASE_MAP_H
#define OSM_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct map_entry;

struct map {
    struct map_entry *head;
};

/* The value, or NULL. */
void *map_find(const struct map *m, struct str key);
bool map_has(const struct map *m, struct str key);
/* Sets and returns the value that was there, or NULL. */
void *map_put(struct map *m, struct str key, void *value);
/* Removes and returns the value, or NULL. */
void *map_remove(struct map *m, struct str key);
size_t map_len(const struct map *m);
/* Frees all entries, and each value with free_value when that isn't NULL. */
void map_done(struct map *m, void (*free_value)(void *));

/* Iteration: for (struct map_iter it = map_first(m); it.entry; map_next(&it)); removing the current
 * entry while iterating is allowed, other changes aren't. */
struct map_iter {
    struct map_entry *entry, *following;
    struct str key;
    void *value;
};
struct map_iter map_first(const struct map *m);
void map_next(struct map_iter *it);

#define MAP_EACH(m, it) for (struct map_iter it = map_first(m); it.entry; map_next(&it))

/* A map iterated in byte order of its keys: *ret is an array of map_len() keys, free() it. */
struct str *map_sorted_keys(const struct map *m);

#endif
