/* Random histories: the mesh brought up to date step by step equals one made from scratch, parts
 * whose content stayed keep their pointers, and the delta names exactly those that didn't. */
#include <stdio.h>
#include <string.h>

#include "../unit/mesh_fixture.h"
#include "random_mesh.h"

#define STEPS 60
#define MAPS (MESH_PROXIES + 1)

/* References to all parts of a mesh as it was. */
struct memory {
    struct map parts[MAPS];
};

static void remember(struct memory *mem, const struct mesh *m)
{
    for (int i = 0; i < MAPS; i++) {
        MAP_EACH(mesh_map(m, i), it) {
            map_put(&mem->parts[i], it.key, part_ref(it.value));
        }
    }
}

static void forget(void *part)
{
    part_unref(part);
}

static void put_into(void *arg, struct object *o)
{
    store_put(arg, object_ref(o));
}

static char *from_scratch(const struct store *s)
{
    struct fixture f;
    fixture_init(&f);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        store_each(s, kind, put_into, f.store);
    }
    fixture_update(&f);
    char *text = mesh_text(f.mesh);
    fixture_done(&f);
    return text;
}

static bool in_delta(const struct mesh_delta *d, int which, struct str key)
{
    const __typeof__(d->services) *lists[MAPS] = {&d->services, &d->endpoints, &d->policies,
                                                  &d->access,   &d->ingress,   &d->audiences,
                                                  &d->proxies};
    for (size_t i = 0; i < lists[which]->len; i++) {
        if (str_eq(lists[which]->at[i], key)) {
            return true;
        }
    }
    return false;
}

/* A part that is gone and back within one update may be in the delta though its pointer stayed. */
static bool check_parts(const struct fixture *f, const struct memory *before)
{
    for (int i = 0; i < MAPS; i++) {
        const struct map *now = mesh_map(f->mesh, i);
        MAP_EACH(now, it) {
            const struct part *old = map_find(&before->parts[i], it.key), *part = it.value;
            if (old && old != part && old->hash == part->hash) {
                printf("map %d: %.*s changed its pointer but not its hash\n", i, STR_ARG(it.key));
                return false;
            }
            if ((old != part) != in_delta(&f->delta, i, it.key)) {
                printf("map %d: %.*s and the delta disagree\n", i, STR_ARG(it.key));
                return false;
            }
        }
        MAP_EACH(&before->parts[i], it) {
            if (!map_has(now, it.key) && !in_delta(&f->delta, i, it.key)) {
                printf("map %d: %.*s is gone without a word\n", i, STR_ARG(it.key));
                return false;
            }
        }
    }
    return true;
}

/* last: what was put before; mostly that is what is there, and now it comes from another line. */
static void put_moved(struct rng *r, struct fixture *f, const struct buf *last)
{
    if (last->len > 0 && rng_below(r, 2) == 0) {
        AUTO(free) char *text = mem_printf("# moved\n%s", last->data);
        fixture_put(f, text);
    }
}

static void random_events(struct rng *r, struct fixture *f, struct buf *last)
{
    uint32_t n = 1 + rng_below(r, 4);
    put_moved(r, f, last);
    for (uint32_t i = 0; i < n; i++) {
        struct random_name name = random_pick(r);
        if (rng_below(r, 4) == 0) {
            fixture_remove(f, name.kind, name.namespace, name.name);
            continue;
        }
        buf_reset(last);
        random_write(r, &name, last);
        fixture_put(f, last->data);
    }
}

static bool history(uint64_t seed)
{
    struct rng r = {seed};
    struct fixture f;
    fixture_init(&f);
    bool good = true;
    AUTO(buf_done) struct buf last;
    buf_init(&last, 1u << 20);
    for (int i = 0; i < 40; i++) { /* a world to begin with */
        random_events(&r, &f, &last);
    }
    for (int step = 0; step < STEPS && good; step++) {
        struct memory before = {0};
        remember(&before, f.mesh);
        random_events(&r, &f, &last);
        fixture_update(&f);
        AUTO(free) char *incremental = mesh_text(f.mesh);
        AUTO(free) char *scratch = from_scratch(f.store);
        good = check_parts(&f, &before);
        if (strcmp(incremental, scratch)) {
            printf("--- incremental\n%s--- from scratch\n%s", incremental, scratch);
            good = false;
        }
        if (!good) {
            printf("step %d of history %llu\n", step, (unsigned long long)seed);
        }
        for (int i = 0; i < MAPS; i++) {
            map_done(&before.parts[i], forget);
        }
    }
    fixture_done(&f);
    return good;
}

int main(void)
{
    struct rng r = {rng_seed("mesh")};
    unsigned rounds = rng_rounds(25);
    for (unsigned i = 0; i < rounds; i++) {
        if (!history(((uint64_t)rng_below(&r, UINT32_MAX) << 16) + i)) {
            return 1;
        }
    }
    printf("%u histories of %d steps\n", rounds, STEPS);
    return 0;
}
