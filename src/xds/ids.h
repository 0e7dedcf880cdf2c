/* Sets of resource ids, as sorted arrays: a proxy may subscribe to thousands of names at once, so
 * many are added in one go. Zero-initialised is empty. */
#ifndef OSM_XDS_IDS_H
#define OSM_XDS_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct ids {
    uint64_t *at;
    size_t len, cap;
};

bool ids_has(const struct ids *s, uint64_t id);
/* The same for ids in ascending order: *at, from 0, is how far the set was looked through. Near
 * each other they cost a step, far from each other what ids_has costs. */
bool ids_has_next(const struct ids *s, size_t *at, uint64_t id);
void ids_add(struct ids *s, uint64_t id);
/* Makes a set of what was pushed (VEC_PUSH) in any order. */
void ids_seal(struct ids *s);
/* Both sealed. */
void ids_add_all(struct ids *s, const struct ids *more);
void ids_remove_all(struct ids *s, const struct ids *gone);
void ids_done(struct ids *s); /* empty again, without memory */

#endif
