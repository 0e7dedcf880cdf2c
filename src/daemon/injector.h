/* The parts of osm-injector. Within src/daemon only; one thread. */
#ifndef OSM_DAEMON_INJECTOR_H
#define OSM_DAEMON_INJECTOR_H

#include "daemon/ca.h"
#include "daemon/heap.h"
#include "daemon/webhook.h"
#include "kinds/config.h"
#include "kube/watch.h"
#include "net/http_server.h"
#include "webhook/mutate.h"
#include "webhook/renewal.h"
#include "webhook/spares.h"

struct injector_flags {
    const char *webhook_config_name, *webhook_client_ca, *pull_policy;
    int64_t webhook_timeout_s, webhook_port, pages_port;
};

struct injector {
    const struct daemon_flags *common;
    const struct injector_flags *flags;
    struct loop *loop;
    struct kube_client *client;
    struct issuer *issuer;
    struct ca_follower *follower;
    struct mutation *mutation;
    struct renewal *renewal;
    struct spares *spares;
    struct kube_watch *namespaces, *configs;
    bool namespaces_known, config_known;
    struct mesh_config *config; /* NULL: there is none */
    bool server_has_native;
    struct http_server *pages;
    struct daemon_webhook *webhook; /* NULL: not yet */
    struct kube_call *asking;       /* for the mark */
    struct loop_timer *ask_again;
    bool mark_known;
    char *marked;   /* the roots that all sidecars were given, as far as we know */
    char *renewing; /* those that they are given now */
    struct loop_timer *tick, *end;
    struct heap heap;
    int64_t end_by; /* monotonic ms */
    char host[300]; /* of the discovery service */
};

/* What it follows in the cluster: namespaces of the mesh and the MeshConfig. injector_serve is
 * called whenever a first list has become complete. */
void injector_watch_start(struct injector *i);
void injector_watch_stop(struct injector *i);

/* Serves when all is known that decides about a pod; only once. */
void injector_serve(struct injector *i);
/* NULL: it serves; else why not. */
const char *injector_why_not(const struct injector *i);

/* Sidecars' certificates follow the roots. Begins when the webhook is served: only from then on may
 * the API server be told of it. */
void injector_renewal_start(struct injector *i);
void injector_renewal_stop(struct injector *i);
void injector_roots_changed(void *arg);

#endif
