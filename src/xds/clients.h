/* The proxies that are connected, as the brain knows them: by the uuid of their certificate, so
 * that a change of a pod costs its own streams, and those that wait for their pod. Brain thread. */
#ifndef OSM_XDS_CLIENTS_H
#define OSM_XDS_CLIENTS_H

#include "base/map.h"

/* One stream. id, shard, uuid and identity stay as they were made: the stream's shard reads them,
 * too, until it says goodbye. */
struct client {
    uint64_t id;
    unsigned shard;
    char *uuid, *identity; /* as the certificate says */
    char *audience;        /* NULL: not answered yet */
    int64_t refuse_at;   /* monotonic ms, when no pod has it; INT64_MAX: one has, or it may stay */
    bool waiting;        /* see clients_wait */
    struct client *next; /* of the same uuid */
    struct client *prev_waiting, *next_waiting;
};

/* Zero-initialised is empty. */
struct clients {
    struct map by_uuid; /* -> the first client */
    struct client *waiting;
    size_t len;
};

/* Of one that was never added. */
void client_free(struct client *c);
/* Takes c. */
void clients_add(struct clients *s, struct client *c);
/* Frees it. */
void clients_remove(struct clients *s, struct client *c);
void clients_done(struct clients *s);
/* The first of this uuid, the others follow by `next`; NULL: none. */
struct client *clients_find(const struct clients *s, struct str uuid);
/* Is it to be looked at again, though nothing about its uuid changes? Of those that are, s->waiting
 * is the first, the others follow by `next_waiting`. */
void clients_wait(struct clients *s, struct client *c, bool waiting);

#endif
