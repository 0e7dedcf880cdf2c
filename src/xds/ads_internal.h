/* What passes between the brain's side (ads.c) and the shards' (ads_shard.c). */
#ifndef OSM_XDS_ADS_INTERNAL_H
#define OSM_XDS_ADS_INTERNAL_H

#include "base/map.h"
#include "net/grpc_server.h"
#include "xds/ads.h"
#include "xds/clients.h"

/* Of a push: whom to give which plan. */
struct step {
    struct conn *conn;
    struct plan *plan;
};

/* One shard: touched by its own thread only, but for the fields set at start. */
struct shard {
    struct ads *ads;
    unsigned index;
    struct loop *loop;
    struct response_cache *cache;
    struct map streams;        /* id as 8 bytes -> conn */
    struct map audiences;      /* key -> audience */
    VEC(struct step) walk;     /* the push that goes on */
    VEC(struct conn *) closed; /* during it: freed after it */
};

struct ads {
    struct ads_options options;
    struct grpc_server *server;
    unsigned n_shards;
    struct shard *shards;
    struct clients clients;
    struct cert *cert;
    bool ready; /* the source is in sync: proxies may be answered */
    _Atomic uint64_t next_id;
};

static inline struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

/* Shard to brain; posted, run on the brain. */
void ads_on_hello(struct ads *a, struct client *c);                                 /* takes c */
void ads_on_bye(struct ads *a, struct client *c);                                   /* frees it */
void ads_on_shard_status(struct ads *a, void *collection, struct ads_status *part); /* takes part */

/* Brain to shard; called on the brain, run on the shard. */
void shard_assign(struct shard *s, uint64_t id, const char *audience, struct plan *plan);
/* code: of the error, "E5002", or NULL; outlives the call. */
void shard_refuse(struct shard *s, uint64_t id, int grpc_status, const char *why, const char *code);
/* New plans; takes the array and what is in it. */
struct new_plan {
    char *audience;
    struct plan *plan;
};
void shard_plans(struct shard *s, struct new_plan *plans, size_t n);
void shard_age(struct shard *s); /* of its caches; every few seconds */
void shard_collect_status(struct shard *s, void *collection);
void shard_ping(struct shard *s, void (*pong)(void *arg), void *arg); /* pong on the brain */

/* gRPC's callbacks, for grpc_server_start. */
extern const struct grpc_service ads_grpc_service;

void ads_status_done(struct ads_status *s);

#endif
