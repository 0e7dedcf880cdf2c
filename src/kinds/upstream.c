/* UpstreamTrafficSetting. */
#include "kinds/upstream.h"

#include "base/map.h"
#include "kinds/regex.h"
#include "kinds/row.h"

/* Entries of lists that the API server walks in rules. */
#define DESCRIPTORS_MAX 50
#define ENTRIES_MAX 20
#define ROUTES_MAX 100

#define UNLIMITED "4294967295"
_Static_assert(UPSTREAM_UNLIMITED == 4294967295, "as text");
#define COUNTER .min = 0, .max = UPSTREAM_UNLIMITED

static const struct field tcp_connection_fields[] = {
    {"maxConnections", FIELD_INT, AT(upstream_traffic_setting, connection.max_connections),
     FIELD_UNSTORED, COUNTER, .initial = UNLIMITED,
     .help = "Connections at a time; any number when not given."},
    {"connectTimeout", FIELD_DURATION, AT(upstream_traffic_setting, connection.connect_timeout_ms),
     .help = "Time to connect; 5s when not given."},
    FIELDS_END,
};

static const struct field http_connection_fields[] = {
    {"maxRequests", FIELD_INT, AT(upstream_traffic_setting, connection.max_requests),
     FIELD_UNSTORED, COUNTER, .initial = UNLIMITED,
     .help = "Requests at a time; any number when not given."},
    {"maxRequestsPerConnection", FIELD_INT,
     AT(upstream_traffic_setting, connection.max_requests_per_connection), COUNTER,
     .help = "Requests of one connection; any number when not given."},
    {"maxPendingRequests", FIELD_INT, AT(upstream_traffic_setting, connection.max_pending_requests),
     FIELD_UNSTORED, COUNTER, .initial = UNLIMITED,
     .help = "Requests that wait for a connection; any number when not given."},
    {"maxRetries", FIELD_INT, AT(upstream_traffic_setting, connection.max_retries), FIELD_UNSTORED,
     COUNTER, .initial = UNLIMITED, .help = "Retries at a time; any number when not given."},
    FIELDS_END,
};

static const struct field connection_fields[] = {
    {"tcp", FIELD_STRUCT, 0, .fields = tcp_connection_fields, .help = "Limits of connections."},
    {"http", FIELD_STRUCT, 0, .fields = http_connection_fields, .help = "Limits of requests."},
    FIELDS_END,
};

static const char *const units[] = {"second", "minute", "hour", NULL};

static const struct field local_tcp_fields[] = {
    {"connections", FIELD_INT, AT(rate_local, amount), FIELD_REQUIRED, .min = 1,
     .max = UPSTREAM_UNLIMITED, .help = "Connections in each unit of time."},
    {"unit", FIELD_ENUM, AT(rate_local, unit), FIELD_REQUIRED, .words = units,
     .help = "second, minute or hour."},
    {"burst", FIELD_INT, AT(rate_local, burst), COUNTER,
     .help = "Connections beyond these in a short time."},
    FIELDS_END,
};

static const struct field header_fields[] = {
    {"name", FIELD_STRING, AT(rate_header, name), FIELD_REQUIRED, .format = &format_header_name,
     .max = 253, .help = "Name of the header."},
    {"value", FIELD_STRING, AT(rate_header, value), FIELD_REQUIRED, .max = 4096,
     .help = "Its value."},
    FIELDS_END,
};

static const struct field local_http_fields[] = {
    {"requests", FIELD_INT, AT(rate_local, amount), FIELD_REQUIRED, .min = 1,
     .max = UPSTREAM_UNLIMITED, .help = "Requests in each unit of time."},
    {"unit", FIELD_ENUM, AT(rate_local, unit), FIELD_REQUIRED, .words = units,
     .help = "second, minute or hour."},
    {"burst", FIELD_INT, AT(rate_local, burst), COUNTER,
     .help = "Requests beyond these in a short time."},
    {"responseStatusCode", FIELD_INT, AT(rate_local, status), .min = 400, .max = 599,
     .help = "Status of answers to requests beyond the limit; 429 when not given."},
    {"responseHeadersToAdd", FIELD_LIST, AT(rate_local, add_headers), .max = ENTRIES_MAX,
     .fields = header_fields, .size = sizeof(struct rate_header),
     .help = "Headers of these answers."},
    FIELDS_END,
};

static const struct field tcp_entry_fields[] = {
    {"key", FIELD_STRING, AT(rate_entry_tcp, key), FIELD_REQUIRED, .max = 253, .help = "Key."},
    {"value", FIELD_STRING, AT(rate_entry_tcp, value), FIELD_REQUIRED, .max = 4096,
     .help = "Value."},
    FIELDS_END,
};
static const struct field tcp_descriptor_fields[] = {
    {"entries", FIELD_LIST, AT(rate_descriptor_tcp, entries), FIELD_REQUIRED, .min = 1,
     .max = ENTRIES_MAX, .fields = tcp_entry_fields, .size = sizeof(struct rate_entry_tcp),
     .help = "Entries of the descriptor."},
    FIELDS_END,
};

static const struct field counter_fields[] = {
    {"host", FIELD_STRING, AT(rate_service, host), FIELD_REQUIRED, .max = 253,
     .help = "Host of the service."},
    {"port", FIELD_INT, AT(rate_service, port), FIELD_REQUIRED, .min = 1, .max = 65535,
     .help = "Its port."},
    FIELDS_END,
};

static const struct field global_tcp_fields[] = {
    {"rateLimitService", FIELD_STRUCT, AT(rate_global_tcp, service), FIELD_REQUIRED,
     .fields = counter_fields, .help = "The service that counts."},
    {"domain", FIELD_STRING, AT(rate_global_tcp, domain), FIELD_REQUIRED, .max = 253,
     .help = "Domain of the limits, as the service knows it."},
    {"descriptors", FIELD_LIST, AT(rate_global_tcp, descriptors), FIELD_REQUIRED, .min = 1,
     .max = DESCRIPTORS_MAX, .fields = tcp_descriptor_fields,
     .size = sizeof(struct rate_descriptor_tcp), .help = "What is counted."},
    {"timeout", FIELD_DURATION, AT(rate_global_tcp, timeout_ms),
     .help = "Time that the service has; 20ms when not given."},
    {"failOpen", FIELD_BOOL, AT(rate_global_tcp, fail_open), FIELD_UNSTORED, .initial = "true",
     .help = "Let connections through when it doesn't answer; true when not given."},
    FIELDS_END,
};

static const struct field generic_key_fields[] = {
    {"value", FIELD_STRING, AT(rate_generic_key, value), FIELD_REQUIRED, .max = 4096,
     .help = "Value of the entry."},
    {"key", FIELD_STRING, AT(rate_generic_key, key), .max = 253,
     .help = "Its key; generic_key when not given."},
    FIELDS_END,
};
static const struct field remote_address_fields[] = {FIELDS_END};
static const struct field request_header_fields[] = {
    {"name", FIELD_STRING, AT(rate_request_header, name), FIELD_REQUIRED, .max = 253,
     .format = &format_header_name, .help = "The header whose value is the entry's."},
    {"key", FIELD_STRING, AT(rate_request_header, key), FIELD_REQUIRED, .max = 253,
     .help = "Key of the entry."},
    FIELDS_END,
};

static const struct field header_match_fields[] = {
    {"name", FIELD_STRING, AT(rate_header_match, name), FIELD_REQUIRED, .max = 253,
     .format = &format_header_name, .help = "Name of the header."},
    {"exact", FIELD_STRING, AT(rate_header_match, exact), .max = 4096, .help = "Its value."},
    {"prefix", FIELD_STRING, AT(rate_header_match, prefix), .max = 4096,
     .help = "What its value begins with."},
    {"suffix", FIELD_STRING, AT(rate_header_match, suffix), .max = 4096,
     .help = "What its value ends with."},
    {"regex", FIELD_STRING, AT(rate_header_match, regex), .format = &format_regex,
     .help = "Regular expression (RE2) that its whole value must match."},
    {"contains", FIELD_STRING, AT(rate_header_match, contains), .max = 4096,
     .help = "What its value contains."},
    {"present", FIELD_BOOL, AT(rate_header_match, present),
     .present = FIELD_PRESENT(struct rate_header_match, present_set),
     .help = "Whether it must be there."},
    FIELDS_END,
};

static const struct field header_value_fields[] = {
    {"value", FIELD_STRING, AT(rate_header_value, value), FIELD_REQUIRED, .max = 4096,
     .help = "Value of the entry."},
    {"key", FIELD_STRING, AT(rate_header_value, key), .max = 253,
     .help = "Its key; header_match when not given."},
    {"headers", FIELD_LIST, AT(rate_header_value, headers), FIELD_REQUIRED, .min = 1,
     .max = ENTRIES_MAX, .fields = header_match_fields, .size = sizeof(struct rate_header_match),
     .members = 2, .help = "Headers that requests are compared with."},
    {"expectMatch", FIELD_BOOL, AT(rate_header_value, expect_match), FIELD_UNSTORED,
     .initial = "true",
     .help = "Count requests that match; false: those that don't; true when not given."},
    FIELDS_END,
};

static const struct field http_entry_fields[] = {
    {"genericKey", FIELD_POINTER, AT(rate_entry_http, generic_key), .fields = generic_key_fields,
     .size = sizeof(struct rate_generic_key), .help = "A fixed entry."},
    {"remoteAddress", FIELD_POINTER, AT(rate_entry_http, remote_address),
     .fields = remote_address_fields, .size = sizeof(struct rate_remote_address),
     .help = "The client's address."},
    {"requestHeader", FIELD_POINTER, AT(rate_entry_http, request_header),
     .fields = request_header_fields, .size = sizeof(struct rate_request_header),
     .help = "The value of a header."},
    {"headerValueMatch", FIELD_POINTER, AT(rate_entry_http, header_value),
     .fields = header_value_fields, .size = sizeof(struct rate_header_value),
     .help = "A fixed entry for requests whose headers match."},
    FIELDS_END,
};

static const struct field http_descriptor_fields[] = {
    {"entries", FIELD_LIST, AT(rate_descriptor_http, entries), FIELD_REQUIRED, .min = 1,
     .max = ENTRIES_MAX, .fields = http_entry_fields, .size = sizeof(struct rate_entry_http),
     .members = 1, .help = "Entries of the descriptor."},
    FIELDS_END,
};

static const struct field global_http_fields[] = {
    {"rateLimitService", FIELD_STRUCT, AT(rate_global_http, service), FIELD_REQUIRED,
     .fields = counter_fields, .help = "The service that counts."},
    {"domain", FIELD_STRING, AT(rate_global_http, domain), FIELD_REQUIRED, .max = 253,
     .help = "Domain of the limits, as the service knows it."},
    {"descriptors", FIELD_LIST, AT(rate_global_http, descriptors), .max = DESCRIPTORS_MAX,
     .fields = http_descriptor_fields, .size = sizeof(struct rate_descriptor_http),
     .help = "What is counted on all routes."},
    {"timeout", FIELD_DURATION, AT(rate_global_http, timeout_ms),
     .help = "Time that the service has; 20ms when not given."},
    {"failOpen", FIELD_BOOL, AT(rate_global_http, fail_open), FIELD_UNSTORED, .initial = "true",
     .help = "Let requests through when it doesn't answer; true when not given."},
    {"enableXRateLimitHeaders", FIELD_BOOL, AT(rate_global_http, x_rate_limit_headers),
     .help = "Answers tell how much is left, in X-RateLimit headers."},
    {"responseStatusCode", FIELD_INT, AT(rate_global_http, status), .min = 400, .max = 599,
     .help = "Status of answers to requests beyond the limit; 429 when not given."},
    FIELDS_END,
};

static const struct field local_fields[] = {
    {"tcp", FIELD_POINTER, AT(upstream_traffic_setting, local_tcp), .fields = local_tcp_fields,
     .size = sizeof(struct rate_local), .help = "Limit of new connections."},
    {"http", FIELD_POINTER, AT(upstream_traffic_setting, local_http), .fields = local_http_fields,
     .size = sizeof(struct rate_local), .help = "Limit of requests."},
    FIELDS_END,
};

static const struct field global_fields[] = {
    {"tcp", FIELD_POINTER, AT(upstream_traffic_setting, global_tcp), .fields = global_tcp_fields,
     .size = sizeof(struct rate_global_tcp), .help = "Limit of new connections."},
    {"http", FIELD_POINTER, AT(upstream_traffic_setting, global_http), .fields = global_http_fields,
     .size = sizeof(struct rate_global_http), .help = "Limit of requests."},
    FIELDS_END,
};

static const struct field rate_limit_fields[] = {
    {"local", FIELD_STRUCT, 0, .fields = local_fields, .help = "Each pod counts for itself."},
    {"global", FIELD_STRUCT, 0, .fields = global_fields, .help = "A rate limit service counts."},
    FIELDS_END,
};

static const struct field route_global_fields[] = {
    {"descriptors", FIELD_LIST, AT(upstream_route, descriptors), FIELD_REQUIRED, .min = 1,
     .max = DESCRIPTORS_MAX, .fields = http_descriptor_fields,
     .size = sizeof(struct rate_descriptor_http), .help = "What is counted on this route."},
    FIELDS_END,
};

static const struct field route_limit_fields[] = {
    {"local", FIELD_POINTER, AT(upstream_route, local), .fields = local_http_fields,
     .size = sizeof(struct rate_local), .help = "Each pod counts for itself."},
    {"global", FIELD_STRUCT, 0, .fields = route_global_fields,
     .help = "The rate limit service of rateLimit.global.http counts."},
    FIELDS_END,
};

static const struct field route_fields[] = {
    {"path", FIELD_STRING, AT(upstream_route, path), FIELD_REQUIRED, .format = &format_regex,
     .help = "The route's path, a regular expression (RE2) as the HTTPRouteGroup has it."},
    {"rateLimit", FIELD_STRUCT, 0, .fields = route_limit_fields, .help = "Limits of this route."},
    FIELDS_END,
};

static const struct field_rule host_rules[] = {
    {"self.matches('^[^.].*[.].*[^.]$')", "expected a host name with at least one dot, such as "
                                          "bookstore.bookstore.svc.cluster.local"},
    {NULL},
};

static const struct field spec_fields[] = {
    {"host", FIELD_STRING, AT(upstream_traffic_setting, host), FIELD_REQUIRED, .max = 253,
     .rules = host_rules,
     .help = "<service>.<namespace>.svc.cluster.local of a service in this namespace, or a host "
             "outside the mesh that an Egress names."},
    {"connectionSettings", FIELD_STRUCT, 0, .fields = connection_fields,
     .help = "Limits of connections and of requests at a time."},
    {"rateLimit", FIELD_STRUCT, 0, .fields = rate_limit_fields,
     .help = "Limits of connections and requests in a time."},
    {"httpRoutes", FIELD_LIST, AT(upstream_traffic_setting, http_routes), .max = ROUTES_MAX,
     .fields = route_fields, .size = sizeof(struct upstream_route), .unique = "path",
     .help = "Limits of single routes."},
    FIELDS_END,
};

const struct field upstream_traffic_setting_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = spec_fields,
     .help = "Limits of the calls to a host."},
    IGNORED("status"),
    FIELDS_END,
};

/* "bookstore.bookstore" at least; whoever writes a bare name means a service, which nothing here
 * completes. */
static void check_host(struct decode *d, const struct value *doc, struct object *o, struct str host)
{
    struct str name, rest, ns, domain;
    if (!str_cut(host, '.', &name, &rest) || name.len == 0 || rest.len == 0) {
        decode_error(d, doc, "spec.host",
                     "expected a host name with at least one dot, such as "
                     "\"%.*s.%.*s.svc.cluster.local\", found \"%.*s\"",
                     STR_ARG(name.len ? name : STR("bookstore")), STR_ARG(o->meta.namespace),
                     STR_ARG(host));
        return;
    }
    bool of_cluster = str_cut(rest, '.', &ns, &domain) && str_starts(domain, "svc.");
    if (of_cluster && !str_eq(ns, o->meta.namespace)) {
        decode_warning(d, doc, "spec.host",
                       "has no effect: the service isn't in the namespace of this object, \"%.*s\"",
                       STR_ARG(o->meta.namespace));
    }
}

static void check_headers(struct decode *d, const struct value *doc, const char *entry,
                          const struct rate_header_value *v)
{
    for (size_t i = 0; i < v->headers.len; i++) {
        const struct rate_header_match *m = &v->headers.at[i];
        int ways = !!m->exact.len + !!m->prefix.len + !!m->suffix.len + !!m->regex.len +
                   !!m->contains.len + m->present_set;
        if (ways != 1) {
            decode_error(d, doc,
                         arena_printf(d->arena, "%s.headerValueMatch.headers[%zu]", entry, i).ptr,
                         "expected one of exact, prefix, suffix, regex, contains and present, "
                         "found %s",
                         ways ? "several" : "none");
        }
    }
}

static void check_entry(struct decode *d, const struct value *doc, const char *entry,
                        const struct rate_entry_http *e)
{
    int set = !!e->generic_key + !!e->remote_address + !!e->request_header + !!e->header_value;
    if (set != 1) {
        decode_error(d, doc, entry,
                     "expected one of genericKey, remoteAddress, requestHeader and "
                     "headerValueMatch, found %s",
                     set ? "several" : "none");
    }
    if (e->header_value) {
        check_headers(d, doc, entry, e->header_value);
    }
}

static void check_entries(struct decode *d, const struct value *doc, const char *path,
                          const struct rate_descriptor_http *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < at[i].entries.len; k++) {
            const char *entry = arena_printf(d->arena, "%s[%zu].entries[%zu]", path, i, k).ptr;
            check_entry(d, doc, entry, &at[i].entries.at[k]);
        }
    }
}

void upstream_traffic_setting_finish(struct decode *d, const struct value *doc, struct object *o,
                                     bool clean)
{
    const struct upstream_traffic_setting *u = (struct upstream_traffic_setting *)o;
    if (u->host.len) {
        check_host(d, doc, o, u->host);
    }
    if (!clean) {
        return;
    }
    if (u->global_http) {
        check_entries(d, doc, "spec.rateLimit.global.http.descriptors",
                      u->global_http->descriptors.at, u->global_http->descriptors.len);
    }
    for (size_t i = 0; i < u->http_routes.len; i++) {
        const struct upstream_route *r = &u->http_routes.at[i];
        const char *path =
            arena_printf(d->arena, "spec.httpRoutes[%zu].rateLimit.global.descriptors", i).ptr;
        check_entries(d, doc, path, r->descriptors.at, r->descriptors.len);
        if (r->descriptors.len && !u->global_http) {
            decode_warning(d, doc, path,
                           "has no effect without spec.rateLimit.global.http, which names the "
                           "service that counts");
        }
    }
}
