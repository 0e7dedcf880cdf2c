/* UpstreamTrafficSetting policy.openservicemesh.io/v1alpha1: limits of the calls to a host. */
#ifndef OSM_KINDS_UPSTREAM_H
#define OSM_KINDS_UPSTREAM_H

#include "kinds/object.h"

/* What a limit that isn't set is. */
#define UPSTREAM_UNLIMITED UINT32_MAX

enum rate_unit { RATE_SECOND, RATE_MINUTE, RATE_HOUR };

struct rate_header {
    struct str name, value;
};

/* A token bucket: amount + burst tokens at most, amount more of them each unit. */
struct rate_local {
    int64_t amount; /* connections or requests */
    enum rate_unit unit;
    int64_t burst;
    int64_t status;                       /* 400 to 599; 0: Envoy's, 429. HTTP only */
    LIST(struct rate_header) add_headers; /* to the answers that refuse. HTTP only */
};

struct rate_entry_tcp {
    struct str key, value;
};
struct rate_descriptor_tcp {
    LIST(struct rate_entry_tcp) entries;
};

/* One of the texts is set, or `present`. */
struct rate_header_match {
    struct str name, exact, prefix, suffix, regex, contains;
    bool present, present_set;
};

struct rate_generic_key {
    struct str value, key; /* key empty: "generic_key" */
};
struct rate_remote_address {
    bool unused;
};
struct rate_request_header {
    struct str name, key;
};
struct rate_header_value {
    struct str value, key; /* key empty: "header_match" */
    LIST(struct rate_header_match) headers;
    bool expect_match; /* true by default */
};

/* One of them is set. */
struct rate_entry_http {
    const struct rate_generic_key *generic_key;
    const struct rate_remote_address *remote_address;
    const struct rate_request_header *request_header;
    const struct rate_header_value *header_value;
};
struct rate_descriptor_http {
    LIST(struct rate_entry_http) entries;
};

struct rate_service {
    struct str host;
    int64_t port;
};

/* Limits that a rate limit service counts. */
struct rate_global_tcp {
    struct rate_service service;
    struct str domain;
    LIST(struct rate_descriptor_tcp) descriptors;
    int64_t timeout_ms; /* 0: Envoy's, 20 ms */
    bool fail_open;     /* true by default */
};
struct rate_global_http {
    struct rate_service service;
    struct str domain;
    LIST(struct rate_descriptor_http) descriptors;
    int64_t timeout_ms;
    bool fail_open;
    bool x_rate_limit_headers;
    int64_t status; /* 0: 429 */
};

struct upstream_route {
    struct str path; /* a regular expression, equal to that of the route */
    const struct rate_local *local;
    LIST(struct rate_descriptor_http) descriptors;
};

struct upstream_traffic_setting {
    struct object object;
    /* "<service>.<namespace>.svc.cluster.local" of its own namespace, or a host outside. */
    struct str host;
    struct {
        int64_t max_connections, connect_timeout_ms; /* timeout 0: Envoy's, 5 s */
        int64_t max_requests, max_pending_requests, max_retries;
        int64_t max_requests_per_connection; /* 0: any number */
    } connection;
    const struct rate_local *local_tcp, *local_http;
    const struct rate_global_tcp *global_tcp;
    const struct rate_global_http *global_http;
    LIST(struct upstream_route) http_routes;
};

#endif
