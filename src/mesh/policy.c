/* The unit of a policy: who may call the workloads of one identity. */
#include "mesh/internal.h"

#define ROUTE_GROUP "HTTPRouteGroup"
#define TCP_ROUTE "TCPRoute"

/* A rule while it grows. */
struct rule {
    struct update *u;
    struct arena *a; /* the part's */
    const struct traffic_target *target;
    struct http_matches http;
    bool tcp, any_port;
    VEC(uint16_t) ports;
};

bool target_valid(struct update *u, const struct traffic_target *t)
{
    struct str namespace = t->object.meta.namespace;
    return str_eq(namespace, t->destination.namespace) && monitored(u, namespace);
}

/* Every namespace has the account "default" without anybody writing it down. */
static bool account_exists(struct update *u, const struct identity_subject *s)
{
    return monitored(u, s->namespace) &&
           (str_is(s->name, "default") ||
            store_find(u->s, KIND_SERVICE_ACCOUNT, s->namespace, s->name));
}

static void collect_sources(struct rule *r, struct strs *ret)
{
    const struct traffic_target *t = r->target;
    ret->at = arena_array(r->a, t->sources.len, sizeof(struct str));
    for (size_t i = 0; i < t->sources.len; i++) {
        const struct identity_subject *s = &t->sources.at[i];
        if (!account_exists(r->u, s)) {
            note(r->u, &t->object,
                 "spec.sources[%zu]: there is no service account %.*s/%.*s in the mesh; check its "
                 "name and namespace",
                 i, STR_ARG(s->namespace), STR_ARG(s->name));
        }
        ret->at[ret->len++] = arena_str(r->a, key_of(r->u, s->namespace, s->name));
    }
    strs_sort_unique(ret);
}

static void add_match(struct rule *r, const struct http_match *m)
{
    struct mesh_http_match compiled;
    match_compile(r->a, m, &compiled);
    VEC_PUSH(r->http.list, compiled);
}

static const struct http_match *match_find(const struct http_route_group *group, struct str name)
{
    for (size_t i = 0; i < group->matches.len; i++) {
        if (str_eq(group->matches.at[i].name, name)) {
            return &group->matches.at[i];
        }
    }
    return NULL;
}

static void add_group(struct rule *r, size_t i)
{
    const struct traffic_target_rule *rule = &r->target->rules.at[i];
    struct str namespace = r->target->object.meta.namespace;
    const struct http_route_group *group = (struct http_route_group *)store_find(
        r->u->s, KIND_HTTP_ROUTE_GROUP, namespace, rule->name);
    if (!group) {
        note(
            r->u, &r->target->object,
            "spec.rules[%zu]: there is no HTTPRouteGroup %.*s/%.*s; this rule allows nothing until "
            "there is",
            i, STR_ARG(namespace), STR_ARG(rule->name));
        return;
    }
    for (size_t j = 0; rule->matches.len == 0 && j < group->matches.len; j++) {
        add_match(r, &group->matches.at[j]);
    }
    for (size_t j = 0; j < rule->matches.len; j++) {
        const struct http_match *m = match_find(group, rule->matches.at[j]);
        if (m) {
            add_match(r, m);
        } else {
            note(r->u, &r->target->object,
                 "spec.rules[%zu].matches[%zu]: HTTPRouteGroup %.*s/%.*s has no match \"%.*s\"; it "
                 "allows nothing until there is one",
                 i, j, STR_ARG(namespace), STR_ARG(rule->name), STR_ARG(rule->matches.at[j]));
        }
    }
}

static void add_tcp_route(struct rule *r, size_t i)
{
    struct str namespace = r->target->object.meta.namespace, name = r->target->rules.at[i].name;
    const struct tcp_route *route =
        (struct tcp_route *)store_find(r->u->s, KIND_TCP_ROUTE, namespace, name);
    if (!route) {
        note(
            r->u, &r->target->object,
            "spec.rules[%zu]: there is no TCPRoute %.*s/%.*s; this rule allows nothing until there "
            "is",
            i, STR_ARG(namespace), STR_ARG(name));
        return;
    }
    r->any_port |= route->ports.len == 0;
    for (size_t j = 0; j < route->ports.len; j++) {
        if (route->ports.at[j] >= 1 && route->ports.at[j] <= UINT16_MAX) {
            VEC_PUSH(r->ports, (uint16_t)route->ports.at[j]);
        }
    }
    r->tcp = r->any_port || r->ports.len > 0;
}

static int by_number(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static void finish_ports(struct rule *r, struct mesh_rule *ret)
{
    ret->tcp = r->tcp;
    if (!r->tcp || r->any_port) {
        return;
    }
    qsort(r->ports.at, r->ports.len, sizeof(uint16_t), by_number);
    LIST_FROM(r->a, ret->tcp_ports, r->ports);
    size_t n = 1;
    for (size_t i = 1; i < ret->tcp_ports.len; i++) {
        if (ret->tcp_ports.at[i] != ret->tcp_ports.at[n - 1]) {
            ret->tcp_ports.at[n++] = ret->tcp_ports.at[i];
        }
    }
    ret->tcp_ports.len = n;
}

/* False when the target comes to nothing: a rule without conditions must never reach anybody who
 * could take it for one that allows all. */
static bool compile_target(struct update *u, struct arena *a, const struct traffic_target *t,
                           struct mesh_rule *ret)
{
    struct rule r = {.u = u, .a = a, .target = t};
    *ret = (struct mesh_rule){0};
    if (!account_exists(u, &t->destination)) {
        note(u, &t->object,
             "spec.destination: there is no service account %.*s/%.*s in the mesh; check its name",
             STR_ARG(t->destination.namespace), STR_ARG(t->destination.name));
    }
    ret->name = arena_str(a, key_of(u, t->object.meta.namespace, t->object.meta.name));
    collect_sources(&r, &ret->sources);
    for (size_t i = 0; i < t->rules.len; i++) {
        if (str_is(t->rules.at[i].kind, ROUTE_GROUP)) {
            add_group(&r, i);
        } else if (str_is(t->rules.at[i].kind, TCP_ROUTE)) {
            add_tcp_route(&r, i);
        }
    }
    LIST_FROM(a, ret->http, r.http.list);
    finish_ports(&r, ret);
    VEC_DONE(r.http.list);
    VEC_DONE(r.ports);
    return ret->sources.len > 0 && (ret->http.len > 0 || ret->tcp);
}

static bool identity_known(struct update *u, struct str identity)
{
    struct str namespace, name;
    key_cut(identity, &namespace, &name);
    return monitored(u, namespace) && (store_find(u->s, KIND_SERVICE_ACCOUNT, namespace, name) ||
                                       store_lookup(u->s, INDEX_POD_BY_ACCOUNT, identity).len > 0);
}

void policy_update(struct update *u, struct str identity)
{
    struct findings notes;
    notes_begin(u, &notes);
    struct mesh_policy *part = part_new(sizeof(*part));
    struct arena *a = part->part.arena;
    part->identity = arena_str(a, identity);
    bool known = identity_known(u, identity);
    struct object_list targets = store_lookup(u->s, INDEX_TARGET_BY_DESTINATION, identity);
    part->rules.at = arena_array(a, targets.len, sizeof(struct mesh_rule));
    for (size_t i = 0; i < targets.len; i++) {
        const struct traffic_target *t = (const struct traffic_target *)targets.at[i];
        if (target_valid(u, t)) {
            known = true;
            part->rules.len += compile_target(u, a, t, &part->rules.at[part->rules.len]);
        }
    }
    if (u->m->permissive) {
        part->allow_all = true;
        part->rules.len = 0;
    }
    if (!known) {
        part = part_unref(part);
    }
    part_publish(u, MESH_POLICIES, identity, part);
    notes_end(u, "policy", identity);
}
