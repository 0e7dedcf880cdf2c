/* A request of a discovery stream, as Envoy writes it: in the delta protocol or that of the state
 * of the world. */
#ifndef BENCH_SWARM_ASK_H
#define BENCH_SWARM_ASK_H

#include "base/buf.h"
#include "held.h"
#include "xds/names.h"

struct ask {
    enum xds_type t;
    bool delta;
    bool first;       /* of this type on its stream: says who asks, and what it has */
    bool refused;     /* the response with that nonce */
    struct str nonce; /* of the response that it answers; empty: none */
    const char *uuid; /* of who asks */
    /* Delta: what it has, names from now on and no more (NULL: none). */
    const held_vec *held;
    const id_vec *add, *remove;
    /* State of the world: the last response that was taken (0: none), all names (empty: all). */
    uint64_t version;
    const id_vec *names;
};

/* With gRPC's prefix. */
void ask_write(const struct ask *a, struct buf *out);

#endif
