/* Content hashes. Stable across processes and machines: a resource's version is such a hash. */
#ifndef OSM_BASE_HASH_H
#define OSM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

uint64_t hash_bytes(const void *p, size_t len);
uint64_t hash_str(struct str s);
/* Mixes b into a; order matters. */
uint64_t hash_mix(uint64_t a, uint64_t b);
/* For tables whose keys a stranger chooses: a random seed for each process. */
uint64_t hash_seeded(const void *p, size_t len);

#endif
