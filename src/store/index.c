/* Which keys each kind of object is found by. One table; a row is an index of a kind. */
#include "store/internal.h"

#include "kinds/core.h"
#include "kinds/policy.h"
#include "kinds/smi.h"

#define LABEL_PROXY "osm-proxy-uuid"
#define LABEL_SERVICE "kubernetes.io/service-name"

static void keys_emit(struct keys *k, struct str a, const char *sep, struct str b)
{
    buf_reset(k->scratch);
    buf_adds(k->scratch, a);
    buf_addz(k->scratch, sep);
    buf_adds(k->scratch, b);
    k->each(k->arg, k->index, buf_str(k->scratch), k->object);
}

static void by_namespace(struct keys *k, const struct object *o)
{
    keys_emit(k, o->meta.namespace, "/", str_of(kind_info(o->kind)->name));
}

static void pod_by_account(struct keys *k, const struct object *o)
{
    keys_emit(k, o->meta.namespace, "/", ((const struct pod *)o)->service_account);
}

static void pod_by_proxy(struct keys *k, const struct object *o)
{
    const struct str *uuid = pairs_find(&o->meta.labels, LABEL_PROXY);
    if (uuid && uuid->len > 0) {
        keys_emit(k, *uuid, "", STR(""));
    }
}

static void pod_by_ip(struct keys *k, const struct object *o)
{
    const struct pod *pod = (const struct pod *)o;
    if (pod->pod_ip.len > 0) {
        keys_emit(k, pod->pod_ip, "", STR(""));
    }
    for (size_t i = 0; i < pod->pod_ips.len; i++) {
        keys_emit(k, pod->pod_ips.at[i], "", STR(""));
    }
}

static void emit_pair(struct keys *k, struct str namespace, const struct pair *p)
{
    struct buf *b = k->scratch;
    buf_reset(b);
    buf_adds(b, namespace);
    buf_addc(b, '/');
    buf_adds(b, p->key);
    buf_addc(b, '=');
    buf_adds(b, p->value);
    k->each(k->arg, k->index, buf_str(b), k->object);
}

static void pod_by_label(struct keys *k, const struct object *o)
{
    for (size_t i = 0; i < o->meta.labels.len; i++) {
        emit_pair(k, o->meta.namespace, &o->meta.labels.at[i]);
    }
}

/* One pair is enough: a pod that the service selects has it among its labels. */
static void service_by_selector(struct keys *k, const struct object *o)
{
    const struct service *s = (const struct service *)o;
    if (s->selector.len > 0) {
        emit_pair(k, o->meta.namespace, &s->selector.at[0]);
    }
}

static void slice_by_service(struct keys *k, const struct object *o)
{
    const struct str *service = pairs_find(&o->meta.labels, LABEL_SERVICE);
    if (service) {
        keys_emit(k, o->meta.namespace, "/", *service);
    }
}

static void slice_by_pod(struct keys *k, const struct object *o)
{
    const struct endpoint_slice *slice = (const struct endpoint_slice *)o;
    for (size_t i = 0; i < slice->endpoints.len; i++) {
        const struct endpoint *e = &slice->endpoints.at[i];
        if (str_is(e->target_kind, "Pod")) {
            keys_emit(k, e->target_namespace.len > 0 ? e->target_namespace : o->meta.namespace, "/",
                      e->target_name);
        }
        for (size_t j = 0; j < e->addresses.len; j++) {
            keys_emit(k, e->addresses.at[j], "", STR(""));
        }
    }
}

static void target_by_destination(struct keys *k, const struct object *o)
{
    const struct traffic_target *t = (const struct traffic_target *)o;
    keys_emit(k, t->destination.namespace, "/", t->destination.name);
}

static void target_by_source(struct keys *k, const struct object *o)
{
    const struct traffic_target *t = (const struct traffic_target *)o;
    for (size_t i = 0; i < t->sources.len; i++) {
        keys_emit(k, t->sources.at[i].namespace, "/", t->sources.at[i].name);
        keys_emit(k, t->sources.at[i].namespace, "/", STR(""));
    }
}

static void target_by_route(struct keys *k, const struct object *o)
{
    const struct traffic_target *t = (const struct traffic_target *)o;
    for (size_t i = 0; i < t->rules.len; i++) {
        struct buf *b = k->scratch;
        buf_reset(b);
        buf_adds(b, t->rules.at[i].kind);
        buf_addc(b, '/');
        buf_adds(b, o->meta.namespace);
        buf_addc(b, '/');
        buf_adds(b, t->rules.at[i].name);
        k->each(k->arg, k->index, buf_str(b), k->object);
    }
}

static void split_by_apex(struct keys *k, const struct object *o)
{
    keys_emit(k, o->meta.namespace, "/", ((const struct traffic_split *)o)->service);
}

static void split_by_backend(struct keys *k, const struct object *o)
{
    const struct traffic_split *t = (const struct traffic_split *)o;
    for (size_t i = 0; i < t->backends.len; i++) {
        keys_emit(k, o->meta.namespace, "/", t->backends.at[i].service);
    }
}

static void split_by_match(struct keys *k, const struct object *o)
{
    const struct traffic_split *t = (const struct traffic_split *)o;
    for (size_t i = 0; i < t->matches.len; i++) {
        keys_emit(k, o->meta.namespace, "/", t->matches.at[i].name);
    }
}

static void ingress_by_backend(struct keys *k, const struct object *o)
{
    const struct ingress_backend *b = (const struct ingress_backend *)o;
    for (size_t i = 0; i < b->backends.len; i++) {
        keys_emit(k, o->meta.namespace, "/", b->backends.at[i].name);
    }
}

static void ingress_by_source(struct keys *k, const struct object *o)
{
    const struct ingress_backend *b = (const struct ingress_backend *)o;
    for (size_t i = 0; i < b->sources.len; i++) {
        if (str_is(b->sources.at[i].kind, "Service")) {
            keys_emit(k, b->sources.at[i].namespace, "/", b->sources.at[i].name);
        }
    }
}

static void ingress_by_match(struct keys *k, const struct object *o)
{
    const struct ingress_backend *b = (const struct ingress_backend *)o;
    for (size_t i = 0; i < b->matches.len; i++) {
        keys_emit(k, o->meta.namespace, "/", b->matches.at[i].name);
    }
}

static const struct row {
    enum kind kind;
    enum store_index index;
    void (*emit)(struct keys *k, const struct object *o);
} table[] = {
    {KIND_POD, INDEX_POD_BY_ACCOUNT, pod_by_account},
    {KIND_POD, INDEX_POD_BY_PROXY, pod_by_proxy},
    {KIND_POD, INDEX_POD_BY_IP, pod_by_ip},
    {KIND_POD, INDEX_POD_BY_LABEL, pod_by_label},
    {KIND_SERVICE, INDEX_SERVICE_BY_SELECTOR, service_by_selector},
    {KIND_ENDPOINT_SLICE, INDEX_SLICE_BY_SERVICE, slice_by_service},
    {KIND_ENDPOINT_SLICE, INDEX_SLICE_BY_POD, slice_by_pod},
    {KIND_TRAFFIC_TARGET, INDEX_TARGET_BY_DESTINATION, target_by_destination},
    {KIND_TRAFFIC_TARGET, INDEX_TARGET_BY_SOURCE, target_by_source},
    {KIND_TRAFFIC_TARGET, INDEX_TARGET_BY_ROUTE, target_by_route},
    {KIND_TRAFFIC_SPLIT, INDEX_SPLIT_BY_APEX, split_by_apex},
    {KIND_TRAFFIC_SPLIT, INDEX_SPLIT_BY_BACKEND, split_by_backend},
    {KIND_TRAFFIC_SPLIT, INDEX_SPLIT_BY_MATCH, split_by_match},
    {KIND_INGRESS_BACKEND, INDEX_INGRESS_BY_BACKEND, ingress_by_backend},
    {KIND_INGRESS_BACKEND, INDEX_INGRESS_BY_SOURCE, ingress_by_source},
    {KIND_INGRESS_BACKEND, INDEX_INGRESS_BY_MATCH, ingress_by_match},
};

void keys_of_one(struct keys *k, enum store_index index, struct object *o)
{
    k->object = o;
    k->index = index;
    if (index == INDEX_NAMESPACE && o->meta.namespace.len > 0) {
        by_namespace(k, o);
    }
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (table[i].kind == o->kind && table[i].index == index) {
            table[i].emit(k, o);
        }
    }
}

void keys_of(struct keys *k, struct object *o)
{
    k->object = o;
    if (o->meta.namespace.len > 0) {
        k->index = INDEX_NAMESPACE;
        by_namespace(k, o);
    }
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (table[i].kind == o->kind) {
            k->index = table[i].index;
            table[i].emit(k, o);
        }
    }
}
