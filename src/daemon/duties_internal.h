/* The parts of what the holder of the lease does. Within src/daemon only. */
#ifndef OSM_DAEMON_DUTIES_INTERNAL_H
#define OSM_DAEMON_DUTIES_INTERNAL_H

#include "daemon/duties.h"
#include "kube/writes.h"

/* What is wrong, found by the title of the object ("Egress ns/name"). The first of each: one is
 * enough for a status, and the log has all. */
struct problems {
    struct map by_object; /* -> const struct finding */
};
void problems_init(struct problems *p, const struct findings *source, const struct findings *mesh);
void problems_done(struct problems *p);

/* Statuses that were written: title -> text. */
struct statuses {
    struct map written; /* -> char *, own */
};
void statuses_write(struct statuses *s, const struct store *store, const struct problems *p,
                    struct kube_writes *w);
void statuses_done(struct statuses *s);

/* Events that were sent for what is still wrong. */
struct told {
    struct map events; /* object and text -> the finding's generation */
    size_t generation;
};
void told_send(struct told *t, const struct store *store, const struct findings *source,
               const struct findings *mesh, struct kube_events *events);
void told_done(struct told *t);

/* The pod that bears the uuid becomes the owner of its bootstrap Secret. */
void owner_write(const struct store *store, const struct mesh_proxy *proxy, struct kube_writes *w);

/* The object that a finding's title names; NULL: none that the store has. *ret_kind is KIND_COUNT
 * when the title is no object's. Views into the title. */
struct object *object_of_title(const struct store *store, const char *title, enum kind *ret_kind,
                               struct str *ret_namespace, struct str *ret_name);

#endif
