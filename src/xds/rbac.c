/* Policy of a workload as Envoy's RBAC. The verdict is the union over all TrafficTargets: one
 * policy each, never "the first route that matches decides". */
#include "xds/pb.h"

static Permission *any_permission(struct arena *a)
{
    Permission *p = new_Permission(a);
    p->rule_case = ENVOY__CONFIG__RBAC__V3__PERMISSION__RULE_ANY;
    p->any = true;
    return p;
}

static Permission *header_permission(struct arena *a, HeaderMatcher *m)
{
    Permission *p = new_Permission(a);
    p->rule_case = ENVOY__CONFIG__RBAC__V3__PERMISSION__RULE_HEADER;
    p->header = m;
    return p;
}

HeaderMatcher *pb_header_regex(struct arena *a, struct str name, struct str regex)
{
    HeaderMatcher *m = new_HeaderMatcher(a);
    m->name = pb_str(a, name);
    m->header_match_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH;
    m->string_match = pb_regex(a, regex);
    return m;
}

HeaderMatcher *pb_header_exact(struct arena *a, struct str name, struct str value)
{
    HeaderMatcher *m = new_HeaderMatcher(a);
    m->name = pb_str(a, name);
    m->header_match_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH;
    m->string_match = pb_exact(a, value);
    return m;
}

static Permission *method_permission(struct arena *a, struct str method)
{
    return header_permission(a, pb_header_exact(a, STR(":method"), method));
}

static Permission *path_permission(struct arena *a, struct str regex)
{
    Permission *p = new_Permission(a);
    p->rule_case = ENVOY__CONFIG__RBAC__V3__PERMISSION__RULE_URL_PATH;
    p->url_path = new_PathMatcher(a);
    p->url_path->rule_case = ENVOY__TYPE__MATCHER__V3__PATH_MATCHER__RULE_PATH;
    p->url_path->path = pb_regex(a, regex);
    return p;
}

/* All of the set, or one of it; a set of one is itself. */
static Permission *combine(struct arena *a, Permission **rules, size_t n, bool all)
{
    if (n == 1) {
        return rules[0];
    }
    PermissionSet *set = new_PermissionSet(a);
    set->rules = rules;
    set->n_rules = n;
    Permission *p = new_Permission(a);
    p->rule_case = all ? ENVOY__CONFIG__RBAC__V3__PERMISSION__RULE_AND_RULES
                       : ENVOY__CONFIG__RBAC__V3__PERMISSION__RULE_OR_RULES;
    if (all) {
        p->and_rules = set;
    } else {
        p->or_rules = set;
    }
    return p;
}

static Permission *methods_permission(struct arena *a, const struct strs *methods)
{
    Permission **any_of = arena_array(a, methods->len, sizeof(*any_of));
    for (size_t i = 0; i < methods->len; i++) {
        any_of[i] = method_permission(a, methods->at[i]);
    }
    return combine(a, any_of, methods->len, false);
}

static Permission *match_permission(struct arena *a, const struct mesh_http_match *m)
{
    Permission **all = arena_array(a, m->headers.len + 2, sizeof(*all));
    size_t n = 0;
    if (m->path_regex.len > 0) {
        all[n++] = path_permission(a, m->path_regex);
    }
    if (m->methods.len > 0) {
        all[n++] = methods_permission(a, &m->methods);
    }
    for (size_t i = 0; i < m->headers.len; i++) {
        all[n++] =
            header_permission(a, pb_header_regex(a, m->headers.at[i].key, m->headers.at[i].value));
    }
    return n == 0 ? any_permission(a) : combine(a, all, n, true);
}

static Principal *any_principal(struct arena *a)
{
    Principal *p = new_Principal(a);
    p->identifier_case = ENVOY__CONFIG__RBAC__V3__PRINCIPAL__IDENTIFIER_ANY;
    p->any = true;
    return p;
}

static Principal *with_name(struct arena *a, StringMatcher *name)
{
    Principal *x = new_Principal(a);
    x->identifier_case = ENVOY__CONFIG__RBAC__V3__PRINCIPAL__IDENTIFIER_AUTHENTICATED;
    x->authenticated = new_Authenticated(a);
    x->authenticated->principal_name = name;
    return x;
}

static Principal *authenticated(struct arena *a, struct str name)
{
    return with_name(a, pb_exact(a, name));
}

/* Not everybody whose certificate the root signed: the ingress gateway's bears no such name. */
static Principal *any_workload(struct arena *a, const struct translate *t)
{
    return with_name(a, pb_prefix(a, pb_printf(a, "spiffe://%s/", t->trust_domain)));
}

static void add_sources(struct arena *a, const struct translate *t, Policy *p,
                        const struct strs *sources)
{
    p->principals = arena_array(a, sources->len, sizeof(*p->principals));
    for (size_t i = 0; i < sources->len; i++) {
        p->principals[p->n_principals++] =
            authenticated(a, str_of(name_spiffe(a, t, sources->at[i])));
    }
}

static void add_policy(struct arena *a, Rbac *r, struct str name, Policy *p)
{
    RbacEntry *x = new_RbacEntry(a);
    x->key = pb_str(a, name);
    x->value = p;
    r->policies[r->n_policies++] = x;
}

/* RBAC without policies and with the action ALLOW lets nobody in. */
static Rbac *new_rules(struct arena *a, const struct translate *t, const struct mesh_policy *policy)
{
    Rbac *r = new_Rbac(a);
    r->policies = arena_array(a, policy ? policy->rules.len + 1 : 1, sizeof(*r->policies));
    if (policy && policy->allow_all) {
        Policy *p = new_Policy(a);
        p->permissions = ONE(a, any_permission(a));
        p->n_permissions = 1;
        p->principals = ONE(a, any_workload(a, t));
        p->n_principals = 1;
        add_policy(a, r, STR("permissive"), p);
    }
    return r;
}

Rbac *pb_http_policy(struct arena *a, const struct translate *t, const struct mesh_policy *policy)
{
    Rbac *r = new_rules(a, t, policy);
    for (size_t i = 0; policy && !policy->allow_all && i < policy->rules.len; i++) {
        const struct mesh_rule *rule = &policy->rules.at[i];
        if (rule->http.len == 0 || rule->sources.len == 0) {
            continue;
        }
        Policy *p = new_Policy(a);
        p->permissions = arena_array(a, rule->http.len, sizeof(*p->permissions));
        for (size_t k = 0; k < rule->http.len; k++) {
            p->permissions[p->n_permissions++] = match_permission(a, &rule->http.at[k]);
        }
        add_sources(a, t, p, &rule->sources);
        add_policy(a, r, rule->name, p);
    }
    return r;
}

/* From which addresses, the chain says. */
Rbac *pb_ingress_policy(struct arena *a, const struct mesh_ingress_port *port)
{
    Rbac *r = new_Rbac(a);
    Policy *p = new_Policy(a);
    p->permissions = arena_array(a, port->matches.len + 1, sizeof(*p->permissions));
    for (size_t i = 0; !port->any_call && i < port->matches.len; i++) {
        p->permissions[p->n_permissions++] = match_permission(a, &port->matches.at[i]);
    }
    if (port->any_call) {
        p->permissions[p->n_permissions++] = any_permission(a);
    }
    p->principals = arena_array(a, port->principals.len + 1, sizeof(*p->principals));
    for (size_t i = 0; !port->any_client && i < port->principals.len; i++) {
        p->principals[p->n_principals++] = authenticated(a, port->principals.at[i]);
    }
    if (port->any_client) {
        p->principals[p->n_principals++] = any_principal(a);
    }
    r->policies = arena_array(a, 1, sizeof(*r->policies));
    if (p->n_permissions > 0 && p->n_principals > 0) {
        add_policy(a, r, port->policy, p);
    }
    return r;
}

static void add_ports(struct arena *a, Policy *p, const struct mesh_rule *rule)
{
    if (rule->tcp_ports.len == 0) {
        p->permissions = ONE(a, any_permission(a));
        p->n_permissions = 1;
        return;
    }
    p->permissions = arena_array(a, rule->tcp_ports.len, sizeof(*p->permissions));
    for (size_t i = 0; i < rule->tcp_ports.len; i++) {
        Permission *x = new_Permission(a);
        x->rule_case = ENVOY__CONFIG__RBAC__V3__PERMISSION__RULE_DESTINATION_PORT;
        x->destination_port = rule->tcp_ports.at[i];
        p->permissions[p->n_permissions++] = x;
    }
}

Rbac *pb_tcp_policy(struct arena *a, const struct translate *t, const struct mesh_policy *policy)
{
    Rbac *r = new_rules(a, t, policy);
    for (size_t i = 0; policy && !policy->allow_all && i < policy->rules.len; i++) {
        const struct mesh_rule *rule = &policy->rules.at[i];
        if (!rule->tcp || rule->sources.len == 0) {
            continue;
        }
        Policy *p = new_Policy(a);
        add_ports(a, p, rule);
        add_sources(a, t, p, &rule->sources);
        add_policy(a, r, rule->name, p);
    }
    return r;
}
