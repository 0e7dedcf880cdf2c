/* What a cluster or a listener makes Envoy ask for: endpoints, routes, secrets by name. Read once
 * for each content, whoever gets it; names are kept once for the whole process. */
#ifndef BENCH_SWARM_REFS_H
#define BENCH_SWARM_REFS_H

#include "base/vec.h"
#include "xds/names.h"

struct ref_to {
    enum xds_type type;
    uint64_t id; /* of the name */
};
typedef VEC(struct ref_to) ref_vec;

/* Borrowed, for good. type: XDS_CDS or XDS_LDS; hash: of the body. */
const ref_vec *refs_of(enum xds_type type, uint64_t hash, struct str body);
/* Of a content that refs_of has seen. */
const ref_vec *refs_find(uint64_t hash);

/* The name's id, remembered so that refs_name finds it. */
uint64_t refs_intern(struct str name);
struct str refs_name(uint64_t id);

#endif
