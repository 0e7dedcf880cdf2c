/* What the parts of the cluster source know of each other. */
#ifndef OSM_SOURCE_CLUSTER_H
#define OSM_SOURCE_CLUSTER_H

#include "base/map.h"
#include "source/cluster_source.h"

/* Which objects of a kind count. */
enum cluster_scope {
    CLUSTER_NAMESPACES, /* the namespaces that joined */
    CLUSTER_JOINED,     /* those in namespaces that joined */
    CLUSTER_SHARED,     /* and those in the namespace of the control plane */
    CLUSTER_OWN,        /* only those in the namespace of the control plane */
    CLUSTER_CONFIG,     /* of those, the MeshConfig that counts */
};

struct collection {
    struct cluster_source *source;
    enum kind kind;
    enum cluster_scope scope;
    struct kube_watch *watch; /* NULL: not started yet */
    enum kube_watch_state state;
    bool complete; /* the first list is, or there is no such kind */
    struct err why;
    struct map refused; /* "ns/name" -> struct findings, own */
};

/* A namespace that joined. */
struct joined {
    struct cluster_source *source;
    struct object *object;   /* until its content is complete; then the store has it */
    struct joining *joining; /* lists under way */
};

struct cluster_source {
    struct source common;
    struct cluster_source_options options;
    struct collection *collections;
    size_t n;
    struct map joined; /* name -> struct joined, own */
    bool in_sync;
    bool findings_stale;
    struct findings findings;
};

/* The kinds that are watched. */
extern const struct cluster_row {
    enum kind kind;
    enum cluster_scope scope;
    const char *field_selector;
} cluster_rows[];
extern const size_t cluster_n_rows;

/* cluster_store.c: takes an object, or keeps the last good form of one that is refused. */
void cluster_put(struct collection *c, const struct value *object);
void cluster_remove(struct collection *c, struct str namespace, struct str name);
void cluster_gather(struct cluster_source *s);

/* cluster_join.c */
bool cluster_wants(const struct cluster_source *s, enum cluster_scope scope, struct str namespace);
void cluster_join(struct cluster_source *s, struct object *namespace); /* takes the reference */
void cluster_leave(struct cluster_source *s, struct str namespace);
/* The watch said something about this object: a list of its namespace under way doesn't any more.
 */
void cluster_touched(struct collection *c, struct str namespace, struct str name);
void cluster_joined_free(void *joined);

/* cluster_source.c: tells on_change when there is something to tell and all is in sync. */
void cluster_tell(struct cluster_source *s);

#endif
