/* What the controller tells people and programs about itself: health and status pages. */
#ifndef OSM_OBSERVE_STATUS_H
#define OSM_OBSERVE_STATUS_H

#include "base/buf.h"
#include "doc/findings.h"
#include "mesh/mesh.h"
#include "xds/ads.h"

/* Who tells. */
struct status_teller {
    const char *name;     /* of the pod; NULL: it isn't one */
    const char *ready;    /* NULL: it is; else why not */
    bool writes;          /* holds the lease */
    struct str root;      /* id of the root that signs */
    int64_t root_expires; /* wall clock, s */
};

/* The status document as JSON:
 *   {"mesh": {"name", "namespace", "trustDomain", "permissive"},
 *    "controller": {"name", "version", "ready", "why", "writes", "root", "rootExpires"},
 *    "proxies": [{"uuid", "pod", "identity", "connected", "state", "types": [{"type", "state",
 *    "version", "error"}]}], "sources": [digest of each folder, 16 hexadecimal digits],
 *    "findings": [{"level", "file", "line", "object", "text"}]}
 * A proxy's state is refused, sending, synced or disconnected, the first that applies. Proxies of
 * the mesh that aren't connected (to this controller) are there too. The digests
 * (dir_source_digest) tell which files the proxies' states belong to. */
void status_write(const struct status_teller *teller, const struct mesh *mesh,
                  const struct ads_status *proxies, const struct findings *source,
                  const uint64_t *digests, size_t n_digests, struct buf *out);

#endif
