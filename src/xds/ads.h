/* The aggregated discovery service: streams on connections, plans from the brain.
 *
 * Shards own connections and their streams; the brain owns mesh and planner. A proxy that connects
 * is named to the brain by what its *certificate* says; the brain answers with its audience and
 * plan, or refuses it. Both sides post messages to each other's loops and share nothing but
 * references. */
#ifndef OSM_XDS_ADS_H
#define OSM_XDS_ADS_H

#include "net/loop.h"
#include "xds/planner.h"
#include "xds/stream.h"

struct ads;

/* Told what happens, to count it, on the shards' threads (refused_full: on the brain's). All
 * functions are set. */
struct ads_observer {
    void (*request)(enum xds_type t);
    void (*response)(enum xds_type t);
    void (*refused)(enum xds_type t);    /* by the proxy */
    void (*unanswered)(enum xds_type t); /* the stream ended and the proxy hadn't answered */
    /* The proxy answered to all that it was owed of a type, success: took it. XDS_TYPES: of all
     * types. us: since the configuration was new or the proxy asked. */
    void (*updated)(enum xds_type t, bool success, int64_t us);
    void (*reconnected)(void);  /* a proxy came that has configuration */
    void (*refused_full)(void); /* maxDataPlaneConnections */
};

struct ads_options {
    struct loop *brain;
    const char *host; /* to listen on, "0.0.0.0" or "::" */
    uint16_t port;    /* 0: any, see ads_port */
    unsigned shards;  /* threads; 0: one a core */
    const struct mesh *mesh;
    struct planner *planner;
    struct issuer *issuer;               /* for the server's own certificate `ads.<trust domain>` */
    const struct ads_observer *observer; /* NULL: nobody counts */
    int64_t max_age_ms;                  /* of connections; 0: any, see grpc_server.h */
};

/* How long a proxy whose pod isn't known is kept waiting before it is refused: the source may still
 * be reading its pod. So long, too, is one served after its pod is gone. */
#define ADS_UNKNOWN_POD_MS 10000

int ads_start(const struct ads_options *options, struct ads **ret, struct err *e);
uint16_t ads_port(const struct ads *a);

/* All below: brain thread. */

/* After planner_update: hands changed plans to the shards, answers proxies that waited for their
 * pod, moves those whose audience changed. Until the first call no proxy gets an answer. How many
 * plans changed. */
size_t ads_mesh_changed(struct ads *a, const struct mesh_delta *delta);
/* After planner_tick: hands out changed plans; renews the server's own certificate when due. */
void ads_tick(struct ads *a, int64_t now);

/* What one proxy has, as the shards say. */
struct ads_type_status {
    enum stream_state state;
    uint64_t version;
    char *error; /* Envoy's words, or NULL */
};
struct ads_proxy_status {
    char *uuid, *identity; /* as the certificate says */
    bool known;            /* the brain has given it an audience */
    struct ads_type_status types[XDS_TYPES];
};
struct ads_status {
    VEC(struct ads_proxy_status) proxies;
};
/* Asks all shards; done is called on the brain, once, and owns nothing of what it gets. */
void ads_collect_status(struct ads *a, void (*done)(void *arg, const struct ads_status *s),
                        void *arg);
size_t ads_connected(const struct ads *a);
/* done is called on the brain when every shard's loop has turned; never when one is stuck. */
void ads_ping(struct ads *a, void (*done)(void *arg), void *arg);
/* Another server certificate and the roots that the issuer trusts now. */
void ads_roots_changed(struct ads *a, int64_t now);

/* Takes no more proxies and tells those that are there to go elsewhere, spread over the time.
 * Returns at once. */
void ads_start_drain(struct ads *a, int64_t over_ms);
/* Tells the proxies to reconnect elsewhere, waits at most ms for them, then closes. */
void ads_drain(struct ads *a, int64_t ms);
void ads_free(struct ads *a);

#endif
