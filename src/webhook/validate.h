/* Which policy may be stored. The same rules as for folders of manifests hold (kinds/), then those
 * between objects that the decoder can't see. What is accepted and probably wrong is said as a
 * warning: what the decoder warns of, what the mesh would find (mesh/), and references to what
 * isn't there.
 *
 * Pure: it reads the request and the store. */
#ifndef OSM_WEBHOOK_VALIDATE_H
#define OSM_WEBHOOK_VALIDATE_H

#include "mesh/mesh.h"
#include "webhook/admission.h"

struct validator {
    const struct store *store; /* what the cluster says now */
    const struct mesh_options *mesh;
};

/* The handler for WEBHOOK_VALIDATE_PATH (webhook_route's decide); arg is a const struct
 * validator. Creations and updates of kinds that have a definition of ours; everything else that
 * isn't stored anew is allowed. An update that leaves spec as it was is always allowed, so that
 * labels, owners and finalizers of an object that newer rules refuse can be changed. */
void validate(void *arg, struct arena *a, const struct admission_request *q,
              struct admission_verdict *v);

#endif
