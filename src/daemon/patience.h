/* Requests at the start of a program, which may be up before the API server answers. */
#ifndef OSM_DAEMON_PATIENCE_H
#define OSM_DAEMON_PATIENCE_H

#include "kube/client.h"

/* As kube_do, but asked again for PATIENCE_MS while there is no answer or the server has trouble of
 * its own, or, with `absent`, while it doesn't know what is asked for. Blocks. */
#define PATIENCE_MS 30000
int patient_do(struct kube_client *client, const struct kube_request *q, bool absent,
               struct arena *a, struct value **ret, struct err *e);

#endif
