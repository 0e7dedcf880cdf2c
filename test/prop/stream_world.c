/* Random plans and histories for the tests of discovery streams. */
#include "stream_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_DEFAULT 400

static uint64_t rng;
static int generation; /* contents never repeat in a history */

void roll_start(uint64_t seed)
{
    generation = 0;
    rng = seed * 0x9e3779b97f4a7c15u + 1;
}

unsigned roll(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng % n);
}

static struct resource *make(const char *name, const char *content)
{
    return resource_new(str_of(name), blob_new(content, strlen(content)), 0);
}

static void add(resource_vec *v, char kind, int i, int version, int target)
{
    char name[16], content[32];
    snprintf(name, sizeof(name), "%c%d", kind, i);
    snprintf(content, sizeof(content), "%s g%d c%d", name, version, target);
    VEC_PUSH(*v, make(name, content));
}

struct plan *plan_of(const struct world *w)
{
    resource_vec v[XDS_TYPES] = {0};
    for (int i = 0; i < CLUSTERS; i++) {
        if (w->cluster[i]) {
            add(&v[XDS_CDS], 'c', i, w->cluster[i], i);
            add(&v[XDS_EDS], 'c', i, w->endpoints[i], i);
        }
        if (w->route[i]) {
            add(&v[XDS_RDS], 'r', i, w->route[i], w->target[i]);
            add(&v[XDS_LDS], 'l', i, 1, i);
        }
    }
    struct plan *p = NEW(struct plan);
    ref_init(&p->ref);
    for (int t = 0; t < XDS_TYPES; t++) {
        size_t half = roll(2) ? v[t].len / 2 : 0; /* sometimes some are in the shared base */
        p->views[t].base = resource_set_new(v[t].at, half);
        p->views[t].own = resource_set_new(v[t].at + half, v[t].len - half);
        resource_vec_done(&v[t]);
    }
    return p;
}

void mutate(struct world *w)
{
    int i = (int)roll(CLUSTERS);
    switch (roll(4)) {
    case 0:
        w->cluster[i] = ++generation;
        w->endpoints[i] = ++generation;
        break;
    case 1:
        w->endpoints[i] = w->cluster[i] ? ++generation : 0;
        break;
    case 2: {
        int c = (int)roll(CLUSTERS);
        if (w->cluster[c]) {
            w->route[i] = ++generation;
            w->target[i] = c;
        }
        break;
    }
    default:
        w->cluster[i] = w->endpoints[i] = 0;
        for (int r = 0; r < CLUSTERS; r++) {
            if (w->route[r] && w->target[r] == i) {
                w->route[r] = 0;
            }
        }
    }
}

static uint64_t current_seed;

int say_seed(void **state)
{
    print_message("last seed: PROP_SEED=%llu\n", (unsigned long long)current_seed);
    return 0;
}

void histories(void (*run)(uint64_t seed, unsigned options), unsigned options)
{
    const char *env = getenv("PROP_ROUNDS");
    unsigned rounds = env ? (unsigned)atoi(env) : ROUNDS_DEFAULT;
    const char *from = getenv("PROP_SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + rounds; seed++) {
        current_seed = seed;
        run(seed, options);
    }
}
