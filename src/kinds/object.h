/* One Kubernetes object, decoded to a typed struct with only the fields that we use. Immutable,
 * refcounted, owns an arena in which all of it lives. Decoding is driven by field tables
 * (doc/fields.h); every kind is a row of the table in kinds.c. */
#ifndef OSM_KINDS_OBJECT_H
#define OSM_KINDS_OBJECT_H

#include "base/arena.h"
#include "base/ref.h"
#include "base/str.h"
#include "doc/findings.h"
#include "doc/value.h"

enum kind {
    KIND_NAMESPACE,
    KIND_SERVICE_ACCOUNT,
    KIND_SERVICE,
    KIND_POD,
    KIND_DEPLOYMENT,
    KIND_STATEFUL_SET,
    KIND_JOB,
    KIND_ENDPOINT_SLICE,
    KIND_SECRET,
    KIND_CONFIG_MAP,
    KIND_TRAFFIC_TARGET,
    KIND_HTTP_ROUTE_GROUP,
    KIND_TCP_ROUTE,
    KIND_TRAFFIC_SPLIT,
    KIND_MESH_CONFIG,
    KIND_MESH_ROOT_CERTIFICATE,
    KIND_EXTENSION_SERVICE,
    KIND_EGRESS,
    KIND_INGRESS_BACKEND,
    KIND_RETRY,
    KIND_UPSTREAM_TRAFFIC_SETTING,
    KIND_TELEMETRY,
    KIND_SERVICE_EXPORT,
    KIND_SERVICE_IMPORT,
    KIND_COUNT,
};

/* An array of a decoded object. */
#define LIST(type)                                                                                 \
    struct {                                                                                       \
        type *at;                                                                                  \
        size_t len;                                                                                \
    }

struct pair {
    struct str key, value;
};
struct pairs {
    struct pair *at; /* sorted by key */
    size_t len;
};
struct strs {
    struct str *at;
    size_t len;
};
/* The value of a label or annotation; NULL when absent. */
const struct str *pairs_find(const struct pairs *p, const char *key);
/* True when p has every pair of selector; an empty selector selects nothing (Services). */
bool pairs_selects(const struct pairs *selector, const struct pairs *labels);

struct meta {
    struct str name, namespace; /* namespace empty for cluster-scoped kinds; "default" filled in */
    struct str uid;
    struct str created; /* RFC 3339 in UTC, so that texts sort by time; empty: not said */
    struct pairs labels, annotations;
};

struct object {
    struct ref ref;
    enum kind kind;
    struct str api_version;
    struct meta meta;
    uint64_t hash;   /* of the decoded content: equal hash means nothing that we use changed */
    struct str file; /* where it was read, may be empty */
    int line;        /* of the object's first line, 0 unknown */
    const struct value
        *raw; /* the whole document; kept only for pods, workloads (injection needs it) */
    struct arena *arena;
};

struct object *object_ref(struct object *o);
struct object *object_unref(struct object *o);
static inline __attribute__((unused)) void object_unref_auto(struct object **o)
{
    object_unref(*o);
}

/* A document that stands for "there is no such object" (openservicemesh.io/deleted: "true"): only
 * its kind and metadata were decoded. */
#define ANNOTATION_DELETED "openservicemesh.io/deleted"
bool object_is_deleted(const struct object *o);

/* Decodes one document. Unknown fields are warnings, anything else wrong is an error finding with
 * file, line and field; on an error *ret stays NULL and -1 is returned. A `List` document calls
 * `each` for every item; a bad item doesn't stop the others. Kinds and versions that we don't know
 * are errors which name those we do. Content is validated beyond types: names, ranges, regexes
 * (they compile as RE2's subset), weights, duplicate entries. */
typedef void object_fn(void *arg, struct object *o); /* takes the reference */
int object_decode(const struct value *doc, const char *file, object_fn *each, void *arg,
                  struct findings *f);
/* The object of a document that must be one of this kind, with its reference. NULL: refused, and an
 * error finding says why. */
struct object *object_decode_one(const struct value *doc, enum kind kind, struct findings *f);
/* The same for callers whom only the first error concerns: it is `e`. */
int object_expect(const struct value *doc, enum kind kind, struct object **ret, struct err *e);
/* All documents of a YAML or JSON text. Returns -1 when any object was refused. */
int objects_read(struct str text, const char *file, object_fn *each, void *arg, struct findings *f);

/* "TrafficSplit", "split.smi-spec.io", "trafficsplits", and whether it has a namespace. */
struct kind_info {
    const char *name, *plural, *group;
    const char *versions[4]; /* accepted, storage version first */
    bool namespaced;
};
const struct kind_info *kind_info(enum kind kind);
/* The one to read from a cluster: the storage version may not show all fields. */
const char *kind_newest_version(enum kind kind);
bool kind_is_custom(enum kind kind); /* of ours or SMI's, not built in */
/* The CustomResourceDefinition of a kind of ours or SMI's as a document; NULL for built-in kinds.
 */
struct value *kind_crd(struct arena *a, enum kind kind);

/* "TrafficSplit bookstore/split", for messages. */
struct str object_title(struct arena *a, const struct object *o);

#endif
