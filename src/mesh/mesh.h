/* What the objects mean. All rules compile into this one form: SMI, permissive mode, later others;
 * xds/ can't know where a rule came from. Pure: no I/O, no clock, no log, no threads.
 *
 * The mesh is a set of maps whose values ("parts") are immutable, refcounted snapshots. mesh_update
 * recomputes only the parts that a change touches; a part whose content came out equal keeps its
 * pointer, so that whoever compares pointers does no work. All parts of one mesh are owned by the
 * brain thread; references may be held anywhere.
 *
 * Identities are written "<namespace>/<service account>", services "<namespace>/<name>". */
#ifndef OSM_MESH_MESH_H
#define OSM_MESH_MESH_H

#include "kinds/config.h"
#include "kinds/core.h"
#include "kinds/smi.h"
#include "base/map.h"
#include "store/store.h"

enum protocol { PROTOCOL_HTTP, PROTOCOL_GRPC, PROTOCOL_TCP, PROTOCOL_TCP_SERVER_FIRST };
const char *protocol_name(enum protocol p); /* "http", "grpc", "tcp", "tcp-server-first" */
static inline bool protocol_is_http(enum protocol p)
{
    return p == PROTOCOL_HTTP || p == PROTOCOL_GRPC;
}

/* Common head of every part. */
struct part {
    struct ref ref;
    struct arena *arena;
    uint64_t hash; /* of the content */
};
/* For any pointer to a part: its first member is `struct part`. */
void *part_ref(void *part);
void *part_unref(void *part); /* NULL in, NULL out */

/* One HTTP condition; the conditions of a rule are alternatives. */
struct mesh_http_match {
    struct str path_regex; /* empty: any path. Matches the whole path without its query. RE2 */
    struct strs methods;   /* sorted; empty: any */
    struct pairs
        headers; /* name (lower case, ":authority" for host) -> RE2, all must match whole */
};

/* Where a share of the calls goes: the cluster of a service's port. */
struct mesh_backend {
    struct str service; /* "ns/name" */
    uint16_t target_port;
    uint32_t weight; /* > 0 */
};

/* Routes are tried in order; no match conditions: all calls. */
struct mesh_route {
    LIST(struct mesh_http_match) matches;
    LIST(struct mesh_backend) backends; /* at least one */
};

struct mesh_port {
    struct str name;
    enum protocol protocol;
    uint16_t port, target_port;
    LIST(struct mesh_route) routes; /* never empty; the last has no matches */
};

/* A service as its clients see it. Ports whose target port isn't known are left out (a finding says
 * so). */
struct mesh_service {
    struct part part;
    struct str key, namespace, name; /* key: "ns/name" */
    struct str fqdn;                 /* "<name>.<ns>.svc.cluster.local": server name in TLS */
    struct strs ips;                 /* cluster IPs; empty when headless */
    bool headless;
    LIST(struct mesh_port) ports;
};

struct mesh_endpoint {
    struct str ip;
    const uint16_t *ports; /* by index of mesh_service.ports; 0: this endpoint lacks that port */
    struct str identity;   /* of its pod; empty when unknown */
    bool in_mesh;          /* its pod has a sidecar of this mesh */
};

/* The ready endpoints of a service, by address. */
struct mesh_endpoints {
    struct part part;
    struct str service;            /* "ns/name" */
    size_t port_count;             /* of the service: the length of each endpoint's ports */
    LIST(struct mesh_endpoint) at; /* IPv4 first */
    /* Sorted, unique: all identities of pods that the service selects, ready or not (so that a
     * certificate check needn't change when a pod becomes ready). */
    struct strs identities;
};

/* Who may call the workloads of one identity. */
struct mesh_rule {
    struct str name;     /* of the TrafficTarget, "ns/name" */
    struct strs sources; /* identities, sorted */
    /* HTTP ports: allowed when one of these matches; empty: this rule allows no HTTP call. */
    LIST(struct mesh_http_match) http;
    /* TCP ports: allowed when `tcp`, and the port is listed or none is. */
    bool tcp;
    LIST(uint16_t) tcp_ports;
};
/* There is one for each identity that has a service account, a pod or a TrafficTarget to it. */
struct mesh_policy {
    struct part part;
    struct str identity;
    bool allow_all;               /* permissive mode: every workload of this mesh */
    LIST(struct mesh_rule) rules; /* sorted by name; empty and not allow_all: nobody */
};

/* What one identity may see as a client, in SMI mode; an identity without one sees nothing. In
 * permissive mode there are none: all see every service. */
struct mesh_access_entry {
    struct str service;
    /* Endpoints of these identities only; all_identities when that leaves none out. A backend that
     * is here only because a visible apex sends calls to it, and whose identities the client may
     * not call, is listed with all: its servers then refuse with a reason, which is better than a
     * cluster without endpoints. */
    bool all_identities;
    struct strs identities;
};
struct mesh_access {
    struct part part;
    struct str identity;
    LIST(struct mesh_access_entry) services; /* sorted by service */
};

/* What callers outside the mesh may do with one port of a service's pods. Each condition is said by
 * itself, so that an empty list never means everybody. */
struct mesh_ingress_port {
    struct str policy; /* the IngressBackend, "ns/name" */
    uint16_t target_port;
    bool tls;
    struct strs server_names; /* with TLS: lower case, may begin with "*."; empty: any */
    bool any_address;
    struct strs ranges; /* CIDRs without bits after the prefix, sorted, unique */
    bool any_client;    /* no certificate is looked at */
    struct strs principals;
    bool any_call;
    LIST(struct mesh_http_match) matches;
};
/* Of a service with at least one such port. */
struct mesh_ingress {
    struct part part;
    struct str service;                   /* "ns/name" */
    LIST(struct mesh_ingress_port) ports; /* by target port, unique */
};
/* NULL: nobody outside may call it there. i may be NULL. */
const struct mesh_ingress_port *mesh_ingress_port(const struct mesh_ingress *i,
                                                  uint16_t target_port);

/* All proxies that must be told the same: an audience. Pods of one identity behind the same
 * services with the same sidecar options share one. */
struct mesh_inbound {
    struct str service;   /* "ns/name" */
    uint16_t target_port; /* the pod's own, where the Service gives a name and pods differ */
    struct str fqdn;
    enum protocol protocol;
};
struct mesh_audience {
    struct part part;
    struct str key;      /* unique, stable for equal content */
    struct str identity; /* "ns/sa" */
    struct str namespace, service_account;
    bool prometheus;                   /* pods bear prometheus.io/scrape: "true" */
    bool ipv6;                         /* pods have an IPv6 address */
    LIST(struct mesh_inbound) inbound; /* sorted, unique by (fqdn, target_port) */
};

/* Sidecars by the label osm-proxy-uuid, which anybody may copy: so a sidecar is the pod that bears
 * the uuid and has the identity which the certificate says. Of several such pods the oldest. */
struct mesh_proxy_pod {
    struct str pod; /* "ns/name" */
    struct str identity;
    struct str audience; /* key */
};
struct mesh_proxy {
    struct part part;
    struct str uuid;
    LIST(struct mesh_proxy_pod) pods; /* at least one; sorted by identity, unique */
};
/* NULL: no pod of that identity bears the uuid. */
const struct mesh_proxy_pod *mesh_proxy_pod(const struct mesh_proxy *p, struct str identity);

struct mesh_options {
    const char *mesh_name;     /* "osm": namespaces labelled monitored-by it belong */
    const char *osm_namespace; /* "osm-system": where MeshConfig is */
    const char *config_name;   /* "osm-mesh-config" */
    const char *trust_domain;  /* "cluster.local" */
};

struct mesh;
struct mesh *mesh_new(const struct mesh_options *options);
void mesh_free(struct mesh *m);

/* What an update replaced: keys of parts that are new, changed or gone. */
struct mesh_delta {
    bool config; /* MeshConfig changed in any way: everything that reads it must look again */
    bool permissive_changed;
    VEC(struct str) services, endpoints, policies, access, ingress, audiences, proxies;
    struct arena *arena;
};
void mesh_delta_done(struct mesh_delta *d);

/* Brings the mesh up to date with the store after `changes`. From scratch: pass the changes of a
 * store filled from empty. *ret is initialised by it. */
void mesh_update(struct mesh *m, const struct store *s, const struct changes *changes,
                 struct mesh_delta *ret);

/* Lookups; borrowed, NULL when absent. */
const struct mesh_config *mesh_config(const struct mesh *m); /* never NULL */
bool mesh_permissive(const struct mesh *m);
const struct mesh_options *mesh_options(const struct mesh *m);
const struct mesh_service *mesh_service_find(const struct mesh *m, struct str key);
const struct mesh_endpoints *mesh_endpoints_find(const struct mesh *m, struct str service);
const struct mesh_policy *mesh_policy_find(const struct mesh *m, struct str identity);
const struct mesh_access *mesh_access_find(const struct mesh *m, struct str identity);
const struct mesh_ingress *mesh_ingress_find(const struct mesh *m, struct str service);
const struct mesh_audience *mesh_audience_find(const struct mesh *m, struct str key);
const struct mesh_proxy *mesh_proxy_find(const struct mesh *m, struct str uuid);
/* All of one map, in no order; value is the part. */
enum mesh_map {
    MESH_SERVICES,
    MESH_ENDPOINTS,
    MESH_POLICIES,
    MESH_ACCESS,
    MESH_INGRESS,
    MESH_AUDIENCES,
    MESH_PROXIES,
};
const struct map *mesh_map(const struct mesh *m, enum mesh_map which);

/* Do objects of this kind mean anything to the mesh? Those of others may exist and have no effect.
 */
bool mesh_acts_on(enum kind kind);

/* What the objects say that can't be as meant: a TrafficTarget to a missing service account, a
 * split to a missing service, a second split of one apex, a port nobody can reach... One sentence
 * each that names the object and says what to do. Borrowed until the next update. */
const struct findings *mesh_findings(const struct mesh *m);

/* All parts as text, sorted: equal text means equal meaning. For tests and bug reports. */
void mesh_dump(const struct mesh *m, struct buf *out);

/* Would this call be let through by the server's side? regex(arg, pattern, text) says whether the
 * whole text matches. host may be empty; headers are lower-case names. */
struct mesh_call {
    struct str source, destination; /* identities */
    uint16_t target_port;
    enum protocol protocol;
    struct str method, path; /* HTTP; path with or without query */
    struct pairs headers;
};
bool mesh_allows(const struct mesh *m, const struct mesh_call *call,
                 bool (*regex)(void *arg, struct str pattern, struct str text), void *arg);

#endif
