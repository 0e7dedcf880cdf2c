/* Expectations from scratch. */
#include "oracle.h"

#include <stdio.h>

#include "base/clock.h"
#include "proxy.h"
#include "xds/planner.h"

struct oracle {
    struct issuer *issuer;
    struct map objects;  /* "kind/ns/name" -> object */
    struct store *store; /* of the last build, with mesh and planner */
    struct mesh *mesh;
    struct planner *planner;
    struct map sums; /* audience -> its sum on the heap */
};

static const struct mesh_options options = {.mesh_name = "osm",
                                            .osm_namespace = "osm-system",
                                            .config_name = "osm-mesh-config",
                                            .trust_domain = "cluster.local"};

struct oracle *oracle_new(struct issuer *issuer)
{
    struct oracle *o = NEW(struct oracle);
    o->issuer = issuer;
    return o;
}

static void drop_build(struct oracle *o)
{
    planner_free(o->planner);
    mesh_free(o->mesh);
    store_free(o->store);
    map_done(&o->sums, free);
}

static void drop_object(void *object)
{
    object_unref(object);
}

void oracle_free(struct oracle *o)
{
    if (o) {
        drop_build(o);
        map_done(&o->objects, drop_object);
        free(o);
    }
}

static void take(void *arg, struct object *object)
{
    struct oracle *o = arg;
    AUTO(free)
    char *key = mem_printf("%d/%.*s/%.*s", (int)object->kind, STR_ARG(object->meta.namespace),
                           STR_ARG(object->meta.name));
    struct object *old = object_is_deleted(object) ? map_remove(&o->objects, str_of(key))
                                                   : map_put(&o->objects, str_of(key), object);
    if (old) {
        object_unref(old);
    }
    if (object_is_deleted(object)) {
        object_unref(object);
    }
}

void oracle_put(struct oracle *o, struct str manifests)
{
    AUTO(findings_done) struct findings found = {0};
    if (objects_read(manifests, "world.yaml", take, o, &found) < 0) {
        VEC_EACH(found.list, at) {
            AUTO(free) char *text = finding_text(at);
            fprintf(stderr, "%s\n", text);
        }
        ASSERT(!"the world's manifests are refused");
    }
}

void oracle_build(struct oracle *o)
{
    drop_build(o);
    o->store = store_new();
    o->mesh = mesh_new(&options);
    o->planner = planner_new(o->mesh, o->issuer);
    MAP_EACH(&o->objects, it) {
        store_put(o->store, object_ref(it.value));
    }
    struct changes changes;
    struct mesh_delta delta;
    store_take_changes(o->store, &changes);
    mesh_update(o->mesh, o->store, &changes, &delta);
    planner_update(o->planner, &delta, clock_wall_s());
    mesh_delta_done(&delta);
    changes_done(&changes);
}

/* --- sums --- */

struct closure {
    const struct plan *plan;
    enum xds_type type; /* of what is being walked */
    id_vec names[XDS_TYPES];
    uint64_t sum;
};

static void add_whole(void *arg, struct resource *r)
{
    struct closure *c = arg;
    c->sum += proxy_share(c->type, r->id, r->version);
    const ref_vec *refs = refs_of(c->type, r->version, blob_str(r->body));
    VEC_EACH(*refs, to) {
        VEC_PUSH(c->names[to->type], to->id);
    }
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void add_named(struct closure *c, enum xds_type t)
{
    id_vec *names = &c->names[t];
    if (names->len > 0) {
        qsort(names->at, names->len, sizeof(*names->at), compare_ids);
    }
    for (size_t i = 0; i < names->len; i++) {
        struct resource *r = view_find(c->plan->views[t], names->at[i]);
        bool again = i > 0 && names->at[i] == names->at[i - 1];
        ASSERT(r); /* a cluster or listener may name nothing that isn't there */
        if (!again) {
            c->sum += proxy_share(t, r->id, r->version);
        }
    }
    VEC_DONE(*names);
}

static uint64_t sum_of(const struct plan *plan)
{
    struct closure c = {.plan = plan};
    for (int t = 0; t < XDS_TYPES; t++) {
        c.type = (enum xds_type)t;
        if (t == XDS_CDS || t == XDS_LDS) {
            view_each(plan->views[t], add_whole, &c);
        }
    }
    add_named(&c, XDS_EDS);
    add_named(&c, XDS_SDS);
    add_named(&c, XDS_RDS);
    return c.sum;
}

/* Empty: there is no such sidecar. */
static struct str audience_of(const struct oracle *o, const char *uuid)
{
    const struct mesh_proxy *p = mesh_proxy_find(o->mesh, str_of(uuid));
    return p ? p->pods.at[0].audience : STR("");
}

struct plan *oracle_plan(const struct oracle *o, const char *uuid)
{
    return planner_plan(o->planner, audience_of(o, uuid));
}

uint64_t oracle_sum(const struct oracle *o, const char *uuid)
{
    struct str audience = audience_of(o, uuid);
    if (audience.len == 0) {
        return 0;
    }
    uint64_t *sum = map_find(&o->sums, audience);
    if (!sum) {
        sum = NEW(uint64_t);
        *sum = sum_of(planner_plan(o->planner, audience));
        map_put((struct map *)&o->sums, audience, sum);
    }
    return *sum;
}
