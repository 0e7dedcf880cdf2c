/* Namespaces that join and leave.
 *
 * The watches go on meanwhile: what they tell of the namespace counts, and the list only fills in
 * what they didn't tell. */
#include "kinds/slim.h"
#include "net/http_client.h"
#include "source/cluster.h"

enum { RETRY_MS = 1000, RETRY_MAX_MS = 30000 };

/* The list of one kind in a namespace. */
struct joining {
    struct joined *joined;
    struct collection *collection;
    struct kube_call *call;
    struct loop_timer *timer;
    char *continued;
    int64_t wait_ms;
    struct map touched; /* names that the watch told of */
    struct joining *next;
};

static struct str name_of(const struct joined *j)
{
    return j->object->meta.name;
}

bool cluster_wants(const struct cluster_source *s, enum cluster_scope scope, struct str namespace)
{
    bool own = str_is(namespace, s->options.osm_namespace);
    switch (scope) {
    case CLUSTER_NAMESPACES:
        return true;
    case CLUSTER_JOINED:
        return map_has(&s->joined, namespace);
    case CLUSTER_SHARED:
        return own || map_has(&s->joined, namespace);
    case CLUSTER_OWN:
    case CLUSTER_CONFIG:
        return own;
    }
    return false;
}

static void joining_free(struct joining *x)
{
    if (x->call) {
        kube_cancel(x->call);
    }
    loop_timer_free(x->timer);
    map_done(&x->touched, NULL);
    free(x->continued);
    free(x);
}

void cluster_joined_free(void *value)
{
    struct joined *j = value;
    while (j->joining) {
        struct joining *x = j->joining;
        j->joining = x->next;
        joining_free(x);
    }
    object_unref(j->object);
    free(j);
}

static void complete(struct joined *j)
{
    if (!j->joining) {
        store_put(j->source->options.store, object_ref(j->object));
    }
}

static void finish(struct joining *x)
{
    struct joined *j = x->joined;
    struct joining **at = &j->joining;
    while (*at != x) {
        at = &(*at)->next;
    }
    *at = x->next;
    joining_free(x);
    complete(j);
    cluster_tell(j->source);
}

static void ask(struct joining *x);

static void on_retry(void *arg)
{
    struct joining *x = arg;
    loop_timer_free(x->timer);
    x->timer = NULL;
    ask(x);
}

static void retry(struct joining *x)
{
    const struct cluster_source_options *o = &x->joined->source->options;
    x->wait_ms = x->wait_ms ? x->wait_ms * 2 : RETRY_MS;
    x->wait_ms = x->wait_ms < RETRY_MAX_MS ? x->wait_ms : RETRY_MAX_MS;
    free(x->continued);
    x->continued = NULL;
    x->timer = loop_timer_new(kube_client_loop(o->client), x->wait_ms / (o->hurry ? o->hurry : 1),
                              false, on_retry, x);
}

static void take_item(void *arg, struct value *item)
{
    struct joining *x = arg;
    if (!map_has(&x->touched, value_string_at(item, "metadata.name"))) {
        cluster_put(x->collection, item);
    }
}

static void on_page(void *arg, int status, struct value *page, const struct err *e)
{
    struct joining *x = arg;
    x->call = NULL;
    if (status == 404) { /* there is no such kind: its watch waits for it */
        finish(x);
        return;
    }
    if (status < 200 || status >= 300) {
        retry(x);
        return;
    }
    AUTO(arena_free) struct arena *a = arena_new(4096);
    kube_list_items(a, page, take_item, x);
    struct str next = value_string_at(page, "metadata.continue");
    free(x->continued);
    x->continued = next.len ? mem_memdup(next.ptr, next.len) : NULL;
    if (next.len > 0) {
        ask(x);
    } else {
        finish(x);
    }
}

static void ask(struct joining *x)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    const struct cluster_row *row = &cluster_rows[x->collection - x->joined->source->collections];
    AUTO(free) char *fields = http_encode(row->field_selector ? row->field_selector : "");
    const char *query = *fields ? arena_printf(a, "fieldSelector=%s", fields).ptr : NULL;
    const char *path = kube_path(a, x->collection->kind, name_of(x->joined), STR(""), query);
    struct kube_request q = {.path = kube_page_path(a, path, str_of(x->continued)),
                             .keep = kind_keep(x->collection->kind)};
    x->call = kube_start(x->joined->source->options.client, &q, on_page, x);
}

static bool lists_on_join(const struct collection *c, struct str namespace)
{
    return c->watch && (c->scope == CLUSTER_JOINED || c->scope == CLUSTER_SHARED) &&
           !(c->scope == CLUSTER_SHARED && str_is(namespace, c->source->options.osm_namespace));
}

void cluster_join(struct cluster_source *s, struct object *namespace)
{
    struct joined *j = map_find(&s->joined, namespace->meta.name);
    if (j) { /* it has joined; something else about it changed */
        object_unref(j->object);
        j->object = namespace;
        complete(j);
        return;
    }
    j = NEW(struct joined);
    *j = (struct joined){.source = s, .object = namespace};
    map_put(&s->joined, namespace->meta.name, j);
    for (size_t i = 0; i < s->n; i++) {
        if (lists_on_join(&s->collections[i], namespace->meta.name)) {
            struct joining *x = NEW(struct joining);
            *x =
                (struct joining){.joined = j, .collection = &s->collections[i], .next = j->joining};
            j->joining = x;
            ask(x);
        }
    }
    complete(j);
}

static void remove_all(struct collection *c, struct str namespace)
{
    AUTO(arena_free) struct arena *a = arena_new(512);
    struct store *store = c->source->options.store;
    struct str key = arena_printf(a, "%.*s/%s", STR_ARG(namespace), kind_info(c->kind)->name);
    struct object_list left;
    /* The last first: the index is an array. */
    while ((left = store_lookup(store, INDEX_NAMESPACE, key)).len > 0) {
        struct object *o = object_ref(left.at[left.len - 1]);
        cluster_remove(c, o->meta.namespace, o->meta.name);
        object_unref(o);
    }
}

static void forget_findings(struct collection *c, struct str namespace)
{
    MAP_EACH(&c->refused, it) {
        struct str ns, name;
        if (str_cut(it.key, '/', &ns, &name) && str_eq(ns, namespace)) {
            cluster_remove(c, ns, name);
        }
    }
}

void cluster_leave(struct cluster_source *s, struct str namespace)
{
    struct joined *j = map_remove(&s->joined, namespace);
    if (!j) {
        return;
    }
    AUTO(free) char *name = mem_memdup(namespace.ptr, namespace.len);
    store_remove(s->options.store, KIND_NAMESPACE, STR(""), namespace);
    for (size_t i = 0; i < s->n; i++) {
        if (lists_on_join(&s->collections[i], str_of(name))) {
            remove_all(&s->collections[i], str_of(name));
            forget_findings(&s->collections[i], str_of(name));
        }
    }
    cluster_joined_free(j);
}

void cluster_touched(struct collection *c, struct str namespace, struct str name)
{
    struct joined *j = map_find(&c->source->joined, namespace);
    for (struct joining *x = j ? j->joining : NULL; x; x = x->next) {
        if (x->collection == c) {
            map_put(&x->touched, name, x);
        }
    }
}
