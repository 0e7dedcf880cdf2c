/* From the mesh to plans: encodes what the parts of the mesh mean for Envoy, once each, and says
 * for every audience what it should have now. Owned by the brain thread; plans may go anywhere.
 *
 * A change costs the parts it touches: their resources are encoded again, sets that hold them are
 * edited, and audiences that see them get a new plan. What comes out equal keeps its pointer. */
#ifndef OSM_XDS_PLANNER_H
#define OSM_XDS_PLANNER_H

#include "cert/cert.h"
#include "mesh/mesh.h"
#include "xds/resource.h"

struct planner;

/* mesh and issuer must outlive it. */
struct planner *planner_new(const struct mesh *mesh, struct issuer *issuer);
void planner_free(struct planner *p);

/* After each mesh_update. now: wall clock, s (certificates are issued for new identities). */
void planner_update(struct planner *p, const struct mesh_delta *delta, int64_t now);
/* Renews certificates that are due; call every few seconds. */
void planner_tick(struct planner *p, int64_t now);
/* The trusted roots changed: secrets and certificates follow. */
void planner_roots_changed(struct planner *p, int64_t now);

/* Borrowed until the next call; NULL when there is no such audience. */
struct plan *planner_plan(const struct planner *p, struct str audience);
/* Keys of audiences whose plan was replaced since the last call; gone ones aren't among them. The
 * strings belong to the caller's arena. */
struct strs planner_take_changed(struct planner *p, struct arena *a);

/* Counts, for metrics and benchmarks. */
struct planner_stats {
    size_t audiences, services, certificates;
    uint64_t encoded; /* resources encoded since start */
};
struct planner_stats planner_stats(const struct planner *p);

#endif
