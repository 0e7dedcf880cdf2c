/* What every proxy should hold, by a mesh and plans that are built from nothing. It takes the same
 * manifests as the controller and never sees what the controller did with the ones before. */
#ifndef BENCH_SWARM_ORACLE_H
#define BENCH_SWARM_ORACLE_H

#include "base/str.h"
#include "cert/cert.h"
#include "xds/resource.h"

struct oracle;

struct oracle *oracle_new(struct issuer *issuer);
void oracle_free(struct oracle *o);
/* Puts the objects of the manifests in place of those of their names. */
void oracle_put(struct oracle *o, struct str manifests);
/* Builds all from nothing. */
void oracle_build(struct oracle *o);
/* What this sidecar should have, borrowed until the next build; NULL: there is no such sidecar. */
struct plan *oracle_plan(const struct oracle *o, const char *uuid);
/* The sum (proxy_share) of all that Envoy would ask for with what the plan of this sidecar has; 0
 * when there is no such sidecar. */
uint64_t oracle_sum(const struct oracle *o, const char *uuid);

#endif
