/* The routes of each port of a service: what TrafficSplits of which it is the apex make of them.
 *
 * A backend that is itself the apex of another split gets the calls on its own endpoints: splits
 * don't chain, so that none can run in a circle. */
#include "mesh/internal.h"

struct routes {
    VEC(struct mesh_route) list;
};
struct backends {
    VEC(struct mesh_backend) list;
};

/* What the splits of one apex come to, before its ports are looked at. */
struct conditional {
    const struct traffic_split *split;
    struct http_matches matches;
};
struct plan {
    struct update *u;
    struct arena *a; /* the part's */
    struct str key;
    VEC(struct conditional) conditionals; /* by name */
    const struct traffic_split *base;     /* without matches; may be NULL */
};

static void collect_matches(struct plan *p, const struct traffic_split *split,
                            struct http_matches *ret)
{
    struct str namespace = split->object.meta.namespace;
    for (size_t i = 0; i < split->matches.len; i++) {
        struct str name = split->matches.at[i].name;
        const struct http_route_group *group =
            (struct http_route_group *)store_find(p->u->s, KIND_HTTP_ROUTE_GROUP, namespace, name);
        if (!group) {
            note(p->u, &split->object,
                 "spec.matches[%zu]: there is no HTTPRouteGroup %.*s/%.*s; these matches apply to "
                 "no call until there is",
                 i, STR_ARG(namespace), STR_ARG(name));
            continue;
        }
        for (size_t j = 0; j < group->matches.len; j++) {
            struct mesh_http_match m;
            match_compile(p->a, &group->matches.at[j], &m);
            VEC_PUSH(ret->list, m);
        }
    }
}

static void plan_splits(struct plan *p)
{
    struct object_list splits = store_lookup(p->u->s, INDEX_SPLIT_BY_APEX, p->key);
    for (size_t i = 0; i < splits.len; i++) {
        const struct traffic_split *split = (const struct traffic_split *)splits.at[i];
        if (split->matches.len > 0) {
            struct conditional c = {.split = split};
            collect_matches(p, split, &c.matches);
            VEC_PUSH(p->conditionals, c);
        } else if (!p->base) {
            p->base = split;
        } else {
            note(p->u, &split->object,
                 "spec.service: TrafficSplit %.*s already splits all calls to %.*s and comes first "
                 "by name; this one has no effect (E2007), give it matches or delete it",
                 STR_ARG(p->base->object.meta.name), STR_ARG(p->key));
        }
    }
}

/* The port of the backend that takes the place of the apex's. */
static const struct mesh_port *backend_port(const struct ports *ports, const struct mesh_port *apex)
{
    VEC_EACH(ports->list, p) {
        if (p->port == apex->port) {
            return p;
        }
    }
    VEC_EACH(ports->list, p) {
        if (p->name.len > 0 && str_eq(p->name, apex->name)) {
            return p;
        }
    }
    return ports->list.len == 1 ? &ports->list.at[0] : NULL;
}

static uint16_t backend_target(struct plan *p, const struct traffic_split *split, size_t i,
                               const struct mesh_port *apex)
{
    struct str key = key_of(p->u, split->object.meta.namespace, split->backends.at[i].service);
    if (str_eq(key, p->key)) {
        return apex->target_port;
    }
    const struct service *svc = service_of_key(p->u, key);
    if (!svc) {
        note(p->u, &split->object,
             "spec.backends[%zu].service: there is no service %.*s in the mesh; its share goes to "
             "the other backends",
             i, STR_ARG(key));
        return 0;
    }
    struct ports ports;
    ports_resolve(p->u, svc, false, &ports);
    const struct mesh_port *port = backend_port(&ports, apex);
    uint16_t target = port ? port->target_port : 0;
    if (!port) {
        note(p->u, &split->object,
             "spec.backends[%zu].service: service %.*s has no port %u as %.*s has, nor one of that "
             "name, nor a single one; its share of port %u goes to the other backends",
             i, STR_ARG(key), apex->port, STR_ARG(p->key), apex->port);
    }
    ports_done(&ports);
    return target;
}

static void add_route(struct plan *p, struct routes *routes, const struct http_matches *matches,
                      const struct backends *backends)
{
    struct mesh_route route = {0};
    if (matches) {
        LIST_FROM(p->a, route.matches, matches->list);
    }
    LIST_FROM(p->a, route.backends, backends->list);
    VEC_PUSH(routes->list, route);
}

/* split == NULL: the service itself takes all. */
static void route_to(struct plan *p, struct routes *routes, const struct mesh_port *apex,
                     const struct http_matches *matches, const struct traffic_split *split)
{
    struct backends backends = {0};
    for (size_t i = 0; split && i < split->backends.len; i++) {
        int64_t weight = split->backends.at[i].weight;
        uint16_t target = backend_target(p, split, i, apex);
        if (weight > 0 && target > 0) {
            struct str key =
                key_of(p->u, split->object.meta.namespace, split->backends.at[i].service);
            VEC_PUSH(backends.list, (struct mesh_backend){
                                        .service = arena_str(p->a, key),
                                        .target_port = target,
                                        .weight = (uint32_t)weight,
                                    });
        }
    }
    if (split && backends.list.len == 0) {
        note(p->u, &split->object,
             "spec.backends: none can take calls to port %u of %.*s, so that service takes them",
             apex->port, STR_ARG(p->key));
    }
    if (backends.list.len == 0) {
        VEC_PUSH(backends.list,
                 (struct mesh_backend){arena_str(p->a, p->key), apex->target_port, 100});
    }
    add_route(p, routes, matches, &backends);
    VEC_DONE(backends.list);
}

static void port_routes(struct plan *p, struct mesh_port *port)
{
    struct routes routes = {0};
    VEC_EACH(p->conditionals, c) {
        if (!protocol_is_http(port->protocol)) {
            note(p->u, &c->split->object,
                 "spec.matches: port %u of %.*s speaks %s, where HTTP matches mean nothing; calls "
                 "to it aren't split by this",
                 port->port, STR_ARG(p->key), protocol_name(port->protocol));
        } else if (c->matches.list.len > 0) {
            route_to(p, &routes, port, &c->matches, c->split);
        }
    }
    route_to(p, &routes, port, NULL, p->base);
    LIST_FROM(p->a, port->routes, routes.list);
    VEC_DONE(routes.list);
}

void routes_build(struct update *u, struct mesh_service *part)
{
    struct plan p = {.u = u, .a = part->part.arena, .key = part->key};
    plan_splits(&p);
    for (size_t i = 0; i < part->ports.len; i++) {
        port_routes(&p, &part->ports.at[i]);
    }
    VEC_EACH(p.conditionals, c) {
        VEC_DONE(c->matches.list);
    }
    VEC_DONE(p.conditionals);
}
