/* Definitions by the name of the object. */
#include "source/catalog.h"

#include <string.h>

#include "base/buf.h"
#include "base/map.h"

/* Both are borrowed: the manifest holds the object. */
struct definition {
    const struct manifest *manifest;
    struct object *object;
};

typedef VEC(struct definition) definitions;

struct catalog {
    struct store *store;
    struct map objects;  /* "Kind/ns/name" -> definitions, the one that counts first */
    struct map repeated; /* keys of which one root has several -> the definitions */
};

static void definitions_free(void *arg)
{
    definitions *d = arg;
    VEC_DONE(*d);
    free(d);
}

struct catalog *catalog_new(struct store *store)
{
    struct catalog *c = NEW(struct catalog);
    c->store = store;
    return c;
}

void catalog_free(struct catalog *c)
{
    if (c) {
        map_done(&c->repeated, NULL);
        map_done(&c->objects, definitions_free);
        free(c);
    }
}

static char *key_of(const struct object *o)
{
    return mem_printf("%s/%.*s/%.*s", kind_info(o->kind)->name, STR_ARG(o->meta.namespace),
                      STR_ARG(o->meta.name));
}

/* Root, path, then the place in the file. */
static bool counts_before(const struct definition *a, const struct definition *b)
{
    if (a->manifest->root != b->manifest->root) {
        return a->manifest->root < b->manifest->root;
    }
    int c = strcmp(a->manifest->path, b->manifest->path);
    return c != 0 ? c < 0 : a->object->line < b->object->line;
}

static void add(definitions *d, struct definition x)
{
    VEC_PUSH(*d, x);
    for (size_t i = d->len - 1; i > 0 && counts_before(&d->at[i], &d->at[i - 1]); i--) {
        struct definition swap = d->at[i];
        d->at[i] = d->at[i - 1];
        d->at[i - 1] = swap;
    }
}

static bool has_repetition(const definitions *d)
{
    for (size_t i = 1; i < d->len; i++) {
        if (d->at[i].manifest->root == d->at[i - 1].manifest->root) {
            return true;
        }
    }
    return false;
}

/* Brings the store in line with the definitions of one object. `example` says which object. */
static void settle(struct catalog *c, const char *key, const struct object *example)
{
    definitions *d = map_find(&c->objects, str_of(key));
    if (d && has_repetition(d)) {
        map_put(&c->repeated, str_of(key), d);
    } else {
        map_remove(&c->repeated, str_of(key));
    }
    if (d && d->len > 0 && !object_is_deleted(d->at[0].object)) {
        store_put(c->store, object_ref(d->at[0].object));
    } else {
        store_remove(c->store, example->kind, example->meta.namespace, example->meta.name);
    }
    if (d && d->len == 0) {
        definitions_free(map_remove(&c->objects, str_of(key)));
    }
}

static void forget(struct catalog *c, const char *key, const struct manifest *m)
{
    definitions *d = map_find(&c->objects, str_of(key));
    for (size_t i = d ? d->len : 0; i-- > 0;) {
        if (d->at[i].manifest == m) {
            VEC_REMOVE(*d, i);
        }
    }
}

void catalog_replace(struct catalog *c, const struct manifest *m, const object_vec *before)
{
    VEC_EACH(*before, o) {
        AUTO(free) char *key = key_of(*o);
        forget(c, key, m);
    }
    VEC_EACH(m->objects, o) {
        AUTO(free) char *key = key_of(*o);
        definitions *d = map_find(&c->objects, str_of(key));
        if (!d) {
            d = NEW(definitions);
            map_put(&c->objects, str_of(key), d);
        }
        add(d, (struct definition){m, *o});
    }
    VEC_EACH(*before, o) {
        AUTO(free) char *key = key_of(*o);
        settle(c, key, *o);
    }
    VEC_EACH(m->objects, o) {
        AUTO(free) char *key = key_of(*o);
        settle(c, key, *o);
    }
}

void catalog_remove(struct catalog *c, const struct manifest *m)
{
    VEC_EACH(m->objects, o) {
        AUTO(free) char *key = key_of(*o);
        forget(c, key, m);
        settle(c, key, *o);
    }
}

void catalog_findings(const struct catalog *c, struct findings *f)
{
    MAP_EACH(&c->repeated, it) {
        const definitions *d = it.value;
        for (size_t i = 1; i < d->len; i++) {
            const struct definition *first = &d->at[i - 1], *x = &d->at[i];
            if (first->manifest->root != x->manifest->root) {
                continue;
            }
            AUTO(arena_free) struct arena *a = arena_new(256);
            findings_add(f, FINDING_ERROR, x->manifest->path, x->object->line,
                         object_title(a, x->object).ptr,
                         "is defined before, at %s:%d, and that one counts; delete one of the two",
                         first->manifest->path, first->object->line);
        }
    }
}
