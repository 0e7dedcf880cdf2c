/* OSM's policy kinds, policy.openservicemesh.io/v1alpha1: calls that leave the mesh, calls that
 * enter it, retries, access logs. UpstreamTrafficSetting is in upstream.h. */
#ifndef OSM_KINDS_POLICY_H
#define OSM_KINDS_POLICY_H

#include "kinds/object.h"

struct policy_subject {
    struct str kind, name, namespace; /* as each kind says */
};

struct policy_port {
    int64_t number;
    struct str protocol; /* lower case */
};

struct policy_match {
    struct str api_group, kind, name; /* in the policy's own namespace */
};

/* Calls of service accounts to destinations outside the mesh. */
struct egress {
    struct object object;
    LIST(struct policy_subject) sources; /* ServiceAccount */
    struct strs hosts;                   /* names; of http and https ports, and for tcp as SNI */
    struct strs ip_addresses;            /* CIDRs; empty: any address of these ports */
    LIST(struct policy_port) ports;      /* http, https, tcp or tcp-server-first */
    /* HTTPRouteGroups (specs.smi-spec.io/v1alpha4) and at most one UpstreamTrafficSetting
     * (policy.openservicemesh.io/v1alpha1). */
    LIST(struct policy_match) matches;
};

struct ingress_tls {
    bool skip_client_cert_validation;
    struct strs sni_hosts;
};

struct ingress_backend_entry {
    struct str name;               /* of a Service in the policy's own namespace */
    struct policy_port port;       /* of the pods; http or https */
    const struct ingress_tls *tls; /* NULL: not given */
};

/* Who outside the mesh may call services of it. */
struct ingress_backend {
    struct object object;
    LIST(struct ingress_backend_entry) backends;
    /* Service (name and namespace), AuthenticatedPrincipal (name as in the certificate) or IPRange
     * (name is a CIDR). */
    LIST(struct policy_subject) sources;
    LIST(struct policy_match) matches; /* HTTPRouteGroups; empty: any call */
};

/* How calls of a service account to services are tried again. */
struct retry {
    struct object object;
    struct policy_subject source;             /* ServiceAccount */
    LIST(struct policy_subject) destinations; /* Service */
    struct str retry_on;                      /* Envoy's words, with commas between */
    int64_t per_try_timeout_ms;               /* 0: none */
    int64_t num_retries;                      /* 1 by default */
    int64_t backoff_base_ms;                  /* 25 by default */
};

struct telemetry_open_telemetry {
    struct str extension_namespace, extension_name; /* of an ExtensionService */
    struct pairs attributes;
};

struct telemetry_access_log {
    struct str format; /* a JSON object of formats, or a format; empty: Envoy's default */
    const struct telemetry_open_telemetry *open_telemetry; /* NULL: none */
};

/* Access logs of pods. */
struct telemetry {
    struct object object;
    struct pairs selector; /* empty: all pods of the namespace, or of the mesh in its own one */
    const struct telemetry_access_log *access_log; /* NULL: none */
};

#endif
