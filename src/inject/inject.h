/* A pod in, the same pod with its sidecar out; the sidecar's bootstrap; traffic redirection. Pure:
 * serves the admission webhook and `osm local` alike. Names, ports and rules as Open Service Mesh
 * has them. */
#ifndef OSM_INJECT_INJECT_H
#define OSM_INJECT_INJECT_H

#include "cert/cert.h"
#include "doc/value.h"
#include "kinds/config.h"
#include "kinds/core.h"

struct inject_options {
    const struct mesh_config *config;
    const char *mesh_name;     /* "osm" */
    const char *osm_namespace; /* "osm-system" */
    const char *trust_domain;
    const char *ads_host; /* "osm-controller.<ns>.svc.cluster.local", or an address */
    uint16_t ads_port;    /* 15128 */
    bool ipv6;            /* also redirect IPv6 (ip6tables) */
    bool delta;           /* the bootstrap asks for incremental ADS */
};

/* Should this pod get a sidecar? namespace may be NULL (not monitored). 1 yes, 0 no, -1 error: an
 * annotation with a value that isn't one of enabled/yes/true/disabled/no/false. */
int inject_wanted(const struct pod *pod, const struct namespace *ns, const struct inject_options *o,
                  struct err *e);

/* The pod's document with osm-init, envoy, the bootstrap volume and the label osm-proxy-uuid added;
 * what was there stays, also what we don't know. The result lives in `a` and may share nodes with
 * `pod`. Annotations are parsed to numbers and CIDRs; a bad one is an error that names it. */
int inject_pod(struct arena *a, const struct value *pod, const struct pod *decoded, struct str uuid,
               bool metrics, const struct inject_options *o, struct value **ret, struct err *e);

/* The Secret `envoy-bootstrap-config-<uuid>` that the pod mounts at /etc/envoy: bootstrap.yaml, the
 * two file-SDS documents, cacert.pem, sds_cert.pem, sds_key.pem, the issuer ids. */
struct value *inject_bootstrap_secret(struct arena *a, struct str namespace, struct str uuid,
                                      const struct cert *cert, const struct inject_options *o);

/* The text of osm-init's `/bin/sh -c`: iptables-restore (and ip6tables-restore) input. Idempotent.
 */
int inject_redirection(struct arena *a, const struct pod *pod, const struct inject_options *o,
                       struct str *ret, struct err *e);

/* A random UUID version 4 in text. */
void inject_uuid(char out[37]);

#endif
