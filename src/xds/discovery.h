/* The discovery service's messages, both protocols: bytes to requests, resources to responses.
 * Pure. A request is parsed after its sender is authenticated and its size checked. */
#ifndef OSM_XDS_DISCOVERY_H
#define OSM_XDS_DISCOVERY_H

#include "base/err.h"
#include "xds/resource.h"

#define DISCOVERY_PATH_SOTW                                                                        \
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
#define DISCOVERY_PATH_DELTA                                                                       \
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

struct known_resource {
    struct str name;
    uint64_t version; /* 0: not one of ours */
};

/* Views into the message or the arena. */
struct discovery_request {
    struct str type_url;
    struct str nonce, version; /* version: state of the world only */
    bool refused;              /* error_detail is there */
    struct str error;
    struct str *names; /* resource_names or resource_names_subscribe */
    size_t n_names;
    struct str *unsubscribe; /* delta only */
    size_t n_unsubscribe;
    struct known_resource *known; /* initial_resource_versions, delta only */
    size_t n_known;
};

int discovery_parse(struct arena *a, bool delta, struct str message, struct discovery_request *ret,
                    struct err *e);

/* One response, shared by all streams that are owed the same. */
struct response {
    struct ref ref;
    enum xds_type type;
    uint64_t nonce;         /* hash of what it says, or that inverted */
    struct blob *framed;    /* with gRPC's prefix */
    struct blob *rest;      /* of the message's bytes; NULL: that was all */
    resource_vec resources; /* references */
};
struct response *response_ref(struct response *r);
struct response *response_unref(struct response *r);

/* Remembers the last differences and responses, so that they are computed once for all streams
 * that are owed the same. One a thread. */
struct response_cache;
struct response_cache *response_cache_new(void);
void response_cache_free(struct response_cache *c);
/* Forgets what wasn't used since the last call: it may hold much memory. */
void response_cache_age(struct response_cache *c);

struct response_content {
    bool delta;
    uint64_t version; /* of the state of the world; 0 in the delta protocol */
    /* Of the stream's response before; this one's differs, so that a request that still names the
     * other isn't taken for its answer. */
    uint64_t last_nonce;
    const resource_vec *resources, *removed; /* removed: names, delta only */
    /* What other audiences have too: of this, all of them share the bytes. May be NULL. */
    const struct resource_set *base;
};
/* Encodes, or finds a remembered one; the reference is the caller's. */
struct response *response_cached(struct response_cache *c, enum xds_type type,
                                 const struct response_content *content);
/* The difference of two views, borrowed until the next call. */
struct difference {
    struct view from, to;
    resource_vec changed, removed;
    uint64_t used_at;
};
const struct difference *difference_cached(struct response_cache *c, struct view from,
                                           struct view to);

#endif
