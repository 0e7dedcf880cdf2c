/* Encoded Envoy resources, sets of them, and what differs between two sets.
 *
 * A resource is encoded once, has its content's hash for a version, and is shared by every set that
 * holds it. A set is immutable, sorted by the hash of the names. A view is what one audience should
 * have of one type: a base that many audiences share (permissive mode) and a set of its own. All of
 * them may be referenced and dropped on any thread. */
#ifndef OSM_XDS_RESOURCE_H
#define OSM_XDS_RESOURCE_H

#include "base/blob.h"
#include "base/vec.h"
#include "xds/names.h"

struct resource {
    struct ref ref;
    uint64_t id;       /* hash of the name */
    uint64_t version;  /* hash of the content */
    struct blob *body; /* the encoded message; NULL: only name and version are known */
    size_t name_len;
    char name[];
};

/* Takes the body's reference. version is the body's hash, or `version` when body is NULL. */
struct resource *resource_new(struct str name, struct blob *body, uint64_t version);
struct resource *resource_ref(struct resource *r);
struct resource *resource_unref(struct resource *r);
struct str resource_name(const struct resource *r);
uint64_t resource_id(struct str name);
/* Versions on the wire: 16 hex digits. Parse gives 0 for what isn't ours. */
void resource_version_text(uint64_t version, char out[17]);
uint64_t resource_version_parse(struct str s);

typedef VEC(struct resource *) resource_vec; /* each a reference or borrowed, as said where used */
void resource_vec_done(resource_vec *v);     /* drops the references, frees the array */

struct resource_set {
    struct ref ref;
    uint64_t hash; /* of all ids and versions */
    uint64_t sum;  /* of each resource's resource_sum */
    size_t n;
    struct resource *at[]; /* sorted by id, unique */
};

/* Takes a reference of its own to each; of equal names the first counts. */
struct resource_set *resource_set_new(struct resource *const *at, size_t n);
/* Surely made of these, the very same? Of long ones and of equal names it may say no. */
bool resource_set_is(const struct resource_set *s, const resource_vec *v);
/* The set without those of `remove` (by name) and with those of `add` (replacing equal names; of
 * several of one name the last counts, as it was made last).
 * Returns the same set, referenced, when nothing differs. */
struct resource_set *resource_set_edit(struct resource_set *s, const resource_vec *remove,
                                       const resource_vec *add);
struct resource_set *resource_set_ref(struct resource_set *s);
struct resource_set *resource_set_unref(struct resource_set *s);
struct resource *resource_set_find(const struct resource_set *s, uint64_t id);

/* base and own may each be NULL. A name in both counts as own's. */
struct view {
    struct resource_set *base, *own;
};
struct view view_ref(struct view v);
void view_unref(struct view *v);              /* leaves it empty */
bool view_same(struct view a, struct view b); /* same content, by hash */
uint64_t view_hash(struct view v);
/* The same however a view's resources are split between base and own, unlike view_hash; of names
 * and versions in any order, so that what others say they have is compared without sorting it. */
uint64_t resource_sum(uint64_t id, uint64_t version);
uint64_t view_sum(struct view v);
size_t view_count(struct view v);
struct resource *view_find(struct view v, uint64_t id);
/* Calls fn for each of n sorted ids with its place among them and the resource or NULL. */
void view_find_all(struct view v, const uint64_t *ids, size_t n,
                   void (*fn)(void *arg, size_t i, struct resource *r), void *arg);

/* Does own have a name that base has too? */
bool view_covers(struct view v);
/* Calls changed for what `to` has and `from` has not in that version, removed for names that only
 * `from` has; both in order of id. Sets that both share are passed over without a look inside. */
void view_diff(struct view from, struct view to, void (*changed)(void *arg, struct resource *r),
               void (*removed)(void *arg, struct resource *r), void *arg);
void view_each(struct view v, void (*fn)(void *arg, struct resource *r), void *arg);

/* What one audience should have now. */
struct plan {
    struct ref ref;
    struct view views[XDS_TYPES];
};
struct plan *plan_ref(struct plan *p);
struct plan *plan_unref(struct plan *p);

#endif
