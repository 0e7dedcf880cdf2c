/* One simulated Envoy as its discovery stream sees it: responses in, requests out. It asks as Envoy
 * does: clusters first, then the endpoints and secrets that they name, then listeners, then the
 * routes that these name; it answers each response at once. Of what it holds only hashes are kept.
 * No sockets, no clock. */
#ifndef BENCH_SWARM_PROXY_H
#define BENCH_SWARM_PROXY_H

#include "base/buf.h"
#include "base/err.h"
#include "refs.h"

struct held {
    uint64_t id, hash;
};
typedef VEC(struct held) held_vec; /* sorted by id */
typedef VEC(uint64_t) id_vec;      /* sorted */

struct proxy_type {
    held_vec held;
    id_vec names;     /* asked for; those of clusters and listeners are all */
    id_vec given_up;  /* asked for earlier on this stream: some may be on their way */
    uint64_t version; /* state of the world */
    bool asked, answered;
};

struct proxy {
    char *uuid, *common_name; /* common_name: what its service certificate must say */
    bool delta, refuses;
    struct proxy_type types[XDS_TYPES];
    uint64_t certificate; /* hash of its own */
    uint64_t sum;         /* of all that it holds; equal sums mean equal content */
    size_t missing;       /* names asked for and not held */
};

/* What all proxies got. */
struct proxy_counts {
    uint64_t responses, resources, wrong;
    uint64_t bytes[XDS_TYPES];
    char first_wrong[256];
};
extern struct proxy_counts proxy_counts;
/* Something that must not be; name: of the resource. */
void proxy_count_wrong(const struct proxy *p, const char *what, struct str name);

/* What a resource adds to a proxy's sum. Certificates differ at each issuing: they add that they
 * are there, and are looked at by themselves. */
uint64_t proxy_share(enum xds_type t, uint64_t id, uint64_t hash);

/* Says what it has and asks for the rest; out gets messages with gRPC's prefix. */
void proxy_begin(struct proxy *p, struct buf *out);
/* < 0: not a response that could follow here. */
int proxy_on_response(struct proxy *p, struct str message, struct buf *out, struct err *e);
/* Everything that it asked for has come. */
bool proxy_complete(const struct proxy *p);
/* As if newly started. */
void proxy_forget(struct proxy *p);

#endif
