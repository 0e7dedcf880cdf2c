/* The parts of osm-controller. Within src/daemon only; all of it on the brain's thread.
 *
 * Two ways to run: from manifests in folders, with the root in a file and a control socket (what
 * `osm local` does), or in a cluster. Store, mesh, planner and discovery service are the same; a
 * `mode` says where objects come from and who else is told. */
#ifndef OSM_DAEMON_CONTROLLER_H
#define OSM_DAEMON_CONTROLLER_H

#include "daemon/flags.h"
#include "daemon/heap.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "source/source.h"
#include "xds/ads.h"

struct controller_flags {
    struct texts sources;
    const char *ca_file, *ads_address, *http_socket;
    const char *validator_webhook_config, *webhook_client_ca, *osm_service_account;
    bool validate_traffic_target;
    int64_t shards;
};

struct controller;

/* Where objects come from and what belongs to that. */
struct mode {
    const char *ads_address;   /* when no flag says another */
    int64_t connection_age_ms; /* proxies connect anew after that; 0: never */
    /* Fills c->issuer. */
    int (*load_root)(struct controller *c, struct err *e);
    /* Fills c->source and starts pages; after mesh and planner were made. */
    int (*start)(struct controller *c, struct err *e);
    /* The mesh follows the store now. May be NULL. */
    void (*updated)(struct controller *c, const struct mesh_delta *delta);
    void (*tick)(struct controller *c, int64_t now); /* may be NULL */
    /* The command line is wrong; nothing was started, and stop follows. May be NULL. */
    void (*invalid)(struct controller *c, const struct err *e);
    /* The start failed; stop follows. May be NULL. */
    void (*failed)(struct controller *c, const struct err *e);
    /* SIGTERM: ends with controller_end. */
    void (*end)(struct controller *c);
    void (*stop)(struct controller *c);
    uint64_t (*digest)(const struct controller *c, size_t source); /* may be NULL */
};
extern const struct mode controller_local, controller_cluster;

struct controller {
    const struct daemon_flags *common;
    const struct controller_flags *flags;
    const struct mode *mode;
    struct mesh_options mesh_options;
    struct loop *loop;
    struct store *store;
    struct source *source;
    struct mesh *mesh;
    struct issuer *issuer;
    struct planner *planner;
    struct ads *ads;
    struct loop_timer *tick;
    bool ending;
    bool writes; /* holds the lease */
    struct heap heap;
    struct local *local;
    struct cluster *cluster;
};

/* The store has changed: mesh, plans and proxies follow. Nothing happens before the source is
 * complete: then all of it is one change. */
void controller_update(struct controller *c);
/* The roots of the issuer changed: all proxies learn of them, our own certificates follow. */
void controller_roots_changed(struct controller *c);
/* Ends the loop. */
void controller_end(struct controller *c);

/* Pages, for routes whose arg is the controller. */
void controller_on_ready(void *arg, struct http_request *q);
void controller_on_alive(void *arg, struct http_request *q);
void controller_on_status(void *arg, struct http_request *q);
void controller_on_debug(void *arg, struct http_request *q);
void controller_on_debug_certs(void *arg, struct http_request *q);
void controller_on_debug_flags(void *arg, struct http_request *q);
void controller_on_debug_mesh(void *arg, struct http_request *q);
void controller_on_debug_namespaces(void *arg, struct http_request *q);
void controller_on_debug_proxies(void *arg, struct http_request *q);
/* NULL: it may be sent calls; else why not. */
const char *controller_why_not_ready(const struct controller *c);

/* Does the namespace belong to the mesh? */
bool controller_monitors(const struct controller *c, const struct object *namespace);

struct feature_flag {
    const char *name; /* as MeshConfig has it */
    bool enabled;
};
enum { FEATURE_FLAGS_MAX = 16 };
size_t controller_feature_flags(const struct mesh_config *config,
                                struct feature_flag ret[FEATURE_FLAGS_MAX]);

/* Counting; see metrics.h. */
extern const struct ads_observer controller_observer;
void controller_collect_metrics(void *arg);
void controller_count_events(const struct changes *changes);

#endif
