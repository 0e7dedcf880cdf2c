/* The unit of a service: its part and its endpoints' part. */
#include "mesh/internal.h"

static void copy_ips(struct arena *a, const struct service *svc, struct mesh_service *ret)
{
    ret->headless = str_is(svc->cluster_ip, "None");
    if (ret->headless) {
        return;
    }
    struct strs one = {.at = (struct str[]){svc->cluster_ip}, .len = svc->cluster_ip.len > 0};
    const struct strs *ips = svc->cluster_ips.len > 0 ? &svc->cluster_ips : &one;
    ret->ips.at = arena_array(a, ips->len, sizeof(struct str));
    for (size_t i = 0; i < ips->len; i++) {
        ret->ips.at[ret->ips.len++] = arena_str(a, ips->at[i]);
    }
}

/* Sidecars tell the calls to a target port apart by the service's name only, so the first counts.
 */
static void note_mixed_targets(struct update *u, const struct service *svc,
                               const struct ports *ports)
{
    VEC_EACH(ports->list, p) {
        const struct mesh_port *first = ports->list.at;
        while (first->target_port != p->target_port) {
            first++;
        }
        if (first->protocol != p->protocol) {
            note(u, &svc->object,
                 "spec.ports: ports %u and %u both lead to target port %u, one as %s and one as "
                 "%s; sidecars take calls to it as %s, give both the same protocol",
                 first->port, p->port, p->target_port, protocol_name(first->protocol),
                 protocol_name(p->protocol), protocol_name(first->protocol));
        }
    }
}

static struct mesh_service *service_build(struct update *u, const struct service *svc,
                                          const struct ports *ports)
{
    struct mesh_service *part = part_new(sizeof(*part));
    struct arena *a = part->part.arena;
    part->namespace = arena_str(a, svc->object.meta.namespace);
    part->name = arena_str(a, svc->object.meta.name);
    part->key = arena_printf(a, "%.*s/%.*s", STR_ARG(part->namespace), STR_ARG(part->name));
    /* The suffix is part of what deployed sidecars expect, whatever the cluster's domain is. */
    part->fqdn = arena_printf(a, "%.*s.%.*s.svc.cluster.local", STR_ARG(part->name),
                              STR_ARG(part->namespace));
    copy_ips(a, svc, part);
    LIST_FROM(a, part->ports, ports->list);
    for (size_t i = 0; i < part->ports.len; i++) {
        part->ports.at[i].name = arena_str(a, part->ports.at[i].name);
    }
    routes_build(u, part);
    return part;
}

/* Splits whose apex isn't there have nobody else to speak for them. */
static void note_orphans(struct update *u, struct str key)
{
    struct str namespace, name;
    key_cut(key, &namespace, &name);
    if (!monitored(u, namespace)) {
        return;
    }
    const struct service *svc = (struct service *)store_find(u->s, KIND_SERVICE, namespace, name);
    if (svc) {
        note(u, &svc->object,
             "spec.type: services of type ExternalName aren't part of the mesh; calls to it need "
             "egress");
    }
    struct object_list splits = store_lookup(u->s, INDEX_SPLIT_BY_APEX, key);
    for (size_t i = 0; i < splits.len; i++) {
        note(u, splits.at[i],
             "spec.service: there is no service %.*s in the mesh, so that this split has no "
             "effect; create it, its backends' pods may be behind it",
             STR_ARG(key));
    }
}

static bool same_ports(const struct mesh_service *a, const struct mesh_service *b)
{
    if (!a || !b || a->ports.len != b->ports.len) {
        return a == b;
    }
    for (size_t i = 0; i < a->ports.len; i++) {
        const struct mesh_port *x = &a->ports.at[i], *y = &b->ports.at[i];
        if (x->port != y->port || x->target_port != y->target_port || x->protocol != y->protocol) {
            return false;
        }
    }
    return true;
}

/* Keeps the way back from identities to services, and remembers that others see the service
 * differently now. */
static void identities_changed(struct update *u, struct str key, const struct mesh_endpoints *old,
                               const struct mesh_endpoints *now)
{
    static const struct strs none;
    const struct strs *before = old ? &old->identities : &none;
    const struct strs *after = now ? &now->identities : &none;
    if (!old == !now && strs_equal(before, after)) {
        return;
    }
    for (size_t i = 0; i < before->len; i++) {
        relation_remove(&u->m->services_by_identity, before->at[i], key);
    }
    for (size_t i = 0; i < after->len; i++) {
        relation_add(&u->m->services_by_identity, after->at[i], key);
    }
    set_add(&u->dirty.seen, key);
}

void service_update(struct update *u, struct str key)
{
    struct findings notes;
    notes_begin(u, &notes);
    struct mesh_service *part = NULL;
    struct mesh_endpoints *endpoints = NULL;
    const struct service *svc = service_of_key(u, key);
    if (svc) {
        struct ports ports;
        ports_resolve(u, svc, true, &ports);
        note_mixed_targets(u, svc, &ports);
        part = service_build(u, svc, &ports);
        endpoints = endpoints_build(u, svc, &ports);
        ports_done(&ports);
    } else {
        note_orphans(u, key);
    }
    struct mesh_service *old = part_ref(map_find(&u->m->parts[MESH_SERVICES], key));
    struct mesh_endpoints *old_endpoints = part_ref(map_find(&u->m->parts[MESH_ENDPOINTS], key));
    part = part_publish(u, MESH_SERVICES, key, part);
    endpoints = part_publish(u, MESH_ENDPOINTS, key, endpoints);
    identities_changed(u, key, old_endpoints, endpoints);
    changes_mark_ingress(u, key, old_endpoints != endpoints);
    if (svc && !same_ports(old, part)) {
        changes_mark_pods_of(u, svc);
    }
    part_unref(old);
    part_unref(old_endpoints);
    notes_end(u, "service", key);
}
