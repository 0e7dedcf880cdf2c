/* What the planner's files share: what services and the mesh as a whole become
 * (planner_services.c), what each identity and audience gets of it (planner_audiences.c), and the
 * order in which a change goes through both (planner.c). */
#ifndef OSM_XDS_PLANNER_INTERNAL_H
#define OSM_XDS_PLANNER_INTERNAL_H

#include "base/map.h"
#include "xds/planner.h"
#include "xds/translate.h"

/* What a part of the mesh is to Envoy. */
struct resources {
    resource_vec out[XDS_TYPES];
};

/* An identity: its certificate, and who bears it. */
struct bearer {
    struct cert *cert;
    struct resources certificate;
    struct map audiences; /* key -> audience; empty: the certificate is kept until it is due */
};

struct audience {
    char *key, *identity;
    struct plan *plan;
    struct resources inbound;
    VEC(char *) services; /* that it sees through its access list (SMI mode) */
};

struct planner {
    const struct mesh *mesh;
    struct issuer *issuer;
    struct blob *roots;
    struct resources common;
    struct map services;   /* key -> resources: all but endpoints */
    struct map endpoints;  /* key -> resources: endpoint lists of all endpoints */
    struct map identities; /* identity -> bearer */
    struct map audiences;  /* key -> audience */
    struct map dirty;      /* key -> audience: to be composed again */
    struct map changed;    /* keys of audiences whose plan was replaced */
    struct map viewers;    /* service key -> map of audiences that see it (SMI mode) */
    struct claims *claims;
    struct resource_set *base[XDS_TYPES];   /* permissive mode: common and all services */
    struct resources base_add, base_remove; /* edits to the base not yet made */
    bool base_fresh;                        /* the base must be built anew */
    uint64_t encoded;
};

void resources_done(struct resources *r);
void resources_free(void *r);
void resources_append(struct resources *to, const struct resources *from); /* from may be NULL */
/* Puts the new in place of the old. Those that came out as before stay: proxies hold them, so that
 * others would be in memory beside them. */
void resources_put(struct resources *old, struct resources *now);

/* What translations read besides their part; what they made is counted. */
struct translate planner_translate(const struct planner *p);
void planner_count(struct planner *p, const struct resources *made);

/* --- services and the base --- */

/* Anew: what all translations read has changed. */
void planner_encode_everything(struct planner *p);
void planner_update_services(struct planner *p, const struct mesh_delta *d);
/* The base of permissive mode: makes the edits that are noted. */
void planner_update_base(struct planner *p);
void planner_drop_base(struct planner *p); /* SMI mode has none */
void planner_services_done(struct planner *p);

/* --- identities and audiences --- */

void planner_dirty_viewers(struct planner *p, struct str service); /* they are composed anew */
void planner_update_audience(struct planner *p, struct str key);   /* it came, changed or went */
/* For rules and ingress that changed. */
void planner_update_identities(struct planner *p, const struct mesh_delta *d);
/* Certificates that are due; those that nobody bears any more are forgotten. */
void planner_renew_due(struct planner *p, int64_t now);
/* Makes the plans of those that are dirty, or of all. */
void planner_compose(struct planner *p, bool all, int64_t now);
void planner_audiences_done(struct planner *p);

#endif
