/* What one simulated Envoy holds and asks for: arrays sorted by the id of a resource's name, as
 * large as they must be, since there are five of each for every proxy. */
#ifndef BENCH_SWARM_HELD_H
#define BENCH_SWARM_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct held {
    uint64_t id, hash; /* of the name, of the content */
};
typedef VEC(struct held) held_vec;
typedef VEC(uint64_t) id_vec;

struct held *held_find(const held_vec *v, uint64_t id);
void held_sort(held_vec *v);
/* In place of what v has. */
void held_replace(held_vec *v, const held_vec *by);

bool ids_have(const id_vec *v, uint64_t id);
void ids_sort(id_vec *v); /* each stays once */
void ids_replace(id_vec *v, const id_vec *by);
/* Without those that are among the others. */
void ids_remove(id_vec *v, const held_vec *others);

#endif
