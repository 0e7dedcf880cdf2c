/* What the tests of discovery streams share: random plans, and histories that can be run again.
 * A plan has clusters c0.., their endpoints c0.., routes r0.. that name one cluster each, and a
 * listener l0.. for each route. */
#ifndef TEST_PROP_STREAM_WORLD_H
#define TEST_PROP_STREAM_WORLD_H

#include "xds/resource.h"

#define CLUSTERS 8
#define STEPS 60

void roll_start(uint64_t seed);
/* Of 0 to n - 1. */
unsigned roll(unsigned n);

struct world {
    int cluster[CLUSTERS], endpoints[CLUSTERS], route[CLUSTERS]; /* generation; 0: absent */
    int target[CLUSTERS];                                        /* route -> cluster */
};

/* A reference; contents are texts: "r3 g17 c5" is generation 17 of route r3, which names c5. */
struct plan *plan_of(const struct world *w);
/* Changes something; routes only ever name clusters that exist, and no content comes twice (those
 * of listeners never change). */
void mutate(struct world *w);

/* Runs PROP_ROUNDS histories from seed PROP_SEED on. */
void histories(void (*run)(uint64_t seed, unsigned options), unsigned options);
/* A teardown: prints the seed that a failed assertion leaves. */
int say_seed(void **state);

#endif
