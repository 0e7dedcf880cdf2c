/* Which service an address belongs to. Envoy refuses two listeners of one address, and services can
 * overlap: two headless ones with the same pods, two with one cluster IP by mistake. The one whose
 * key sorts first has the address; when it goes, the next one has it. Brain thread only. */
#ifndef OSM_XDS_CLAIMS_H
#define OSM_XDS_CLAIMS_H

#include "mesh/mesh.h"

struct claims;

struct claims *claims_new(void);
void claims_free(struct claims *c);

/* Replaces what the service claims by what it has now: nothing when s is NULL. Other services that
 * won or lost an address by that are appended to *affected (strings of the arena). */
typedef VEC(struct str) claims_keys;
void claims_update(struct claims *c, struct str service, const struct mesh_service *s,
                   const struct mesh_endpoints *e, struct arena *a, claims_keys *affected);
bool claims_owns(const struct claims *c, struct str ip, uint16_t port, struct str service);

#endif
