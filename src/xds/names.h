/* The names that Envoy and we share: types, type URLs, resource names (as in Open Service Mesh). */
#ifndef OSM_XDS_NAMES_H
#define OSM_XDS_NAMES_H

#include "base/arena.h"
#include "base/str.h"

/* In the order in which they must reach a proxy: clusters and their endpoints and secrets before
 * the listeners and routes that use them. */
enum xds_type { XDS_CDS, XDS_EDS, XDS_SDS, XDS_LDS, XDS_RDS, XDS_TYPES };

/* The secret with the roots that servers are checked by: every cluster of a service names it. */
#define XDS_UPSTREAM_ROOTS "root-cert-for-mtls-outbound"

const char *xds_type_url(enum xds_type t);
const char *xds_type_name(enum xds_type t); /* "cds" */
/* false when the URL is none of ours. */
bool xds_type_parse(struct str url, enum xds_type *ret);

#endif
