/* The unit of an ingress: what callers outside the mesh may do with a service. */
#include "kinds/policy.h"
#include "mesh/internal.h"

/* One backend of an IngressBackend while it is compiled. */
struct opening {
    struct update *u;
    struct arena *a; /* the part's */
    const struct ingress_backend *policy;
    size_t index; /* of the backend */
    const struct ingress_backend_entry *backend;
    const struct service *service;
    const struct mesh_service *part;
};

static bool leads_to(const struct opening *o, uint16_t port)
{
    for (size_t i = 0; i < o->part->ports.len; i++) {
        if (o->part->ports.at[i].target_port == port) {
            return true;
        }
    }
    /* Pods of one Service may have different numbers for a named port. */
    struct pods pods = {0};
    bool found = false;
    pods_of_service(o->u, o->service, &pods);
    for (size_t i = 0; i < pods.list.len && !found; i++) {
        for (size_t j = 0; j < o->service->ports.len && !found; j++) {
            struct str name = o->service->ports.at[j].target_port.name;
            found = name.len > 0 && pod_port(pods.list.at[i], name) == port;
        }
    }
    VEC_DONE(pods.list);
    return found;
}

static void note_port(const struct opening *o)
{
    AUTO(buf_done) struct buf ports;
    buf_init(&ports, 512);
    for (size_t i = 0; i < o->part->ports.len; i++) {
        buf_printf(&ports, "%s%u", i ? ", " : "", o->part->ports.at[i].target_port);
    }
    struct str list = ports.len > 0 ? buf_str(&ports) : STR("no port at all");
    note(o->u, &o->policy->object,
         "spec.backends[%zu].port.number: expected a port of the pods of service %.*s, to which it "
         "leads calls (%.*s), found %d; nothing is opened",
         o->index, STR_ARG(o->part->key), STR_ARG(list), (int)o->backend->port.number);
}

/* --- from where --- */

static void add_service(const struct opening *o, size_t i, struct set *ranges)
{
    const struct policy_subject *s = &o->policy->sources.at[i];
    struct str key = key_of(o->u, s->namespace, s->name);
    const struct mesh_endpoints *endpoints = mesh_endpoints_find(o->u->m, key);
    if (!endpoints) {
        note(o->u, &o->policy->object,
             "spec.sources[%zu]: endpoints not found for service %.*s: there is no such service in "
             "the mesh; check its name, or let its namespace join (without sidecars: osm namespace "
             "add %.*s --disable-sidecar-injection)",
             i, STR_ARG(key), STR_ARG(s->namespace));
        return;
    }
    if (endpoints->at.len == 0) {
        note(o->u, &o->policy->object,
             "spec.sources[%zu]: endpoints not found for service %.*s: none of its pods is ready, "
             "so that nobody may call from there yet",
             i, STR_ARG(key));
    }
    for (size_t j = 0; j < endpoints->at.len; j++) {
        struct str range = range_of_address(o->a, endpoints->at.at[j].ip);
        if (range.len > 0) {
            set_add(ranges, range);
        }
    }
}

/* Any address only where no source speaks of addresses: a Service that has none opens nothing. */
static void collect_addresses(const struct opening *o, struct mesh_ingress_port *ret)
{
    struct set ranges = {0};
    ret->any_address = true;
    for (size_t i = 0; i < o->policy->sources.len; i++) {
        const struct policy_subject *s = &o->policy->sources.at[i];
        if (str_is(s->kind, "Service")) {
            ret->any_address = false;
            add_service(o, i, &ranges);
        } else if (str_is(s->kind, "IPRange")) {
            ret->any_address = false;
            struct str range = range_canonical(o->a, s->name);
            if (range.len > 0) {
                set_add(&ranges, range);
            }
        }
    }
    ret->ranges = set_sorted(o->a, &ranges);
    set_done(&ranges);
}

/* --- who --- */

static void collect_principals(const struct opening *o, struct mesh_ingress_port *ret)
{
    const struct ingress_tls *tls = o->backend->tls;
    ret->any_client = !ret->tls || (tls && tls->skip_client_cert_validation);
    if (ret->any_client) {
        return;
    }
    ret->principals.at = arena_array(o->a, o->policy->sources.len, sizeof(struct str));
    for (size_t i = 0; i < o->policy->sources.len; i++) {
        const struct policy_subject *s = &o->policy->sources.at[i];
        if (str_is(s->kind, "AuthenticatedPrincipal")) {
            ret->principals.at[ret->principals.len++] = arena_str(o->a, s->name);
        }
    }
    strs_sort_unique(&ret->principals);
}

/* Envoy refuses a whole listener for a name that it can't match. */
static bool name_matches(struct str s)
{
    if (str_starts(s, "*.")) {
        s = (struct str){s.ptr + 2, s.len - 2};
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
              c == '_')) {
            return false;
        }
    }
    return s.len > 0;
}

/* False when names were asked for and none can be. */
static bool collect_server_names(const struct opening *o, struct mesh_ingress_port *ret)
{
    const struct ingress_tls *tls = o->backend->tls;
    if (!ret->tls || !tls || tls->sni_hosts.len == 0) {
        return true;
    }
    ret->server_names.at = arena_array(o->a, tls->sni_hosts.len, sizeof(struct str));
    for (size_t i = 0; i < tls->sni_hosts.len; i++) {
        struct str name = lower_case(o->a, tls->sni_hosts.at[i]);
        if (name_matches(name)) {
            ret->server_names.at[ret->server_names.len++] = name;
        } else {
            note(o->u, &o->policy->object,
                 "spec.backends[%zu].tls.sniHosts[%zu]: expected a host name, or *. and a domain, "
                 "found \"%.*s\"; it is left out",
                 o->index, i, STR_ARG(name));
        }
    }
    strs_sort_unique(&ret->server_names);
    return ret->server_names.len > 0;
}

/* --- what --- */

static void collect_matches(const struct opening *o, struct mesh_ingress_port *ret)
{
    struct http_matches list = {0};
    struct str namespace = o->policy->object.meta.namespace;
    ret->any_call = o->policy->matches.len == 0;
    for (size_t i = 0; i < o->policy->matches.len; i++) {
        const struct policy_match *m = &o->policy->matches.at[i];
        const struct http_route_group *group = NULL;
        if (!str_is(m->kind, "HTTPRouteGroup") ||
            !str_is(m->api_group, "specs.smi-spec.io/v1alpha4")) {
            note(o->u, &o->policy->object,
                 "spec.matches[%zu]: expected an HTTPRouteGroup of specs.smi-spec.io/v1alpha4, "
                 "found %.*s of %.*s; it allows nothing",
                 i, STR_ARG(m->kind), STR_ARG(m->api_group));
            continue;
        }
        group = (struct http_route_group *)store_find(o->u->s, KIND_HTTP_ROUTE_GROUP, namespace,
                                                      m->name);
        if (!group) {
            note(o->u, &o->policy->object,
                 "spec.matches[%zu]: there is no HTTPRouteGroup %.*s/%.*s; it allows nothing until "
                 "there is",
                 i, STR_ARG(namespace), STR_ARG(m->name));
        }
        for (size_t j = 0; group && j < group->matches.len; j++) {
            struct mesh_http_match compiled;
            match_compile(o->a, &group->matches.at[j], &compiled);
            VEC_PUSH(list.list, compiled);
        }
    }
    LIST_FROM(o->a, ret->matches, list.list);
    VEC_DONE(list.list);
}

/* Whoever shows no certificate is told from others by the address only. */
static bool says_who(const struct opening *o, const struct mesh_ingress_port *p)
{
    if (p->any_client && p->any_address) {
        note(o->u, &o->policy->object,
             "spec.sources: expected a Service or an IPRange, as callers of spec.backends[%zu] "
             "%s, found none; nothing is opened",
             o->index, p->tls ? "needn't show a certificate" : "show no certificate over http");
        return false;
    }
    return (p->any_client || p->principals.len > 0) && (p->any_address || p->ranges.len > 0);
}

/* False when it comes to nothing. */
static bool compile(const struct opening *o, struct mesh_ingress_port *ret)
{
    *ret = (struct mesh_ingress_port){
        .policy = arena_str(
            o->a, key_of(o->u, o->policy->object.meta.namespace, o->policy->object.meta.name)),
        .target_port = (uint16_t)o->backend->port.number,
        .tls = str_is(o->backend->port.protocol, "https"),
    };
    if (!leads_to(o, ret->target_port)) {
        note_port(o);
        return false;
    }
    collect_addresses(o, ret);
    collect_principals(o, ret);
    collect_matches(o, ret);
    return collect_server_names(o, ret) && says_who(o, ret) &&
           (ret->any_call || ret->matches.len > 0);
}

/* --- the whole --- */

struct openings {
    VEC(struct mesh_ingress_port) list;
    struct map taken; /* port -> the policy that said it first */
};

static void note_second(const struct opening *o, const struct object *first)
{
    note(o->u, &o->policy->object,
         "spec.backends[%zu]: IngressBackend %.*s/%.*s opens port %d of service %.*s, too; only "
         "that one counts there: say it once",
         o->index, STR_ARG(first->meta.namespace), STR_ARG(first->meta.name),
         (int)o->backend->port.number, STR_ARG(o->part->key));
}

static void add_policy(struct opening *o, struct openings *ret)
{
    for (size_t i = 0; i < o->policy->backends.len; i++) {
        o->index = i;
        o->backend = &o->policy->backends.at[i];
        if (!str_eq(o->backend->name, o->part->name)) {
            continue;
        }
        struct str port = arena_printf(o->u->scratch, "%d", (int)o->backend->port.number);
        const struct object *first = map_find(&ret->taken, port);
        if (first) {
            note_second(o, first);
            continue;
        }
        map_put(&ret->taken, port, (void *)&o->policy->object);
        struct mesh_ingress_port compiled;
        if (compile(o, &compiled)) {
            VEC_PUSH(ret->list, compiled);
        }
    }
}

static void note_missing(struct update *u, const struct ingress_backend *b, struct str key)
{
    for (size_t i = 0; i < b->backends.len; i++) {
        if (str_eq(key_of(u, b->object.meta.namespace, b->backends.at[i].name), key)) {
            note(u, &b->object,
                 "spec.backends[%zu].name: there is no service %.*s in the mesh; nothing is opened "
                 "until there is",
                 i, STR_ARG(key));
        }
    }
}

static int by_port(const void *a, const void *b)
{
    const struct mesh_ingress_port *x = a, *y = b;
    return (int)x->target_port - (int)y->target_port;
}

static struct mesh_ingress *ingress_build(struct update *u, const struct mesh_service *service,
                                          const struct service *svc, struct object_list policies)
{
    struct mesh_ingress *part = part_new(sizeof(*part));
    struct arena *a = part->part.arena;
    struct openings found = {0};
    part->service = arena_str(a, service->key);
    for (size_t i = 0; i < policies.len; i++) {
        struct opening o = {.u = u,
                            .a = a,
                            .policy = (const struct ingress_backend *)policies.at[i],
                            .service = svc,
                            .part = service};
        add_policy(&o, &found);
    }
    LIST_FROM(a, part->ports, found.list);
    bool empty = part->ports.len == 0;
    VEC_DONE(found.list);
    map_done(&found.taken, NULL);
    if (empty) {
        return part_unref(part);
    }
    qsort(part->ports.at, part->ports.len, sizeof(*part->ports.at), by_port);
    return part;
}

void ingress_update(struct update *u, struct str key)
{
    struct findings notes;
    struct mesh_ingress *part = NULL;
    struct str namespace, name;
    notes_begin(u, &notes);
    key_cut(key, &namespace, &name);
    const struct service *svc = service_of_key(u, key);
    const struct mesh_service *service = mesh_service_find(u->m, key);
    struct object_list policies = store_lookup(u->s, INDEX_INGRESS_BY_BACKEND, key);
    if (svc && service) {
        part = ingress_build(u, service, svc, policies);
    } else if (monitored(u, namespace)) {
        for (size_t i = 0; i < policies.len; i++) {
            note_missing(u, (const struct ingress_backend *)policies.at[i], key);
        }
    }
    part_publish(u, MESH_INGRESS, key, part);
    notes_end(u, "ingress", key);
}

const struct mesh_ingress_port *mesh_ingress_port(const struct mesh_ingress *x, uint16_t port)
{
    for (size_t i = 0; x && i < x->ports.len; i++) {
        if (x->ports.at[i].target_port == port) {
            return &x->ports.at[i];
        }
    }
    return NULL;
}
