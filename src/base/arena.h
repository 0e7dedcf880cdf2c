/* Memory that is freed all at once. An object, a snapshot part or a request owns one arena and
 * everything it points to lives there. Passed explicitly, first. Not thread safe. */
#ifndef OSM_BASE_ARENA_H
#define OSM_BASE_ARENA_H

#include <stddef.h>

#include "base/mem.h"
#include "base/str.h"

struct arena;

/* first_bytes: size of the first block; pick what the contents usually need. */
struct arena *arena_new(size_t first_bytes);
void arena_free(struct arena *a);
AUTO_DEFINE(struct arena, arena_free)
/* Zeroes everything first: for arenas that held private keys. */
void arena_free_secret(struct arena *a);

/* Zeroed, aligned for any type; lives as long as the arena. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t n, size_t size);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

/* NUL-terminated copies, packed without gaps. */
struct str arena_str(struct arena *a, struct str s);
struct str arena_strz(struct arena *a, const char *s);
struct str arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void *arena_memdup(struct arena *a, const void *p, size_t len); /* aligned; a NUL after it */

/* Bytes that the arena holds from the system. */
size_t arena_bytes(const struct arena *a);
/* Bytes that its contents take: an arena whose first block has so many holds the same contents in
 * that block. */
size_t arena_used(const struct arena *a);

#endif
