/* The addresses behind a service, and whose they are. */
#include <string.h>

#include "mesh/internal.h"

struct build {
    struct update *u;
    const struct service *svc;
    const struct ports *ports;
    struct arena *a;  /* the part's */
    struct map by_ip; /* ip -> struct mesh_endpoint, in the part's arena */
    struct set identities;
};

static const struct pod *pod_in_mesh(struct build *b, struct object *o)
{
    return o && monitored(b->u, o->meta.namespace) ? (const struct pod *)o : NULL;
}

/* A pod that has ended keeps its address in its status while others already use it, and pods on the
 * host's network share the host's. */
static bool holds_address(const struct pod *p)
{
    return !p->host_network && !str_is(p->phase, "Succeeded") && !str_is(p->phase, "Failed");
}

/* Pods of two identities with one address: nobody knows whose it is. */
static const struct pod *pod_by_ip(struct build *b, struct str ip)
{
    struct object_list pods = store_lookup(b->u->s, INDEX_POD_BY_IP, ip);
    const struct pod *found = NULL;
    for (size_t i = 0; i < pods.len; i++) {
        const struct pod *p = pod_in_mesh(b, pods.at[i]);
        if (!p || !holds_address(p)) {
            continue;
        }
        if (found && !str_eq(pod_identity(b->u, p), pod_identity(b->u, found))) {
            return NULL;
        }
        found = found ? found : p;
    }
    return found;
}

static const struct pod *pod_of(struct build *b, const struct object *slice,
                                const struct endpoint *e, struct str ip)
{
    if (str_is(e->target_kind, "Pod")) {
        struct str namespace =
            e->target_namespace.len > 0 ? e->target_namespace : slice->meta.namespace;
        const struct pod *p =
            pod_in_mesh(b, store_find(b->u->s, KIND_POD, namespace, e->target_name));
        if (p) {
            return p;
        }
    }
    return pod_by_ip(b, ip);
}

/* The slice's number for a port of the service. Slices name ports as the Service does; a lone port
 * without a name needs none. */
static uint16_t port_in_slice(const struct endpoint_slice *slice, const struct mesh_port *p)
{
    for (size_t i = 0; i < slice->ports.len; i++) {
        const struct endpoint_port *ep = &slice->ports.at[i];
        bool tcp = ep->protocol.len == 0 || str_is(ep->protocol, "TCP");
        bool named = str_eq(ep->name, p->name) || (p->name.len == 0 && slice->ports.len == 1);
        if (tcp && named && ep->port >= 1 && ep->port <= UINT16_MAX) {
            return (uint16_t)ep->port;
        }
    }
    return 0;
}

/* Kubernetes gives no meaning to addresses after the first. One address may be in two slices, each
 * with some of its ports, or while it moves between them. */
static void add_endpoint(struct build *b, const struct endpoint_slice *slice,
                         const struct endpoint *e)
{
    struct str ip = e->addresses.at[0];
    const struct pod *pod = pod_of(b, &slice->object, e, ip);
    struct str identity = pod ? pod_identity(b->u, pod) : STR("");
    if (identity.len > 0) {
        set_add(&b->identities, identity);
    }
    if (!e->ready && !b->svc->publish_not_ready_addresses) {
        return;
    }
    struct mesh_endpoint *at = map_find(&b->by_ip, ip);
    if (!at) {
        at = ARENA_NEW(b->a, struct mesh_endpoint);
        at->ip = arena_str(b->a, ip);
        at->ports = arena_array(b->a, b->ports->list.len, sizeof(uint16_t));
        at->identity = arena_str(b->a, identity);
        const struct str *uuid =
            pod ? pairs_find(&pod->object.meta.labels, LABEL_PROXY_UUID) : NULL;
        at->in_mesh = uuid && uuid->len > 0;
        map_put(&b->by_ip, at->ip, at);
    }
    uint16_t *ports = (uint16_t *)at->ports;
    for (size_t i = 0; i < b->ports->list.len; i++) {
        if (ports[i] == 0) {
            ports[i] = port_in_slice(slice, &b->ports->list.at[i]);
        }
    }
}

static void add_slices(struct build *b)
{
    const struct meta *meta = &b->svc->object.meta;
    struct object_list slices = lookup(b->u, INDEX_SLICE_BY_SERVICE, meta->namespace, meta->name);
    for (size_t i = 0; i < slices.len; i++) {
        const struct endpoint_slice *slice = (const struct endpoint_slice *)slices.at[i];
        if (!str_is(slice->address_type, "IPv4") && !str_is(slice->address_type, "IPv6")) {
            note(b->u, &slice->object,
                 "addressType: expected IPv4 or IPv6, found \"%.*s\"; its endpoints are left out",
                 STR_ARG(slice->address_type));
            continue;
        }
        for (size_t j = 0; j < slice->endpoints.len; j++) {
            if (slice->endpoints.at[j].addresses.len > 0) {
                add_endpoint(b, slice, &slice->endpoints.at[j]);
            }
        }
    }
}

static bool is_v6(struct str ip)
{
    return memchr(ip.ptr, ':', ip.len) != NULL;
}

static int by_address(const void *x, const void *y)
{
    const struct mesh_endpoint *a = x, *b = y;
    int c = (int)is_v6(a->ip) - (int)is_v6(b->ip);
    return c ? c : str_cmp(a->ip, b->ip);
}

struct mesh_endpoints *endpoints_build(struct update *u, const struct service *svc,
                                       const struct ports *ports)
{
    struct mesh_endpoints *part = part_new(sizeof(*part));
    struct build b = {.u = u, .svc = svc, .ports = ports, .a = part->part.arena};
    part->service = arena_str(b.a, key_of(u, svc->object.meta.namespace, svc->object.meta.name));
    part->port_count = ports->list.len;
    add_slices(&b);
    struct pods pods = {0};
    pods_of_service(u, svc, &pods);
    VEC_EACH(pods.list, p) {
        set_add(&b.identities, pod_identity(u, *p));
    }
    VEC_DONE(pods.list);
    part->identities = set_sorted(b.a, &b.identities);
    part->at.at = arena_array(b.a, map_len(&b.by_ip), sizeof(struct mesh_endpoint));
    MAP_EACH(&b.by_ip, it) {
        part->at.at[part->at.len++] = *(struct mesh_endpoint *)it.value;
    }
    if (part->at.len > 1) {
        qsort(part->at.at, part->at.len, sizeof(struct mesh_endpoint), by_address);
    }
    map_done(&b.by_ip, NULL);
    set_done(&b.identities);
    return part;
}
