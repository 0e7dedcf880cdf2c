/* What others see of this machine's pods: the documents in objects/, and names in the pods. */
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "inject/build.h"
#include "local/hosts.h"
#include "local/internal.h"

struct world {
    struct runtime *runtime;
    struct arena *arena;
    struct pod_view *pods;
    size_t n_pods;
    VEC(struct service_view) services;
    struct map namespaces; /* those that objects are in */
    struct map declared;
    struct err *e;
};

struct pod_view *runtime_views(const struct runtime *r, size_t *ret_n)
{
    struct pod_view *views = mem_array(NULL, r->pods.len + 1, sizeof(*views));
    for (size_t i = 0; i < r->pods.len; i++) {
        views[i] = pod_view(r->pods.at[i]);
    }
    *ret_n = r->pods.len;
    return views;
}

static void put(struct world *w, const struct value *document)
{
    publisher_put(&w->runtime->publisher, document, w->e);
}

static void note_namespace(void *arg, struct object *o)
{
    struct world *w = arg;
    if (o->kind == KIND_NAMESPACE) {
        map_put(&w->declared, o->meta.name, w);
        map_put(&w->namespaces, o->meta.name, w);
    } else if (o->meta.namespace.len > 0 && !str_is(o->meta.namespace, OSM_NAMESPACE)) {
        map_put(&w->namespaces, o->meta.namespace, w);
    }
}

static const struct value *default_account(struct arena *a, struct str ns)
{
    return build_object(a, "apiVersion", build_text(a, "v1"), "kind",
                        build_text(a, "ServiceAccount"), "metadata",
                        build_object(a, "name", build_text(a, "default"), "namespace",
                                     value_new_string(a, ns), NULL),
                        NULL);
}

/* A cluster has the account "default" in each namespace; a namespace that nobody declared is in the
 * mesh. */
static void put_namespaces(struct world *w)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        store_each(w->runtime->store, (enum kind)kind, note_namespace, w);
    }
    MAP_EACH(&w->namespaces, it) {
        if (!map_has(&w->declared, it.key)) {
            put(w, objects_namespace(w->arena, it.key, w->runtime->options.mesh_name));
        }
        if (!store_find(w->runtime->store, KIND_SERVICE_ACCOUNT, it.key, STR("default"))) {
            put(w, default_account(w->arena, it.key));
        }
    }
}

/* Gives it the addresses that it asks for, or some; headless ones have none. */
static void give_addresses(struct world *w, struct service_view *v)
{
    const struct service *s = v->service;
    struct ip ip4, ip6;
    char text[IP_TEXT];
    if (str_is(s->cluster_ip, "None") || str_is(s->type, "ExternalName")) {
        return;
    }
    struct str key = arena_printf(w->arena, "%.*s/%.*s", STR_ARG(s->object.meta.namespace),
                                  STR_ARG(s->object.meta.name));
    if (addresses_service(&w->runtime->addresses, key, &ip4, &ip6, w->e) < 0) {
        return;
    }
    if (v->ipv4) {
        v->ip4 = arena_strz(w->arena, ip_text(&ip4, text)).ptr;
    }
    if (v->ipv6) {
        v->ip6 = arena_strz(w->arena, ip_text(&ip6, text)).ptr;
    }
    for (size_t i = 0; i < s->cluster_ips.len + (s->cluster_ip.len > 0); i++) {
        struct str own = i < s->cluster_ips.len ? s->cluster_ips.at[i] : s->cluster_ip;
        const char **to = memchr(own.ptr, ':', own.len) ? &v->ip6 : &v->ip4;
        *to = arena_str(w->arena, own).ptr;
    }
}

static void put_service(void *arg, struct object *o)
{
    struct world *w = arg;
    const struct service *s = (const struct service *)o;
    struct service_view view = service_view(s);
    give_addresses(w, &view);
    VEC_PUSH(w->services, view);
    put(w, objects_service(w->arena, &view));
    if (s->selector.len == 0) {
        return;
    }
    struct pod_view *selected = arena_array(w->arena, w->n_pods, sizeof(*selected));
    size_t n = 0;
    for (size_t i = 0; i < w->n_pods; i++) {
        const struct meta *m = &w->pods[i].pod->object.meta;
        if (w->pods[i].ip4[0] && str_eq(m->namespace, o->meta.namespace) &&
            pairs_selects(&s->selector, &m->labels)) {
            selected[n++] = w->pods[i];
        }
    }
    struct value *slices = value_new(w->arena, VALUE_ARRAY);
    objects_slices(w->arena, &view, selected, n, slices);
    for (size_t i = 0; i < slices->array.len; i++) {
        put(w, &slices->array.at[i]);
    }
}

static void write_hosts(struct world *w, struct pod_run *p, const struct pod_view *self)
{
    struct buf text;
    buf_init(&text, LIMIT_FILE_BYTES);
    hosts_write(&text, self, w->services.at, w->services.len, w->pods, w->n_pods);
    uint64_t hash = hash_str(buf_str(&text));
    if (hash != p->hosts_hash && p->phase < POD_DONE) {
        AUTO(free) char *path = mem_printf("%s/etc/hosts", p->folder);
        if (state_write(path, buf_str(&text), 0644, w->e) == 0) {
            p->hosts_hash = hash;
        }
    }
    buf_done(&text);
}

/* Addresses of services that are gone may be given to others. */
static void forget_services(struct world *w)
{
    MAP_EACH(&w->runtime->addresses.services, it) {
        struct str ns, name;
        str_cut(it.key, '/', &ns, &name);
        if (!store_find(w->runtime->store, KIND_SERVICE, ns, name)) {
            AUTO(free) char *key = mem_printf("%.*s", STR_ARG(it.key));
            addresses_forget_service(&w->runtime->addresses, str_of(key));
        }
    }
}

void runtime_publish(struct runtime *r)
{
    struct err e = ERR_INIT;
    struct world w = {.runtime = r, .arena = arena_new(65536), .e = &e};
    w.pods = runtime_views(r, &w.n_pods);
    publisher_begin(&r->publisher);
    put_namespaces(&w);
    for (size_t i = 0; i < w.n_pods; i++) {
        put(&w, objects_pod(w.arena, &w.pods[i]));
    }
    store_each(r->store, KIND_SERVICE, put_service, &w);
    for (size_t i = 0; i < w.n_pods; i++) {
        write_hosts(&w, r->pods.at[i], &w.pods[i]);
    }
    forget_services(&w);
    publisher_end(&r->publisher, &e);
    if (e.text[0] && (!r->problem || strcmp(r->problem, e.text) != 0)) {
        log_event(LOG_ERROR, "can't write what others must see", "reason", e.text, NULL);
    }
    free(r->problem);
    r->problem = e.text[0] ? mem_strdup(e.text) : NULL;
    map_done(&w.namespaces, NULL);
    map_done(&w.declared, NULL);
    VEC_DONE(w.services);
    free(w.pods);
    arena_free(w.arena);
}
