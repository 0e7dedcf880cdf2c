/* The Service Mesh Interface's kinds: TrafficTarget v1alpha3, HTTPRouteGroup and TCPRoute v1alpha4,
 * TrafficSplit v1alpha2 to v1alpha4. */
#ifndef OSM_KINDS_SMI_H
#define OSM_KINDS_SMI_H

#include "kinds/object.h"

struct identity_subject {
    struct str kind, name, namespace; /* kind: ServiceAccount */
};

struct traffic_target_rule {
    struct str kind, name; /* HTTPRouteGroup or TCPRoute, in the target's namespace */
    struct strs matches;   /* names of matches of an HTTPRouteGroup */
};

struct traffic_target {
    struct object object;
    struct identity_subject destination;
    LIST(struct identity_subject) sources;
    LIST(struct traffic_target_rule) rules;
};

struct http_match {
    struct str name, path_regex; /* empty path_regex: any path */
    struct strs methods;         /* empty or "*": any */
    struct pairs headers;        /* values are regular expressions; key `host` is :authority */
};

struct http_route_group {
    struct object object;
    LIST(struct http_match) matches;
};

struct tcp_route {
    struct object object;
    LIST(int64_t) ports; /* spec.matches.ports; empty: any port */
};

struct split_backend {
    struct str service;
    int64_t weight; /* >= 0; sum of a split > 0 */
};

struct split_match {
    struct str api_group;  /* may be empty */
    struct str kind, name; /* HTTPRouteGroup, same namespace */
};

struct traffic_split {
    struct object object;
    struct str service; /* the apex; "name" or an FQDN of the same namespace, reduced to the name */
    LIST(struct split_backend) backends;
    LIST(struct split_match) matches; /* v1alpha4 */
};

#endif
