/* Probes and lifecycle hooks of a pod: what they ask of the application, and through which of the
 * sidecar's ports the kubelet asks instead. The kubelet has no certificate of the mesh, so that it
 * can't come in by the way of all others. Within src/inject only.
 *
 * HTTP and HTTPS: a path for each probe on the port of its type; the sidecar asks the application's
 * port with the probe's own path and timeout. gRPC: a port of its own. TCP: osm-healthcheck, which
 * tells over HTTP whether it could connect, as a connection to a proxy never fails. */
#ifndef OSM_INJECT_PROBES_H
#define OSM_INJECT_PROBES_H

#include "inject/inject.h"

enum probe_when {
    PROBE_LIVENESS,
    PROBE_READINESS,
    PROBE_STARTUP,
    HOOK_POST_START,
    HOOK_PRE_STOP,
};
enum { PROBE_WHEN_COUNT = HOOK_PRE_STOP + 1 };
enum probe_how { PROBE_HTTP, PROBE_HTTPS, PROBE_GRPC, PROBE_TCP };

struct probe_route {
    enum probe_when when;
    enum probe_how how;
    struct str container;
    int64_t port;      /* the application's */
    struct str path;   /* of HTTP: what the application is asked, ready for a request line */
    int64_t timeout_s; /* of HTTP; 0: none, the kubelet has one */
    int listener;      /* the port that the kubelet asks */
    bool done;         /* an injection before has rewritten it */
};

struct probe_plan {
    struct probe_route *at;
    size_t len;
};

/* What has to be led through the sidecar. For a pod that was injected before: what was led then,
 * and what has come since. */
int probes_plan(struct arena *a, const struct value *pod, const struct pod *decoded,
                const struct inject_options *o, struct probe_plan *ret, struct err *e);
bool probes_have(const struct probe_plan *plan, enum probe_how how);

/* Rewrites the probes of a pod's own copy, and notes in an annotation what they were. */
void probes_rewrite(struct arena *a, struct value *pod, const struct probe_plan *plan);
/* What osm-healthcheck is asked for by a rewritten pod's probes, each port once: "80,7000". */
struct str probes_tcp_ports(struct arena *a, const struct value *pod);
/* The path that the kubelet asks for, "/osm-liveness-probe/app". */
struct str probe_path(struct arena *a, const struct probe_route *r);

/* The sidecar's static part: adds to arrays of listeners and clusters. */
void probes_add_envoy(struct arena *a, const struct probe_plan *plan,
                      const struct inject_options *o, struct value *listeners,
                      struct value *clusters);

/* Has the sidecar been added before? Then containers of its names are its own. */
bool pod_is_injected(const struct value *pod);
bool sidecar_owns(struct str container);

#endif
