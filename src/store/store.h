/* What the cluster (or a folder of manifests) says now: kind -> namespace/name -> object, and the
 * indexes that the mesh needs. Pure: no I/O, no clock. Owned by the brain thread.
 *
 * Putting and removing record changes; whoever derives something from the store takes them in
 * batches and recomputes only what they touch. An object equal to the one that is there (same hash,
 * read at the same place) changes nothing and keeps the old pointer. */
#ifndef OSM_STORE_STORE_H
#define OSM_STORE_STORE_H

#include "base/vec.h"
#include "kinds/object.h"

struct store;

struct store *store_new(void);
void store_free(struct store *s);

/* Takes the caller's reference. True when something changed. */
bool store_put(struct store *s, struct object *o);
/* True when it was there. */
bool store_remove(struct store *s, enum kind kind, struct str namespace, struct str name);

/* Borrowed, valid until the next put or remove; NULL when absent. namespace is empty for
 * cluster-scoped kinds. */
struct object *store_find(const struct store *s, enum kind kind, struct str namespace,
                          struct str name);
size_t store_count(const struct store *s, enum kind kind);
/* Calls fn for each object of a kind, in no order. */
void store_each(const struct store *s, enum kind kind, void (*fn)(void *arg, struct object *o),
                void *arg);

/* Indexes: objects by a key that is computed from each. Keys of two parts are "ns/name". */
enum store_index {
    INDEX_NAMESPACE,             /* namespace + '/' + kind name, e.g. "bookstore/Service" */
    INDEX_POD_BY_ACCOUNT,        /* ns/serviceaccount */
    INDEX_POD_BY_PROXY,          /* label osm-proxy-uuid */
    INDEX_POD_BY_IP,             /* every pod IP */
    INDEX_POD_BY_LABEL,          /* ns/key=value of every label */
    INDEX_SERVICE_BY_SELECTOR,   /* ns/key=value of the first pair of the selector */
    INDEX_SLICE_BY_SERVICE,      /* ns/service, label kubernetes.io/service-name */
    INDEX_SLICE_BY_POD,          /* ns/pod of every targetRef, and every address as it is */
    INDEX_TARGET_BY_DESTINATION, /* ns/serviceaccount */
    INDEX_TARGET_BY_SOURCE,      /* ns/serviceaccount, and "ns/" for any account of it */
    INDEX_TARGET_BY_ROUTE,       /* kind + '/' + ns/name of the route group or TCP route */
    INDEX_SPLIT_BY_APEX,         /* ns/service */
    INDEX_SPLIT_BY_BACKEND,      /* ns/service */
    INDEX_SPLIT_BY_MATCH,        /* ns/route group */
    INDEX_INGRESS_BY_BACKEND,    /* ns/service that is opened */
    INDEX_INGRESS_BY_SOURCE,     /* ns/service that may call */
    INDEX_INGRESS_BY_MATCH,      /* ns/route group */
    INDEX_COUNT,
};

struct object_list {
    struct object *const *at; /* sorted by namespace, then name: deterministic */
    size_t len;
};
/* Borrowed, valid until the next put or remove. */
struct object_list store_lookup(const struct store *s, enum store_index index, struct str key);

/* old == NULL: added; now == NULL: removed; both are references owned by the list. Several changes
 * of one object between two takes are merged into one (first old, last now). */
struct change {
    enum kind kind;
    struct object *old, *now;
};
struct changes {
    VEC(struct change) list;
};
bool store_has_changes(const struct store *s);
size_t store_pending(const struct store *s); /* changes that nobody took yet */
/* Moves the recorded changes out. */
void store_take_changes(struct store *s, struct changes *ret);
void changes_done(struct changes *c);

#endif
