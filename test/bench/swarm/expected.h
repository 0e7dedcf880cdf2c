/* What one proxy may be told: what plans that were built from nothing say of it, from the last that
 * it held whole to that of now. Of every name it holds what one of them says and only goes on to
 * later ones, so that a message is known to be wrong by itself, whatever comes after it. Content
 * only; what was asked for, proxy.h knows. */
#ifndef BENCH_SWARM_EXPECTED_H
#define BENCH_SWARM_EXPECTED_H

#include "xds/resource.h"

struct expected {
    VEC(struct plan *) plans; /* the oldest first; references */
};

/* The plan is the one of now; takes a reference of its own. */
void expected_add(struct expected *e, struct plan *plan);
/* The proxy holds all of the last: nothing older may come. */
void expected_keep_last(struct expected *e);
void expected_done(struct expected *e); /* nothing may come */
/* The plan of now; NULL: none. */
const struct plan *expected_last(const struct expected *e);

/* Certificates differ at each issuing: of them only counts that they are there. */
bool expected_is_certificate(enum xds_type t, uint64_t id);
/* Why it's wrong that a name's content becomes `now` in place of `before`; NULL: it isn't. Both are
 * hashes, 0: nothing. */
const char *expected_wrong(const struct expected *e, enum xds_type t, uint64_t id, uint64_t before,
                           uint64_t now);
/* How what is held of a name differs from the last plan; NULL: it doesn't. */
const char *expected_differs(const struct expected *e, enum xds_type t, uint64_t id, uint64_t held);

#endif
