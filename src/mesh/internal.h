/* Shared by the files of this folder only.
 *
 * The mesh is recomputed in units: a service (its part, its endpoints' part), the policy of an
 * identity, the access of an identity, the ingress of a service, a proxy. A unit is a function of
 * the store, and of the services' parts for access, ingress and proxies; changes.c says which units
 * a change makes dirty, mesh.c runs them in order. Findings belong to the unit that made them and
 * are replaced with it. */
#ifndef OSM_MESH_INTERNAL_H
#define OSM_MESH_INTERNAL_H

#include "base/buf.h"
#include "base/map.h"
#include "mesh/mesh.h"

#define LABEL_MONITORED_BY "openservicemesh.io/monitored-by"
#define LABEL_PROXY_UUID "osm-proxy-uuid"
#define ANNOTATION_SCRAPE "prometheus.io/scrape"

#define MESH_MAP_COUNT (MESH_PROXIES + 1)

/* A set of strings: the values mean nothing. */
struct set {
    struct map map;
};
void set_add(struct set *s, struct str key);
void set_done(struct set *s);
#define SET_EACH(s, it) MAP_EACH(&(s)->map, it)

/* Sets of strings by a key. */
struct relation {
    struct map sets;
};
void relation_add(struct relation *r, struct str key, struct str member);
void relation_remove(struct relation *r, struct str key, struct str member);
const struct set *relation_find(const struct relation *r, struct str key); /* never NULL */
void relation_done(struct relation *r);

/* All findings in one, made when somebody asks. */
struct gathered {
    struct findings all;
    bool stale;
};

struct mesh {
    struct mesh_options options; /* strings are ours */
    struct mesh_config *config;
    bool permissive;
    struct map parts[MESH_MAP_COUNT];
    struct relation services_by_identity; /* from the endpoints' parts */
    struct relation viewers;              /* service -> identities, from the access parts */
    struct relation members;              /* audience -> uuids, from the proxies' parts */
    struct map findings;                  /* unit -> struct findings, owned */
    struct gathered *gathered;
};

/* What has to be computed again. */
struct dirty {
    struct set services, policies, access, ingress, proxies;
    /* Services whose existence, identities or splits changed: changes who sees what. */
    struct set seen;
    /* Audiences that a proxy has left. */
    struct set left;
};
void dirty_done(struct dirty *d);

/* One run of mesh_update. */
struct update {
    struct mesh *m;
    const struct store *s;
    struct arena *scratch; /* until the end of the update */
    struct dirty dirty;
    struct mesh_delta *delta;
    struct findings *notes; /* of the unit that is being computed */
};

/* changes.c: fills u->dirty. */
void changes_mark(struct update *u, const struct change *c);
void changes_mark_all(struct update *u);
/* After a service's part was replaced by one with other ports: those who copy them. */
void changes_mark_pods_of(struct update *u, const struct service *svc);
/* After a service was computed: what callers outside may do with it, and what is said of those
 * whose source it is. */
void changes_mark_ingress(struct update *u, struct str service, bool other_endpoints);
/* After all services are computed: who sees those of dirty.seen. */
void changes_mark_viewers(struct update *u);

/* The units. */
void service_update(struct update *u, struct str key);
void policy_update(struct update *u, struct str identity);
void access_update(struct update *u, struct str identity);
void ingress_update(struct update *u, struct str service);
void proxy_update(struct update *u, struct str uuid);
/* Removes the audiences that the last proxy has left. */
void audiences_sweep(struct update *u);

/* part.c. part_publish puts a part into the mesh and takes it. When the one that is there says the
 * same, that one stays and the new one is freed. part may be NULL: removes. The key goes to the
 * delta when something changed. Returns the one that is in the mesh now. */
void *part_new(size_t size); /* with a reference and an arena of its own; the hash is set later */
uint64_t part_hash(enum mesh_map which, const void *part, struct buf *text); /* initialises text */
void *part_publish(struct update *u, enum mesh_map which, struct str key, void *part);
/* dump.c: canonical text of a part; different content gives different text. */
void part_dump(enum mesh_map which, const void *part, struct buf *out);

/* find.c: questions to the store. Strings that they return live in u->scratch or in objects. */
struct str key_of(struct update *u, struct str namespace, struct str name); /* "ns/name" */
bool monitored(const struct update *u, struct str namespace);
/* A part's key as the two names. */
void key_cut(struct str key, struct str *namespace, struct str *name);
struct service *service_of_key(struct update *u, struct str key);
struct object_list lookup(struct update *u, enum store_index index, struct str namespace,
                          struct str name);
struct object_list lookup_kind(struct update *u, struct str namespace, enum kind kind);
struct str pod_identity(struct update *u, const struct pod *p);
struct pods {
    VEC(struct pod *) list;
};
struct services {
    VEC(struct service *) list;
};
/* Pods that the service selects; services that select such labels. Sorted. */
void pods_of_service(struct update *u, const struct service *svc, struct pods *ret);
void services_of_labels(struct update *u, struct str namespace, const struct pairs *labels,
                        struct services *ret);
/* In the mesh: not an ExternalName. */
bool service_takes_part(const struct service *svc);

/* A finding of the unit that is being computed; said once. */
void note(struct update *u, const struct object *o, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Keeps the notes of a unit, or forgets them when there are none. */
void notes_begin(struct update *u, struct findings *f);
void notes_end(struct update *u, const char *unit, struct str key);

/* ports.c: the ports of a service, without routes. Notes what is left out when `say`. */
struct ports {
    VEC(struct mesh_port) list;
    VEC(const struct service_port *) from;
};
void ports_resolve(struct update *u, const struct service *svc, bool say, struct ports *ret);
void ports_done(struct ports *p);
/* The number of a named port of a pod; 0 when it has none. */
uint16_t pod_port(const struct pod *p, struct str name);

/* endpoints.c, routes.c */
struct mesh_endpoints *endpoints_build(struct update *u, const struct service *svc,
                                       const struct ports *ports);
void routes_build(struct update *u, struct mesh_service *part); /* part->ports are there */

/* policy.c: a TrafficTarget counts in a namespace of the mesh, and only for that namespace's own
 * workloads, or else anybody could open another's door. */
bool target_valid(struct update *u, const struct traffic_target *t);

/* ranges.c: empty for what is no address or range. Bits after the prefix are zero. */
struct str range_of_address(struct arena *a, struct str ip); /* "10.0.0.1/32" */
struct str range_canonical(struct arena *a, struct str cidr);

/* match.c */
struct str lower_case(struct arena *a, struct str s);
struct http_matches {
    VEC(struct mesh_http_match) list;
};
void match_compile(struct arena *a, const struct http_match *m, struct mesh_http_match *ret);
bool match_allows(const struct mesh_http_match *m, const struct mesh_call *call,
                  bool (*regex)(void *arg, struct str pattern, struct str text), void *arg);

/* strs.c: in place. */
void strs_sort_unique(struct strs *s);
bool strs_has(const struct strs *s, struct str wanted); /* s is sorted */
bool strs_equal(const struct strs *a, const struct strs *b);
struct strs set_sorted(struct arena *a, const struct set *s);

/* Copies a VEC into a LIST of the arena. */
#define LIST_FROM(a, list, vec)                                                                    \
    do {                                                                                           \
        (list).len = (vec).len;                                                                    \
        (list).at = arena_memdup((a), (vec).at, (vec).len * sizeof(*(vec).at));                    \
    } while (0)

#endif
