/* A store and a mesh that are fed with manifests, for tests of both. */
#ifndef TEST_UNIT_MESH_FIXTURE_H
#define TEST_UNIT_MESH_FIXTURE_H

#include <stdio.h>

#include "base/buf.h"
#include "mesh/mesh.h"

struct fixture {
    struct store *store;
    struct mesh *mesh;
    struct mesh_delta delta; /* of the last update */
};

static const struct mesh_options fixture_options = {
    .mesh_name = "osm",
    .osm_namespace = "osm-system",
    .config_name = "osm-mesh-config",
    .trust_domain = "cluster.local",
};

static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.store = store_new(), .mesh = mesh_new(&fixture_options)};
}

static inline void fixture_done(struct fixture *f)
{
    mesh_delta_done(&f->delta);
    mesh_free(f->mesh);
    store_free(f->store);
}

static inline void fixture_take(void *arg, struct object *o)
{
    store_put(arg, o);
}

/* Ends the process when a manifest is refused: a test's own mistake. */
static inline void fixture_put(struct fixture *f, const char *yaml)
{
    AUTO(findings_done) struct findings found = {0};
    if (objects_read(str_of(yaml), "test.yaml", fixture_take, f->store, &found) < 0) {
        VEC_EACH(found.list, at) {
            AUTO(free) char *text = finding_text(at);
            fprintf(stderr, "%s\n", text);
        }
        fprintf(stderr, "%s\n", yaml);
        ASSERT(!"the test's manifest was refused");
    }
}

static inline bool fixture_remove(struct fixture *f, enum kind kind, const char *namespace,
                                  const char *name)
{
    return store_remove(f->store, kind, str_of(namespace), str_of(name));
}

static inline void fixture_update(struct fixture *f)
{
    struct changes changes;
    store_take_changes(f->store, &changes);
    mesh_delta_done(&f->delta);
    mesh_update(f->mesh, f->store, &changes, &f->delta);
    changes_done(&changes);
}

static inline char *mesh_text(const struct mesh *m)
{
    struct buf b;
    buf_init(&b, 1u << 30);
    mesh_dump(m, &b);
    return buf_take(&b);
}

#endif
