/* One simulated Envoy as its discovery stream sees it: responses in, requests out. It asks as Envoy
 * does: clusters first, then the endpoints and secrets that they name, then listeners, then the
 * routes that these name; it answers each response at once. Of what it holds only hashes are kept.
 * No sockets, no clock.
 *
 * Every message is judged when it comes, by itself: content that the mesh doesn't say, now or since
 * the proxy last had all (expected.h); a name that it didn't ask for, or that is gone; what it has,
 * once more; a type, version or nonce that can't be; a certificate of another. What doesn't come at
 * all shows in what it holds: its sum, and proxy_difference. */
#ifndef BENCH_SWARM_PROXY_H
#define BENCH_SWARM_PROXY_H

#include "base/buf.h"
#include "base/err.h"
#include "expected.h"
#include "held.h"
#include "refs.h"

struct proxy_type {
    held_vec held;
    id_vec names;       /* asked for; those of clusters and listeners are all */
    id_vec given_up;    /* no more asked for: may be in the next response, which was on its way */
    id_vec again;       /* may come once more as they are */
    uint64_t version;   /* state of the world */
    uint64_t nonce;     /* of the last response on this stream, hashed */
    unsigned responses; /* on this stream */
    bool asked, answered;
};

struct proxy {
    char *uuid, *common_name; /* common_name: what its service certificate must say */
    bool delta, refuses;
    struct proxy_type types[XDS_TYPES];
    struct expected expected; /* whoever owns the proxy says and frees it */
    uint64_t certificate;     /* hash of its own */
    uint64_t stale;           /* of one that isn't good any more; 0: none */
    uint64_t sum;             /* of all that it holds; equal sums mean equal content */
    size_t missing;           /* names asked for and not held */
    size_t first_bytes;       /* of the stream's first response; 0: none came */
};

/* What all proxies got. */
struct proxy_counts {
    uint64_t responses, resources, wrong;
    uint64_t bytes[XDS_TYPES];
    char first_wrong[512];
};
extern struct proxy_counts proxy_counts;

/* What a resource adds to a proxy's sum. Certificates differ at each issuing: they add that they
 * are there, and are looked at by themselves. */
uint64_t proxy_share(enum xds_type t, uint64_t id, uint64_t hash);

/* Says what it has and asks for the rest; out gets messages with gRPC's prefix. */
void proxy_begin(struct proxy *p, struct buf *out);
/* Counts what is wrong with it; < 0: not a response that could follow here, so that the stream
 * can't go on. */
int proxy_on_response(struct proxy *p, struct str message, struct buf *out, struct err *e);
/* Everything that it asked for has come. */
bool proxy_complete(const struct proxy *p);
/* One thing that it doesn't hold as it should, "TYPE NAME: how"; false: there is none. */
bool proxy_difference(const struct proxy *p, char *out, size_t size);
/* As if newly started. */
void proxy_forget(struct proxy *p);

#endif
