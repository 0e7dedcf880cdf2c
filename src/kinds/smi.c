/* The Service Mesh Interface's kinds. */
#include "kinds/smi.h"

#include "base/map.h"
#include "kinds/regex.h"
#include "kinds/row.h"

static const struct field text_item = {"", FIELD_STRING};

static const char *const identity_kinds[] = {"ServiceAccount", NULL};

static const struct field identity_fields[] = {
    {"kind", FIELD_STRING, AT(identity_subject, kind), FIELD_REQUIRED, .words = identity_kinds,
     .help = "Kind of the identity."},
    {"name", FIELD_STRING, AT(identity_subject, name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of the service account."},
    {"namespace", FIELD_STRING, AT(identity_subject, namespace), .format = &format_dns_label,
     .help = "Its namespace; that of this object when it isn't given."},
    FIELDS_END,
};

static const char *const rule_kinds[] = {"HTTPRouteGroup", "TCPRoute", NULL};

static const struct field rule_fields[] = {
    {"kind", FIELD_STRING, AT(traffic_target_rule, kind), FIELD_REQUIRED, .words = rule_kinds,
     .help = "Kind of the route."},
    {"name", FIELD_STRING, AT(traffic_target_rule, name), FIELD_REQUIRED,
     .format = &format_dns_subdomain,
     .help = "Name of the route, in the namespace of this object."},
    {"matches", FIELD_LIST, AT(traffic_target_rule, matches), .item = &text_item,
     .help = "Names of the matches of an HTTPRouteGroup that are allowed; all when not given."},
    FIELDS_END,
};

static const struct field traffic_target_spec_fields[] = {
    {"destination", FIELD_STRUCT, AT(traffic_target, destination), FIELD_REQUIRED,
     .fields = identity_fields, .help = "The identity whose workloads may be called."},
    {"sources", FIELD_LIST, AT(traffic_target, sources), FIELD_REQUIRED, .fields = identity_fields,
     .size = sizeof(struct identity_subject), .help = "The identities that may call."},
    {"rules", FIELD_LIST, AT(traffic_target, rules), FIELD_REQUIRED, .min = 1,
     .fields = rule_fields, .size = sizeof(struct traffic_target_rule),
     .help = "What they may call."},
    FIELDS_END,
};

const struct field traffic_target_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = traffic_target_spec_fields,
     .help = "Who may call whom, and what."},
    FIELDS_END,
};

void traffic_target_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct traffic_target *t = (struct traffic_target *)o;
    if (t->destination.namespace.len == 0) {
        t->destination.namespace = o->meta.namespace;
    } else if (!str_eq(t->destination.namespace, o->meta.namespace)) {
        decode_error(
            d, doc, "spec.destination.namespace",
            "expected the namespace of the TrafficTarget, \"%.*s\", found \"%.*s\"; move the "
            "TrafficTarget to the namespace of its destination",
            STR_ARG(o->meta.namespace), STR_ARG(t->destination.namespace));
    }
    for (size_t i = 0; i < t->sources.len; i++) {
        if (t->sources.at[i].namespace.len == 0) {
            t->sources.at[i].namespace = o->meta.namespace;
        }
    }
    if (clean && t->sources.len == 0) {
        decode_warning(d, doc, "spec.sources", "is empty, so this TrafficTarget allows nobody");
    }
    for (size_t i = 0; i < t->rules.len; i++) {
        if (str_is(t->rules.at[i].kind, "TCPRoute") && t->rules.at[i].matches.len) {
            decode_warning(d, doc, arena_printf(d->arena, "spec.rules[%zu].matches", i).ptr,
                           "has no effect: a TCPRoute has no named matches");
        }
    }
}

static const char *const methods[] = {"*",       "GET",     "HEAD",  "PUT",   "POST", "DELETE",
                                      "CONNECT", "OPTIONS", "TRACE", "PATCH", NULL};

static const struct field method_item = {"", FIELD_STRING, .words = methods,
                                         .help = "An HTTP method, or * for any."};
static const struct field regex_item = {"", FIELD_STRING, .format = &format_regex};

static const struct field http_match_fields[] = {
    {"name", FIELD_STRING, AT(http_match, name), FIELD_REQUIRED,
     .help = "Name by which rules refer to this match."},
    {"pathRegex", FIELD_STRING, AT(http_match, path_regex), .format = &format_regex,
     .help = "Regular expression (RE2) that the whole path, without its query, must match; any "
             "path when not given."},
    {"methods", FIELD_LIST, AT(http_match, methods), .item = &method_item,
     .help = "Methods that match; any when not given."},
    {"headers", FIELD_MAPS, AT(http_match, headers), .item = &regex_item,
     .key_format = &format_header_name,
     .help = "Headers that must be there, and the regular expressions (RE2) that their whole "
             "values must match."},
    FIELDS_END,
};

static const struct field http_route_group_spec_fields[] = {
    {"matches", FIELD_LIST, AT(http_route_group, matches), FIELD_REQUIRED,
     .fields = http_match_fields, .size = sizeof(struct http_match), .unique = "name",
     .help = "Conditions of this group; each has a name."},
    FIELDS_END,
};

const struct field http_route_group_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = http_route_group_spec_fields,
     .help = "Conditions of HTTP calls."},
    FIELDS_END,
};

void http_route_group_finish(struct decode *d, const struct value *doc, struct object *o,
                             bool clean)
{
    const struct http_route_group *g = (struct http_route_group *)o;
    if (clean && g->matches.len == 0) {
        decode_warning(d, doc, "spec.matches", "is empty, so rules with this group allow no call");
    }
}

static const struct field port_item = {"", FIELD_INT, .min = 1, .max = 65535,
                                       .help = "A port number."};

static const struct field tcp_match_fields[] = {
    {"ports", FIELD_LIST, AT(tcp_route, ports), .item = &port_item,
     .help = "Ports of the destination; all when not given."},
    FIELDS_END,
};

static const struct field tcp_route_spec_fields[] = {
    {"matches", FIELD_STRUCT, 0, .fields = tcp_match_fields, .help = "What TCP traffic matches."},
    FIELDS_END,
};

const struct field tcp_route_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, .fields = tcp_route_spec_fields,
     .help = "Conditions of TCP connections."},
    FIELDS_END,
};

/* An empty list of ports means any port, which whoever writes `ports: []` hardly wants. */
void tcp_route_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    const struct tcp_route *r = (struct tcp_route *)o;
    const struct value *ports = value_at(doc, "spec.matches.ports");
    if (clean && ports && ports->type == VALUE_ARRAY && r->ports.len == 0) {
        decode_warning(d, doc, "spec.matches.ports", "is empty, so this route matches every port");
    }
}

static const struct field backend_fields[] = {
    {"service", FIELD_STRING, AT(split_backend, service), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of a service in this namespace."},
    {"weight", FIELD_INT, AT(split_backend, weight), FIELD_REQUIRED, .min = 0, .max = INT64_MAX,
     .help = "Its share of the calls, relative to the sum of all weights."},
    FIELDS_END,
};

static const char *const match_kinds[] = {"HTTPRouteGroup", NULL};

static const struct field split_match_fields[] = {
    {"kind", FIELD_STRING, AT(split_match, kind), FIELD_REQUIRED, .words = match_kinds,
     .help = "Kind of the group of matches."},
    {"name", FIELD_STRING, AT(split_match, name), FIELD_REQUIRED, .format = &format_dns_subdomain,
     .help = "Its name."},
    {"apiGroup", FIELD_STRING, AT(split_match, api_group), .max = 253,
     .help = "specs.smi-spec.io, or nothing."},
    FIELDS_END,
};

static const struct field_rule backends_rules[] = {
    {"self.exists(b, b.weight > 0)", "expected at least one weight above 0"},
    {"self.all(b, self.exists_one(c, c.service == b.service))", "expected each service once"},
    {NULL},
};

static const struct field traffic_split_spec_fields[] = {
    {"service", FIELD_STRING, AT(traffic_split, service), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "The apex service: the one that clients call."},
    {"backends", FIELD_LIST, AT(traffic_split, backends), FIELD_REQUIRED, .min = 1, .max = 100,
     .fields = backend_fields, .size = sizeof(struct split_backend), .rules = backends_rules,
     .help = "The services that the calls go to."},
    {"matches", FIELD_LIST, AT(traffic_split, matches), .fields = split_match_fields,
     .size = sizeof(struct split_match), .unique = "name",
     .help = "Only calls that match one of these groups are split; all when not given."},
    FIELDS_END,
};

const struct field traffic_split_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = traffic_split_spec_fields,
     .help = "A service and those that its calls go to."},
    FIELDS_END,
};

/* "name", "name.ns", "name.ns.svc" or with the cluster's domain behind it; *s becomes the name. */
static void reduce_name(struct decode *d, const struct value *doc, const char *path,
                        struct str namespace, struct str *s)
{
    struct str name, rest, ns, domain = {0};
    if (!str_cut(*s, '.', &name, &rest)) {
        return;
    }
    bool long_form = str_cut(rest, '.', &ns, &domain);
    bool known = !long_form || str_is(domain, "svc") || str_starts(domain, "svc.");
    if (!known || !str_eq(ns, namespace)) {
        decode_error(d, doc, path,
                     "expected the name of a service in namespace \"%.*s\", found \"%.*s\"",
                     STR_ARG(namespace), STR_ARG(*s));
        return;
    }
    *s = arena_str(d->arena, name);
}

static void check_backends(struct decode *d, const struct value *doc, struct traffic_split *s)
{
    struct map seen = {0};
    uint64_t sum = 0;
    for (size_t i = 0; i < s->backends.len; i++) {
        struct split_backend *b = &s->backends.at[i];
        sum += (uint64_t)b->weight <= UINT32_MAX ? (uint64_t)b->weight : UINT32_MAX;
        const char *path = arena_printf(d->arena, "spec.backends[%zu].service", i).ptr;
        reduce_name(d, doc, path, s->object.meta.namespace, &b->service);
        if (b->service.len && map_put(&seen, b->service, b)) {
            decode_error(d, doc, path,
                         "expected a service that no other entry has, found \"%.*s\" again; add up "
                         "their weights",
                         STR_ARG(b->service));
        }
    }
    map_done(&seen, NULL);
    if (sum > UINT32_MAX) {
        decode_error(d, doc, "spec.backends",
                     "expected weights that sum up to at most %u, found more", UINT32_MAX);
    }
}

void traffic_split_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct traffic_split *s = (struct traffic_split *)o;
    reduce_name(d, doc, "spec.service", o->meta.namespace, &s->service);
    check_backends(d, doc, s);
    bool any = false;
    for (size_t i = 0; i < s->backends.len; i++) {
        any |= s->backends.at[i].weight > 0;
    }
    if (clean && !any) {
        decode_error(d, doc, "spec.backends",
                     "expected at least one weight above 0, found none: no call could go anywhere");
    }
    if (s->matches.len && str_ends(o->api_version, "/v1alpha2")) {
        decode_error(d, doc, "spec.matches",
                     "expected apiVersion \"split.smi-spec.io/v1alpha4\", which has this field, "
                     "found \"%.*s\"",
                     STR_ARG(o->api_version));
    }
}
