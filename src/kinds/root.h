/* config.openservicemesh.io/v1alpha2 besides MeshConfig: who issues certificates, and services
 * that sidecars use. */
#ifndef OSM_KINDS_ROOT_H
#define OSM_KINDS_ROOT_H

#include "kinds/object.h"

enum root_role { ROOT_PASSIVE, ROOT_ACTIVE, ROOT_INACTIVE };

struct root_builtin {
    struct str secret_name, secret_namespace;
};
struct root_vault {
    struct str host, role, protocol; /* http or https */
    int64_t port;
    struct str token_name, token_key, token_namespace; /* a Secret's key */
};
struct root_cert_manager {
    struct str issuer_name, issuer_kind, issuer_group;
};

struct mesh_root_certificate {
    struct object object;
    struct str trust_domain;
    enum root_role role;
    bool spiffe_enabled;
    /* One of them is set. */
    const struct root_builtin *builtin; /* provider.tresor */
    const struct root_vault *vault;
    const struct root_cert_manager *cert_manager;
};
const char *root_role_name(enum root_role role);
/* Of spec.provider. */
uint64_t mesh_root_certificate_provider_hash(const struct mesh_root_certificate *r);

struct extension_service {
    struct object object;
    struct str host;
    int64_t port;
    struct str protocol;        /* h2c, http2: HTTP/2; http1: HTTP/1.1; empty: as the call came */
    int64_t connect_timeout_ms; /* 0: Envoy's, 5 s */
};

#endif
