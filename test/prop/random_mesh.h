/* Random objects out of a small world, so that they refer to each other often: two namespaces, a
 * few names of each kind. As manifests, so that they come the way real ones come. */
#ifndef TEST_PROP_RANDOM_MESH_H
#define TEST_PROP_RANDOM_MESH_H

#include <stdint.h>

#include "base/buf.h"
#include "kinds/object.h"

struct rng {
    uint64_t state;
};
uint32_t rng_below(struct rng *r, uint32_t n);
/* PROP_SEED; without it always the same, so that what fails is what was changed. Printed. */
uint64_t rng_seed(const char *test);
/* From PROP_ROUNDS, or the default. */
unsigned rng_rounds(unsigned by_default);

struct random_name {
    enum kind kind;
    const char *namespace; /* "" for cluster-scoped kinds */
    char name[16];
};
/* One of the world's objects. */
struct random_name random_pick(struct rng *r);
/* A manifest of that name with random content. */
void random_write(struct rng *r, const struct random_name *n, struct buf *out);

#define RANDOM_NAMESPACES 2
#define RANDOM_ACCOUNTS 3
extern const char *const random_namespaces[RANDOM_NAMESPACES];
/* Of methods, paths and header values that the world's rules speak of, and others. */
const char *random_method(struct rng *r);
const char *random_path(struct rng *r);
const char *random_header_value(struct rng *r);

#endif
