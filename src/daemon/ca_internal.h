/* What loading and following the root share. Within src/daemon only. */
#ifndef OSM_DAEMON_CA_INTERNAL_H
#define OSM_DAEMON_CA_INTERNAL_H

#include "daemon/ca.h"

/* Keys are ECDSA P-256 until MeshConfig says otherwise. */
struct issuer_options ca_issuer_options(const struct daemon_flags *f);
/* "Secret osm-system/osm-ca-bundle"; free() it. */
char *ca_title(const struct daemon_flags *f);

#endif
