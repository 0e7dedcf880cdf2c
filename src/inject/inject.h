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
    bool ipv6;            /* pods have IPv6 addresses too: redirected (ip6tables), listened on */
    bool delta;           /* the bootstrap asks for incremental ADS */
    /* The sidecar is an init container that goes on running (Kubernetes 1.29): started before all
     * others, ended after them. */
    bool native;
    /* Probes and hooks of the kubelet are led through the sidecar, which takes over the ports that
     * they are for. */
    bool probes;
    /* What MeshConfig leaves open; NULL: those of names.h. */
    const char *envoy_image, *init_image, *healthcheck_image, *pull_policy;
};

/* Should this pod get a sidecar? namespace may be NULL (not monitored). 1 yes, 0 no, -1 error: an
 * annotation with a value that isn't one of enabled/yes/true/disabled/no/false. */
int inject_wanted(const struct pod *pod, const struct namespace *ns, const struct inject_options *o,
                  struct err *e);
/* Do the annotations say so, whether or not such a pod can have one? */
int inject_asked_for(const struct pod *pod, const struct namespace *ns,
                     const struct inject_options *o, struct err *e);

/* Is its namespace to be scraped? Anything but enabled, yes and true is no. */
bool inject_metrics_wanted(const struct namespace *ns);

/* What is to change in a pod's annotations (as a JSON merge patch of them) so that Prometheus
 * scrapes its sidecar, and finds aside where the application's own metrics are; or, with sidecars
 * false, so that it scrapes the application as before: NULL when it doesn't scrape the sidecar. */
struct value *inject_metrics_patch(struct arena *a, const struct value *annotations, bool sidecars);

/* Windows has no iptables: such pods stay as they are. */
bool inject_is_windows(const struct value *pod);

/* The pod's document with osm-init, envoy, the bootstrap volume and the label osm-proxy-uuid added,
 * and its probes rewritten; what was there stays, also what we don't know. A pod that went through
 * here before gets a new sidecar in the place of the old one. The result lives in `a` and may share
 * nodes with `pod`. Annotations are parsed to numbers, quantities and CIDRs; a bad one is an error
 * that names it. */
int inject_pod(struct arena *a, const struct value *pod, const struct pod *decoded, struct str uuid,
               bool metrics, const struct inject_options *o, struct value **ret, struct err *e);

/* Is this pod's sidecar there, with nothing in the pod that it doesn't know? Then injecting it
 * again would only change the uuid. *ret_uuid gets the one that it has. */
bool inject_is_complete(struct arena *a, const struct value *pod, const struct pod *decoded,
                        const struct inject_options *o, struct str *ret_uuid);

/* What the pod's owner should know though nothing is wrong: an array of sentences, or NULL. */
struct value *inject_warnings(struct arena *a, const struct value *pod, const struct pod *decoded,
                              const struct inject_options *o);

/* The same for what gets no sidecar (inject_wanted's 0): what is there that only sidecars have, and
 * why this pod has none. namespace may be NULL. */
struct value *inject_warnings_without(struct arena *a, const struct pod *pod,
                                      const struct namespace *ns, const struct inject_options *o);
/* Of any pod and its namespace: labels and annotations of ours that are misspelt. */
struct value *inject_warnings_of_names(struct arena *a, const struct pod *pod,
                                       const struct namespace *ns);

/* The pod without the label osm-proxy-uuid, as it has no sidecar that this could be of; NULL: it
 * hasn't got it. */
struct value *inject_without_uuid(struct arena *a, const struct value *pod);

/* The Secret `envoy-bootstrap-config-<uuid>` that the pod mounts at /etc/envoy: bootstrap.yaml, the
 * two file-SDS documents, cacert.pem, sds_cert.pem, sds_key.pem, the issuer ids. pod is the
 * document that inject_pod was given. */
int inject_bootstrap_secret(struct arena *a, const struct value *pod, const struct pod *decoded,
                            struct str uuid, const struct cert *cert,
                            const struct inject_options *o, struct value **ret, struct err *e);

/* The files of it that change when a certificate is renewed, as the Secret's `data` (in base64). */
struct value *inject_bootstrap_renewal(struct arena *a, const struct cert *cert);

/* The text of osm-init's `/bin/sh -c`: iptables-restore (and ip6tables-restore) input. Idempotent.
 */
int inject_redirection(struct arena *a, const struct pod *pod, const struct inject_options *o,
                       struct str *ret, struct err *e);

/* A random UUID version 4 in text. */
void inject_uuid(char out[37]);

#endif
