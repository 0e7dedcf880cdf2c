/* Injection at admission: the handler that osm-injector serves. A pod of the mesh is admitted only
 * when its Secret with the sidecar's bootstrap is stored, so that reviews wait for the API; any
 * number at a time. The loop's thread. */
#ifndef OSM_WEBHOOK_MUTATE_H
#define OSM_WEBHOOK_MUTATE_H

#include "inject/inject.h"
#include "kube/client.h"
#include "webhook/server.h"

struct mutation;

struct mutation_options {
    struct kube_client *client; /* on the loop */
    struct issuer *issuer;
    struct inject_options inject; /* but for config and native, which mutation_set_config gives */
    /* Told of each certificate, for metrics; may be NULL. */
    void (*on_issued)(void *arg, int64_t us);
    /* Whether another Secret may be stored for this caller (an address); NULL: always. */
    bool (*may_store)(void *arg, struct str caller);
    /* A sidecar's Secret was stored, though its pod may yet be refused by others; may be NULL. */
    void (*on_stored)(void *arg, struct str caller, struct str namespace, struct str uuid);
    void *arg;
};

struct mutation *mutation_new(const struct mutation_options *options);
/* Reviews that wait are refused. */
void mutation_free(struct mutation *m);

/* Takes references. A pod of a namespace that isn't known, or not known to be in the mesh, has it
 * asked for: the API server may know more than its watch has told us. */
void mutation_set_config(struct mutation *m, struct mesh_config *config, bool native);
void mutation_set_namespace(struct mutation *m, struct namespace *ns);
void mutation_remove_namespace(struct mutation *m, struct str name);

size_t mutation_waiting(const struct mutation *m);

/* The handler for WEBHOOK_MUTATE_PATH (webhook_route's begin); arg is a struct mutation. */
void mutate(void *arg, struct webhook_review *r);

#endif
