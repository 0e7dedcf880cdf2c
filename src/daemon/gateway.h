/* The Secret with the ingress gateway's client certificate, as MeshConfig
 * spec.certificate.ingressGateway wants it: type kubernetes.io/tls with tls.crt, tls.key and ca.crt
 * (as in Open Service Mesh). The one replica that holds the lease makes it, renews it in time and
 * when the roots change, and puts it back within a minute when somebody changed or deleted it; it
 * can't read Secrets, so a new holder makes a new certificate. Where MeshConfig no longer wants it,
 * it goes. On the brain's thread. */
#ifndef OSM_DAEMON_GATEWAY_H
#define OSM_DAEMON_GATEWAY_H

#include "cert/cert.h"
#include "kube/client.h"
#include "mesh/mesh.h"

/* The label of such Secrets; its value is the mesh's name. What hasn't it is somebody else's: the
 * chart's admission policy keeps us from it. */
#define GATEWAY_LABEL "openservicemesh.io/ingress-gateway"

struct gateway;

struct gateway_options {
    struct loop *loop;
    struct kube_client *client; /* on the loop */
    const struct mesh *mesh;
    struct issuer *issuer;
    const char *mesh_name;
    /* What keeps it from being made or written, once for as long as it is so. */
    void (*on_problem)(void *arg, const char *problem);
    void *arg;
};

struct gateway *gateway_new(const struct gateway_options *options);
void gateway_free(struct gateway *g);

/* We hold the lease, or don't. */
void gateway_hold(struct gateway *g, bool held, int64_t now);
/* MeshConfig, the roots or the time may be others; now: wall clock, s. Call every few seconds. */
void gateway_look(struct gateway *g, int64_t now);
/* Nothing is left to write. */
bool gateway_done(const struct gateway *g);

#endif
