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
    part->service_account = arena_str(a, pod->spec.service_account_name);
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

/* The one pod that bears the uuid; a second one makes it nobody's, as else one pod could pass for
 * another by copying its label. */
static const struct pod *pod_of_uuid(struct update *u, struct str uuid)
{
    struct object_list pods = store_lookup(u->s, INDEX_POD_BY_PROXY, uuid);
    const struct object *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < pods.len; i++) {
        if (monitored(u, pods.at[i]->meta.namespace)) {
            found = pods.at[i];
            n++;
        }
    }
    for (size_t i = 0; n > 1 && i < pods.len; i++) {
        if (monitored(u, pods.at[i]->meta.namespace)) {
            note(u, pods.at[i],
                 "metadata.labels." LABEL_PROXY_UUID ": %.*s is borne by %zu pods, so that none of "
                 "them is served; delete the copy, or remove the label from it",
                 STR_ARG(uuid), n);
        }
    }
    return n == 1 ? (const struct pod *)found : NULL;
}

static struct mesh_proxy *proxy_build(struct update *u, struct str uuid, const struct pod *pod,
                                      const struct mesh_audience *audience)
{
    struct mesh_proxy *part = part_new(sizeof(*part));
    struct arena *a = part->part.arena;
    part->uuid = arena_str(a, uuid);
    part->pod = arena_str(a, key_of(u, pod->object.meta.namespace, pod->object.meta.name));
    part->identity = arena_str(a, audience->identity);
    part->audience = arena_str(a, audience->key);
    return part;
}

void proxy_update(struct update *u, struct str uuid)
{
    struct findings notes;
    notes_begin(u, &notes);
    const struct pod *pod = pod_of_uuid(u, uuid);
    struct mesh_proxy *part = NULL;
    if (pod) {
        struct mesh_audience *audience = audience_build(u, pod);
        struct str key = arena_str(u->scratch, audience->key);
        audience = part_publish(u, MESH_AUDIENCES, key, audience);
        part = proxy_build(u, uuid, pod, audience);
    }
    struct mesh_proxy *old = part_ref(map_find(&u->m->parts[MESH_PROXIES], uuid));
    part = part_publish(u, MESH_PROXIES, uuid, part);
    if (old && (!part || !str_eq(old->audience, part->audience))) {
        relation_remove(&u->m->members, old->audience, uuid);
        set_add(&u->dirty.left, old->audience);
    }
    if (part) {
        relation_add(&u->m->members, part->audience, uuid);
    }
    part_unref(old);
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
