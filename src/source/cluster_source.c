/* What is watched, and when it is all there. */
#include "source/cluster_source.h"

#include <string.h>

#include "kinds/slim.h"
#include "source/cluster.h"

#define LABEL_MONITORED_BY "openservicemesh.io/monitored-by"

const struct cluster_row cluster_rows[] = {
    {KIND_NAMESPACE, CLUSTER_NAMESPACES, NULL},
    /* A pod that has ended takes and makes no calls. */
    {KIND_POD, CLUSTER_JOINED, "status.phase!=Succeeded,status.phase!=Failed"},
    {KIND_SERVICE, CLUSTER_JOINED, NULL},
    {KIND_ENDPOINT_SLICE, CLUSTER_JOINED, NULL},
    {KIND_SERVICE_ACCOUNT, CLUSTER_JOINED, NULL},
    {KIND_TRAFFIC_TARGET, CLUSTER_JOINED, NULL},
    {KIND_HTTP_ROUTE_GROUP, CLUSTER_JOINED, NULL},
    {KIND_TCP_ROUTE, CLUSTER_JOINED, NULL},
    {KIND_TRAFFIC_SPLIT, CLUSTER_JOINED, NULL},
    {KIND_EGRESS, CLUSTER_JOINED, NULL},
    {KIND_INGRESS_BACKEND, CLUSTER_JOINED, NULL},
    {KIND_RETRY, CLUSTER_JOINED, NULL},
    {KIND_UPSTREAM_TRAFFIC_SETTING, CLUSTER_JOINED, NULL},
    {KIND_TELEMETRY, CLUSTER_SHARED, NULL},
    {KIND_EXTENSION_SERVICE, CLUSTER_SHARED, NULL},
    {KIND_MESH_CONFIG, CLUSTER_CONFIG, NULL},
    {KIND_MESH_ROOT_CERTIFICATE, CLUSTER_OWN, NULL},
};
const size_t cluster_n_rows = COUNT_OF(cluster_rows);

/* --- what a watch tells --- */

static void on_object(void *arg, const struct value *object)
{
    struct collection *c = arg;
    struct str namespace = value_string_at(object, "metadata.namespace");
    if (cluster_wants(c->source, c->scope, namespace)) {
        cluster_touched(c, namespace, value_string_at(object, "metadata.name"));
        cluster_put(c, object);
    }
}

static void on_gone(void *arg, struct str namespace, struct str name)
{
    struct collection *c = arg;
    if (c->scope == CLUSTER_NAMESPACES) {
        cluster_leave(c->source, name);
    } else if (cluster_wants(c->source, c->scope, namespace)) {
        cluster_touched(c, namespace, name);
    }
    cluster_remove(c, namespace, name);
}

struct each {
    void (*fn)(void *to, struct str namespace, struct str name);
    void *to;
};

static void tell_name(void *arg, struct object *o)
{
    const struct each *x = arg;
    x->fn(x->to, o->meta.namespace, o->meta.name);
}

/* A namespace that is joining isn't in the store yet, and a refused object may never have been. */
static void each_known(void *arg, void (*fn)(void *to, struct str namespace, struct str name),
                       void *to)
{
    const struct collection *c = arg;
    if (c->scope == CLUSTER_NAMESPACES) {
        MAP_EACH(&c->source->joined, it) {
            fn(to, STR(""), it.key);
        }
    } else {
        store_each(c->source->options.store, c->kind, tell_name, &(struct each){fn, to});
    }
    MAP_EACH(&c->refused, it) {
        struct str namespace, name;
        if (str_cut(it.key, '/', &namespace, &name)) {
            fn(to, namespace, name);
        }
    }
}

static void start_others(struct cluster_source *s);

static void on_batch(void *arg)
{
    struct collection *c = arg;
    c->complete = true;
    if (c->scope == CLUSTER_NAMESPACES) {
        start_others(c->source);
    }
    cluster_tell(c->source);
}

static void on_state(void *arg, enum kube_watch_state state, const struct err *e)
{
    struct collection *c = arg;
    struct cluster_source *s = c->source;
    c->state = state;
    c->why = *e;
    c->complete |= state == KUBE_WATCH_MISSING;
    s->findings_stale = true;
    if (s->options.on_state) {
        s->options.on_state(s->options.arg, c->kind, state, e);
    }
    cluster_tell(s);
}

void cluster_tell(struct cluster_source *s)
{
    bool first = !s->in_sync;
    for (size_t i = 0; !s->in_sync && i < s->n; i++) {
        if (!s->collections[i].complete) {
            return;
        }
    }
    s->in_sync = true;
    bool findings = s->findings_stale;
    if (findings) {
        s->findings_stale = false;
        cluster_gather(s);
    }
    if (first || findings || store_has_changes(s->options.store)) {
        s->options.on_change(s->options.arg);
    }
}

/* --- start and end --- */

static void start(struct cluster_source *s, size_t i)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct collection *c = &s->collections[i];
    const struct cluster_row *row = &cluster_rows[i];
    bool own = c->scope == CLUSTER_OWN || c->scope == CLUSTER_CONFIG;
    struct str namespace = own ? str_of(s->options.osm_namespace) : STR("");
    struct kube_watch_options o = {.client = s->options.client,
                                   .path = kube_path(a, c->kind, namespace, STR(""), NULL),
                                   .field_selector = row->field_selector,
                                   .keep = kind_keep(c->kind),
                                   .on_object = on_object,
                                   .on_gone = on_gone,
                                   .each_known = each_known,
                                   .on_batch = on_batch,
                                   .on_state = on_state,
                                   .arg = c,
                                   .hurry = s->options.hurry};
    if (c->scope == CLUSTER_NAMESPACES) {
        o.label_selector = arena_printf(a, "%s=%s", LABEL_MONITORED_BY, s->options.mesh_name).ptr;
    }
    if (c->scope == CLUSTER_CONFIG) {
        o.field_selector = arena_printf(a, "metadata.name=%s", s->options.config_name).ptr;
    }
    c->watch = kube_watch_start(&o);
}

/* After the namespaces, so that it is known which objects count. */
static void start_others(struct cluster_source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!s->collections[i].watch) {
            start(s, i);
        }
    }
}

static const struct findings *findings_of(const struct source *s)
{
    return &((const struct cluster_source *)s)->findings;
}

static bool in_sync(const struct source *s)
{
    return ((const struct cluster_source *)s)->in_sync;
}

static void findings_free(void *f)
{
    findings_done(f);
    free(f);
}

static void free_source(struct source *common)
{
    struct cluster_source *s = (struct cluster_source *)common;
    for (size_t i = 0; i < s->n; i++) {
        kube_watch_free(s->collections[i].watch);
        map_done(&s->collections[i].refused, findings_free);
    }
    map_done(&s->joined, cluster_joined_free);
    findings_done(&s->findings);
    free(s->collections);
    free((char *)s->options.mesh_name);
    free((char *)s->options.osm_namespace);
    free((char *)s->options.config_name);
    free(s);
}

struct source *cluster_source_start(const struct cluster_source_options *options)
{
    struct cluster_source *s = NEW(struct cluster_source);
    s->common = (struct source){findings_of, in_sync, free_source};
    s->options = *options;
    s->options.mesh_name = mem_strdup(options->mesh_name);
    s->options.osm_namespace = mem_strdup(options->osm_namespace);
    s->options.config_name = mem_strdup(options->config_name);
    s->n = cluster_n_rows;
    s->collections = mem_zalloc(s->n * sizeof(*s->collections));
    for (size_t i = 0; i < s->n; i++) {
        s->collections[i].source = s;
        s->collections[i].kind = cluster_rows[i].kind;
        s->collections[i].scope = cluster_rows[i].scope;
    }
    start(s, 0);
    return &s->common;
}
