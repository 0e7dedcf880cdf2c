/* The unit of a proxy: one sidecar, and the audience it belongs to. */
#include <string.h>

#include "mesh/internal.h"

struct inbounds {
    VEC(struct mesh_inbound) list;
};

/* As Go's strconv.ParseBool, by which Open Service Mesh read them. */
static bool is_true(const struct str *s)
{
    static const char *const words[] = {"1", "t", "T", "true", "TRUE", "True"};
    for (size_t i = 0; s && i < COUNT_OF(words); i++) {
        if (str_is(*s, words[i])) {
            return true;
        }
    }
    return false;
}

/* Pods of one Service may have different numbers for a named port; this pod listens on its own. */
static uint16_t own_port(const struct pod *pod, const struct service *svc,
                         const struct mesh_port *p)
{
    for (size_t i = 0; i < svc->ports.len; i++) {
        const struct service_port *sp = &svc->ports.at[i];
        if (sp->port == p->port && str_eq(sp->name, p->name) && sp->target_port.name.len > 0) {
            uint16_t own = pod_port(pod, sp->target_port.name);
            return own ? own : p->target_port;
        }
    }
    return p->target_port;
}

static bool has_target(const struct inbounds *in, size_t from, uint16_t port)
{
    for (size_t i = from; i < in->list.len; i++) {
        if (in->list.at[i].target_port == port) {
            return true;
        }
    }
    return false;
}

static void add_service(struct update *u, struct arena *a, const struct pod *pod,
                        const struct service *svc, struct inbounds *in)
{
    const struct mesh_service *part =
        mesh_service_find(u->m, key_of(u, svc->object.meta.namespace, svc->object.meta.name));
    size_t from = in->list.len;
    for (size_t i = 0; part && i < part->ports.len; i++) {
        const struct mesh_port *p = &part->ports.at[i];
        uint16_t port = own_port(pod, svc, p);
        if (!has_target(in, from, port)) {
            VEC_PUSH(in->list, (struct mesh_inbound){.service = arena_str(a, part->key),
                                                     .target_port = port,
                                                     .fqdn = arena_str(a, part->fqdn),
                                                     .protocol = p->protocol});
        }
    }
}

static int by_name(const void *x, const void *y)
{
    const struct mesh_inbound *a = x, *b = y;
    int c = str_cmp(a->fqdn, b->fqdn);
    return c ? c : (int)a->target_port - (int)b->target_port;
}

static bool has_ipv6(const struct pod *pod)
{
    for (size_t i = 0; i < pod->pod_ips.len; i++) {
        if (memchr(pod->pod_ips.at[i].ptr, ':', pod->pod_ips.at[i].len)) {
            return true;
        }
    }
    return pod->pod_ip.len > 0 && memchr(pod->pod_ip.ptr, ':', pod->pod_ip.len);
}

static struct mesh_audience *audience_build(struct update *u, const struct pod *pod)
{
    struct mesh_audience *part = part_new(sizeof(*part));
    struct arena *a = part->part.arena;
    part->identity = arena_str(a, pod_identity(u, pod));
    part->namespace = arena_str(a, pod->object.meta.namespace);
    part->service_account = arena_str(a, pod->service_account);
    part->prometheus = is_true(pairs_find(&pod->object.meta.annotations, ANNOTATION_SCRAPE));
    part->ipv6 = has_ipv6(pod);
    struct services services = {0};
    struct inbounds in = {0};
    services_of_labels(u, part->namespace, &pod->object.meta.labels, &services);
    VEC_EACH(services.list, svc) {
        add_service(u, a, pod, *svc, &in);
    }
    if (in.list.len > 1) {
        qsort(in.list.at, in.list.len, sizeof(*in.list.at), by_name);
    }
    LIST_FROM(a, part->inbound, in.list);
    VEC_DONE(services.list);
    VEC_DONE(in.list);
    /* The content names the audience, so that equal ones find each other. */
    AUTO(buf_done) struct buf text;
    uint64_t hash = part_hash(MESH_AUDIENCES, part, &text);
    part->key = arena_printf(a, "%.*s|%016llx", STR_ARG(part->identity), (unsigned long long)hash);
    return part;
}

static int by_age(const void *x, const void *y)
{
    const struct pod *const *a = x, *const *b = y;
    const struct meta *m = &(*a)->object.meta, *n = &(*b)->object.meta;
    int c = str_cmp(m->namespace, n->namespace);
    c = c ? c : str_cmp((*a)->service_account, (*b)->service_account);
    c = c ? c : str_cmp(m->created, n->created);
    return c ? c : str_cmp(m->name, n->name);
}

/* Pods of the mesh that bear the uuid, those of one identity together, the oldest first. */
static void pods_of_uuid(struct update *u, struct str uuid, struct pods *ret)
{
    struct object_list all = store_lookup(u->s, INDEX_POD_BY_PROXY, uuid);
    for (size_t i = 0; i < all.len; i++) {
        if (monitored(u, all.at[i]->meta.namespace)) {
            VEC_PUSH(ret->list, (struct pod *)all.at[i]);
        }
    }
    if (ret->list.len > 1) {
        qsort(ret->list.at, ret->list.len, sizeof(*ret->list.at), by_age);
    }
}

static bool same_identity(const struct pod *a, const struct pod *b)
{
    return str_eq(a->object.meta.namespace, b->object.meta.namespace) &&
           str_eq(a->service_account, b->service_account);
}

static void note_copies(struct update *u, struct str uuid, const struct pods *pods)
{
    const struct pod *first = NULL;
    VEC_EACH(pods->list, at) {
        const struct pod *p = *at;
        bool younger = first && same_identity(first, p);
        first = younger ? first : p;
        if (younger) {
            note(u, &p->object,
                 "metadata.labels." LABEL_PROXY_UUID ": %.*s is that of the older Pod %.*s/%.*s, "
                 "so that this one has no sidecar of its own; make it again without this label",
                 STR_ARG(uuid), STR_ARG(first->object.meta.namespace),
                 STR_ARG(first->object.meta.name));
        } else if (!same_identity(pods->list.at[0], pods->list.at[pods->list.len - 1])) {
            note(u, &p->object,
                 "metadata.labels." LABEL_PROXY_UUID ": %.*s is borne by pods of several service "
                 "accounts; the sidecar is the one whose certificate was made for it: remove the "
                 "label from the others, or make them again without it",
                 STR_ARG(uuid));
        }
    }
}

static struct mesh_proxy_pod proxy_pod(struct update *u, struct arena *a, const struct pod *pod)
{
    struct mesh_audience *audience = audience_build(u, pod);
    struct str key = arena_str(u->scratch, audience->key);
    audience = part_publish(u, MESH_AUDIENCES, key, audience);
    return (struct mesh_proxy_pod){
        .pod = arena_str(a, key_of(u, pod->object.meta.namespace, pod->object.meta.name)),
        .identity = arena_str(a, audience->identity),
        .audience = arena_str(a, audience->key)};
}

static struct mesh_proxy *proxy_build(struct update *u, struct str uuid, const struct pods *pods)
{
    struct mesh_proxy *part = part_new(sizeof(*part));
    struct arena *a = part->part.arena;
    part->uuid = arena_str(a, uuid);
    part->pods.at = arena_array(a, pods->list.len, sizeof(*part->pods.at));
    for (size_t i = 0; i < pods->list.len; i++) {
        if (i == 0 || !same_identity(pods->list.at[i - 1], pods->list.at[i])) {
            part->pods.at[part->pods.len++] = proxy_pod(u, a, pods->list.at[i]);
        }
    }
    return part;
}

const struct mesh_proxy_pod *mesh_proxy_pod(const struct mesh_proxy *p, struct str identity)
{
    for (size_t i = 0; p && i < p->pods.len; i++) {
        if (str_eq(p->pods.at[i].identity, identity)) {
            return &p->pods.at[i];
        }
    }
    return NULL;
}

/* The audiences of `old` that `now` isn't in. */
static void leave(struct update *u, const struct mesh_proxy *old, const struct mesh_proxy *now)
{
    for (size_t i = 0; old && i < old->pods.len; i++) {
        const struct mesh_proxy_pod *was = &old->pods.at[i];
        const struct mesh_proxy_pod *is = mesh_proxy_pod(now, was->identity);
        if (!is || !str_eq(is->audience, was->audience)) {
            relation_remove(&u->m->members, was->audience, old->uuid);
            set_add(&u->dirty.left, was->audience);
        }
    }
}

void proxy_update(struct update *u, struct str uuid)
{
    struct findings notes;
    struct pods pods = {0};
    notes_begin(u, &notes);
    pods_of_uuid(u, uuid, &pods);
    struct mesh_proxy *part = NULL;
    if (pods.list.len > 0) {
        note_copies(u, uuid, &pods);
        part = proxy_build(u, uuid, &pods);
    }
    struct mesh_proxy *old = part_ref(map_find(&u->m->parts[MESH_PROXIES], uuid));
    part = part_publish(u, MESH_PROXIES, uuid, part);
    leave(u, old, part);
    for (size_t i = 0; part && i < part->pods.len; i++) {
        relation_add(&u->m->members, part->pods.at[i].audience, uuid);
    }
    part_unref(old);
    VEC_DONE(pods.list);
    notes_end(u, "proxy", uuid);
}

void audiences_sweep(struct update *u)
{
    SET_EACH(&u->dirty.left, it)
    {
        if (map_len(&relation_find(&u->m->members, it.key)->map) == 0) {
            part_publish(u, MESH_AUDIENCES, it.key, NULL);
        }
    }
}
