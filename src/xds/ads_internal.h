/* What passes between the brain's side (ads.c) and the shards' (ads_shard.c). */
#ifndef OSM_XDS_ADS_INTERNAL_H
#define OSM_XDS_ADS_INTERNAL_H

#include "base/map.h"
#include "net/grpc_server.h"
#include "xds/ads.h"

/* One shard: touched by its own thread only, but for the fields set at start. */
struct shard {
    struct ads *ads;
    unsigned index;
    struct loop *loop;
    struct response_cache *cache;
    struct map streams;   /* id as 8 bytes -> conn */
    struct map audiences; /* key -> map of id -> conn */
};

/* A proxy as the brain knows it. */
struct client {
    uint64_t id;
    unsigned shard;
    char *uuid, *identity;
    char *audience;    /* NULL: not answered yet */
    int64_t refuse_at; /* monotonic ms; for those not answered */
};

struct ads {
    struct ads_options options;
    struct grpc_server *server;
    unsigned n_shards;
    struct shard *shards;
    struct map clients; /* id as 8 bytes -> client */
    struct cert *cert;
    bool ready; /* the source is in sync: proxies may be answered */
    _Atomic uint64_t next_id;
};

static inline struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

/* Shard to brain; posted, run on the brain. */
void ads_on_hello(struct ads *a, struct client *c); /* takes c */
void ads_on_bye(struct ads *a, uint64_t id);
void ads_on_shard_status(struct ads *a, void *collection, struct ads_status *part); /* takes part */

/* Brain to shard; called on the brain, run on the shard. */
void shard_assign(struct shard *s, uint64_t id, const char *audience, struct plan *plan);
void shard_refuse(struct shard *s, uint64_t id, int grpc_status, const char *why);
/* New plans; takes the array and what is in it. */
struct new_plan {
    char *audience;
    struct plan *plan;
};
void shard_plans(struct shard *s, struct new_plan *plans, size_t n);
void shard_collect_status(struct shard *s, void *collection);

/* gRPC's callbacks, for grpc_server_start. */
extern const struct grpc_service ads_grpc_service;

void ads_status_done(struct ads_status *s);

#endif
