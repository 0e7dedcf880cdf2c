/* The meshes that are measured: manifests of services, pods and policies by a few numbers, and the
 * changes that are timed. Text only; who reads it is not known here. */
#ifndef BENCH_SWARM_WORLD_H
#define BENCH_SWARM_WORLD_H

#include <stdbool.h>

#include "base/buf.h"

enum world_policy {
    WORLD_SMI,        /* each identity may call five others */
    WORLD_PERMISSIVE, /* all call all */
    WORLD_HOT,        /* all may call one service, and nothing else */
};

/* More would share addresses. */
enum { WORLD_PODS_MAX = 128, WORLD_SERVICES_MAX = 4096 };

struct world {
    enum world_policy policy;
    int services;     /* numbered from 0; of WORLD_HOT number 0 is the hot one */
    int per_service;  /* pods of each, every one with a sidecar */
    int hot_pods;     /* of the hot service; 0 in other worlds */
    int moved;        /* how often the last service's pods got another account */
    bool short_lived; /* certificates are issued for WORLD_SHORT_S, the shortest time there is */
    bool egress;
    /* How often each pod was replaced, in the order of the services, and how often each service's
     * slice changed; NULL: never. */
    int *generations, *slices;
    int *based; /* of each pod, which generation the base has; NULL: the first */
};

#define WORLD_NAMESPACE "bench"

int world_pods(const struct world *w, int service);
int world_proxies(const struct world *w); /* all pods */

/* Allocates what counts. */
void world_init(struct world *w);
void world_done(struct world *w);
int world_pod_index(const struct world *w, int service, int pod);
/* The slice has it as an endpoint that is ready; of each slice one isn't there. */
bool world_is_listed(const struct world *w, int service, int pod);

/* The pod's sidecar and who it is, for certificates. */
char *world_uuid(const struct world *w, int service, int pod);
char *world_account(int service);
char *world_pod_account(const struct world *w, int service);
#define WORLD_SHORT_S 600

/* Namespace, MeshConfig and what the services share. */
void world_write_base(const struct world *w, struct buf *out);
/* Everything of one service. */
void world_write_service(const struct world *w, int service, struct buf *out);

/* What changes of a service: its slice, and pods in place of those that the base has. */
void world_write_members(const struct world *w, int service, struct buf *out);
/* What world_write_service says now of its pods is in the base. */
void world_based(struct world *w, int service);
/* The pod that is there now goes. */
void world_write_gone(const struct world *w, int service, int pod, struct buf *out);
/* One object each, in a form that differs by variant. */
void world_write_target(const struct world *w, int service, int variant, struct buf *out);
void world_write_split(const struct world *w, int service, int variant, struct buf *out);
void world_write_config(const struct world *w, struct buf *out);
void world_write_account(const char *name, struct buf *out);
/* In place of the object: it is gone. */
void world_write_deleted(const char *api, const char *kind, const char *name, struct buf *out);

#endif
