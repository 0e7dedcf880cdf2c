/* Parts of the mesh to Envoy's resources. Pure: the same part gives the same bytes. The shapes are
 * those of Open Service Mesh; resource names are made here and nowhere else.
 *
 * What a client needs of a service names neither the client nor its identity, so that one encoding
 * serves all of them. */
#ifndef OSM_XDS_TRANSLATE_H
#define OSM_XDS_TRANSLATE_H

#include "mesh/mesh.h"
#include "xds/claims.h"
#include "xds/resource.h"

/* What every translation reads besides its part. */
struct translate {
    const struct mesh_config *config;
    const char *trust_domain;
    struct str roots; /* PEM of all trusted roots */
    /* Who has which address, and the service that is translated now; NULL: all are its own. */
    const struct claims *claims;
    struct str service;
};

/* Each appends new resources (references of the vector's owner) to out[type]. */

/* For all proxies: the cluster of egress, and the roots that check certificates of both sides. */
void translate_common(const struct translate *t, resource_vec out[XDS_TYPES]);

/* A service as its clients see it: clusters, which say whose certificates are believed, listeners,
 * routes. Endpoint lists come apart, because they change more often; a headless service has a
 * listener for every endpoint instead. */
void translate_service(const struct translate *t, const struct mesh_service *service,
                       const struct mesh_endpoints *endpoints, resource_vec out[XDS_TYPES]);
/* Endpoint lists of its ports; identities: only endpoints of these (sorted), NULL: all. */
void translate_endpoints(const struct translate *t, const struct mesh_service *service,
                         const struct mesh_endpoints *endpoints, const struct strs *identities,
                         resource_vec out[XDS_TYPES]);

/* What only the proxies of one audience have: the catcher of outbound connections with what happens
 * to calls that no service claims; the inbound listener, its routes with the policy, the clusters
 * of the application's ports; the listener for metrics. ingress: of each of its inbounds what
 * callers outside the mesh may do, or NULL. */
void translate_audience(const struct translate *t, const struct mesh_audience *audience,
                        const struct mesh_policy *policy,
                        const struct mesh_ingress_port *const *ingress,
                        resource_vec out[XDS_TYPES]);

/* The secret `service-cert` of one identity. */
void translate_certificate(const struct translate *t, struct str chain_pem, struct str key_pem,
                           resource_vec out[XDS_TYPES]);

#endif
