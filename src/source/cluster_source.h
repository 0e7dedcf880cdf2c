/* The cluster source: lists and watches the API server.
 *
 * Every kind is watched in all namespaces at once, and what isn't in a joined namespace (one that
 * is labelled monitored-by this mesh) is dropped unread. When a namespace joins, what it holds is
 * listed; the namespace itself comes into the store after that, so that it is never seen half full.
 * A kind whose CustomResourceDefinition is missing is waited for and reported; a kind that we may
 * not read holds everything back, since nobody knows what it would have said.
 *
 * An object that can't be understood keeps its last good form and is a finding. Runs on the
 * client's loop (the brain). */
#ifndef OSM_SOURCE_CLUSTER_SOURCE_H
#define OSM_SOURCE_CLUSTER_SOURCE_H

#include "kube/watch.h"
#include "source/source.h"

struct cluster_source_options {
    struct kube_client *client; /* on a loop; outlives the source */
    struct store *store;
    const char *mesh_name, *osm_namespace;
    const char *config_name; /* of the MeshConfig, such as "osm-mesh-config" */
    /* After each batch of changes reached the store, and when only the findings changed. Not before
     * the first lists are complete: the first call says that they are. */
    void (*on_change)(void *arg);
    /* A kind is listed, live, missing...: for the log. e may be empty. May be NULL. */
    void (*on_state)(void *arg, enum kind kind, enum kube_watch_state state, const struct err *e);
    void *arg;
    int64_t hurry; /* for tests: waits are so many times shorter; 0: as they are */
};

/* Calls nothing before it returns. Ends with source_free. */
struct source *cluster_source_start(const struct cluster_source_options *options);

#endif
