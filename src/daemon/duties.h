/* What the one replica that holds the lease writes to the cluster:
 * - the Secret with a sidecar's bootstrap gets its Pod as owner, so that it goes with it;
 * - policies with a status say whether they are in force and why not;
 * - what can't be understood is told as an event about the object.
 * The other replicas do none of it, and know nothing of what was written: what is told again by a
 * new holder changes nothing in the cluster. On the brain's thread. */
#ifndef OSM_DAEMON_DUTIES_H
#define OSM_DAEMON_DUTIES_H

#include "kube/client.h"
#include "kube/event.h"
#include "mesh/mesh.h"

struct duties;

struct duties_options {
    struct loop *loop;
    struct kube_client *client; /* on the loop */
    struct kube_events *events; /* NULL: events aren't sent */
    const struct store *store;
    const struct mesh *mesh;
    int64_t delay_ms; /* changes of this time are looked at together; 0: 500 */
};

struct duties *duties_new(const struct duties_options *options);
void duties_free(struct duties *d);

/* We hold the lease, or don't. Who gets it looks at everything once. */
void duties_hold(struct duties *d, bool held);
/* After each change of the mesh. findings: what is wrong with objects that the source couldn't
 * decode; the mesh's own are looked up. Both last until the next call. */
void duties_changed(struct duties *d, const struct mesh_delta *delta,
                    const struct findings *findings);
/* Nothing is left to look at or to write. */
bool duties_done(const struct duties *d);

#endif
