/* The discovery stream of one proxy. */
#include "xds/stream.h"

#include <ctype.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"

/* A content that the proxy refused. */
struct refusal {
    uint64_t id, version;
};

/* One type on one stream. */
struct channel {
    bool active; /* the proxy asked for this type */
    bool wildcard;
    bool unanswered;     /* a new wildcard: Envoy waits 15 s for an answer, which may be empty */
    bool passed_over;    /* a whole set was refused; the proxy may have taken nothing of it */
    bool one_by_one;     /* narrowing a refusal that named nothing */
    VEC(uint64_t) names; /* subscribed ids, sorted; unless wildcard */
    VEC(uint64_t) fresh; /* to be sent whatever `has` says */
    resource_vec absent; /* subscribed names that don't exist, to be answered as removed; delta */
    /* What the proxy holds, counting what is in flight; only what it subscribed to is meant. */
    struct view has;
    /* Names that it still holds though `has` lacks them: removed last. */
    resource_vec leftover;
    struct response *in_flight;
    uint64_t last_nonce;     /* of the last response */
    uint64_t resume_version; /* state of the world: what a returning proxy says it has */
    VEC(struct refusal) refusals;
    char *error;
};

struct stream {
    bool delta;
    struct plan *plan;
    int64_t await_until; /* 0: not waiting */
    struct channel channels[XDS_TYPES];
};

struct stream *stream_new(bool delta)
{
    struct stream *s = NEW(struct stream);
    s->delta = delta;
    return s;
}

void stream_free(struct stream *s)
{
    if (!s) {
        return;
    }
    for (int t = 0; t < XDS_TYPES; t++) {
        struct channel *c = &s->channels[t];
        VEC_DONE(c->names);
        VEC_DONE(c->fresh);
        VEC_DONE(c->refusals);
        resource_vec_done(&c->absent);
        resource_vec_done(&c->leftover);
        view_unref(&c->has);
        response_unref(c->in_flight);
        free(c->error);
    }
    plan_unref(s->plan);
    free(s);
}

static struct view want(const struct stream *s, enum xds_type t)
{
    return s->plan ? s->plan->views[t] : (struct view){0};
}

/* --- sorted arrays of ids --- */

typedef VEC(uint64_t) id_vec;

static size_t id_position(const uint64_t *at, size_t len, uint64_t id)
{
    size_t lo = 0, hi = len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (at[mid] < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static bool id_has(const uint64_t *at, size_t len, uint64_t id)
{
    size_t i = id_position(at, len, id);
    return i < len && at[i] == id;
}

#define ID_ADD(vec, id)                                                                            \
    do {                                                                                           \
        size_t id_at = id_position((vec).at, (vec).len, (id));                                     \
        if (id_at == (vec).len || (vec).at[id_at] != (id)) {                                       \
            VEC_PUSH((vec), (id));                                                                 \
            memmove((vec).at + id_at + 1, (vec).at + id_at,                                        \
                    ((vec).len - 1 - id_at) * sizeof(*(vec).at));                                  \
            (vec).at[id_at] = (id);                                                                \
        }                                                                                          \
    } while (0)

#define ID_REMOVE(vec, id)                                                                         \
    do {                                                                                           \
        size_t id_at = id_position((vec).at, (vec).len, (id));                                     \
        if (id_at < (vec).len && (vec).at[id_at] == (id)) {                                        \
            VEC_REMOVE((vec), id_at);                                                              \
        }                                                                                          \
    } while (0)

/* Types that may be asked for without names, and whose responses in the state of the world are the
 * whole set: what isn't in one is deleted. Those of other types update what they name. */
static bool is_whole(enum xds_type t)
{
    return t == XDS_CDS || t == XDS_LDS;
}

static bool subscribed(const struct channel *c, uint64_t id)
{
    return c->wildcard || id_has(c->names.at, c->names.len, id);
}

/* --- refusals --- */

static bool was_refused(const struct channel *c, const struct resource *r)
{
    VEC_EACH(c->refusals, x) {
        if (x->id == r->id && x->version == r->version) {
            return true;
        }
    }
    return false;
}

static void refuse(struct channel *c, const struct resource *r)
{
    if (was_refused(c, r)) {
        return;
    }
    if (c->refusals.len == LIMIT_ADS_REFUSALS) {
        VEC_REMOVE(c->refusals, 0);
    }
    VEC_PUSH(c->refusals, (struct refusal){r->id, r->version});
}

/* What the proxy took after all; in a whole set it may have been refused for another's sake. */
static void acquit(struct channel *c, const struct response *r)
{
    for (size_t i = c->refusals.len; i-- > 0;) {
        const struct refusal *refused = &c->refusals.at[i];
        bool taken = false;
        VEC_EACH(r->resources, x) {
            taken |= refused->id == (*x)->id && refused->version == (*x)->version;
        }
        if (taken) {
            VEC_REMOVE(c->refusals, i);
        }
    }
}

/* Refusals of contents that the plan has no more are history. */
static void forget_refusals(struct stream *s, enum xds_type t)
{
    struct channel *c = &s->channels[t];
    for (size_t i = c->refusals.len; i-- > 0;) {
        struct resource *r = view_find(want(s, t), c->refusals.at[i].id);
        if (!r || r->version != c->refusals.at[i].version) {
            VEC_REMOVE(c->refusals, i);
        }
    }
    if (c->refusals.len == 0) {
        free(c->error);
        c->error = NULL;
    }
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-_|/", c));
}

/* Envoy names the resources that it refuses in most of its words. "a/b|80" isn't named by
 * "a/b|8080" or "a/b|80|local". */
static bool names_resource(const char *error, const struct resource *r)
{
    const char *at = r->name_len > 0 ? strstr(error, r->name) : NULL;
    for (; at; at = strstr(at + 1, r->name)) {
        if ((at == error || !in_name(at[-1])) && !in_name(at[r->name_len])) {
            return true;
        }
    }
    return false;
}

/* Those that aren't to blame are sent again without the others. Of a whole set nothing can be left
 * out: there Envoy takes what is good of a refused response, and nothing is sent until something
 * differs. */
static void on_refusal(struct channel *c, const struct response *r, bool whole_set,
                       struct str error)
{
    free(c->error);
    size_t len = error.len < LIMIT_ADS_REFUSAL_TEXT ? error.len : LIMIT_ADS_REFUSAL_TEXT;
    c->error = mem_memdup(error.ptr, len);
    size_t named = 0;
    VEC_EACH(r->resources, x) {
        named += names_resource(c->error, *x);
    }
    c->passed_over = whole_set;
    bool narrow = !whole_set && named == 0 && r->resources.len > 1;
    c->one_by_one |= narrow;
    VEC_EACH(r->resources, x) {
        bool guilty = named > 0 ? names_resource(c->error, *x) : !narrow;
        if (guilty) {
            refuse(c, *x);
        } else if (!whole_set && subscribed(c, (*x)->id)) {
            ID_ADD(c->fresh, (*x)->id);
        }
    }
}

/* --- requests --- */

static void subscribe(struct stream *s, struct channel *c, enum xds_type t, struct str name)
{
    uint64_t id = resource_id(name);
    if (!c->wildcard) {
        ID_ADD(c->names, id);
    }
    ID_ADD(c->fresh, id);
    if (s->plan && s->delta && !view_find(want(s, t), id)) {
        VEC_PUSH(c->absent, resource_new(name, NULL, 0));
    }
}

static void unsubscribe(struct channel *c, struct str name)
{
    uint64_t id = resource_id(name);
    if (str_is(name, "*")) {
        c->wildcard = false;
        return;
    }
    ID_REMOVE(c->names, id);
    ID_REMOVE(c->fresh, id);
}

/* A returning proxy says what it has: `has` becomes just that. */
static void resume(struct channel *c, const struct discovery_request *q)
{
    resource_vec known = {0};
    for (size_t i = 0; i < q->n_known; i++) {
        VEC_PUSH(known, resource_new(q->known[i].name, NULL, q->known[i].version));
    }
    view_unref(&c->has);
    c->has.own = resource_set_new(known.at, known.len);
    resource_vec_done(&known);
}

static int on_delta_request(struct stream *s, enum xds_type t, const struct discovery_request *q,
                            struct err *e)
{
    struct channel *c = &s->channels[t];
    bool first = !c->active;
    if (first) {
        c->active = true;
        c->wildcard = is_whole(t) && q->n_names == 0;
        c->unanswered = c->wildcard && q->n_known == 0;
        resume(c, q);
    }
    for (size_t i = 0; i < q->n_names; i++) {
        if (str_is(q->names[i], "*")) {
            c->wildcard = true;
            continue;
        }
        subscribe(s, c, t, q->names[i]);
        if (first && resource_set_find(c->has.own, resource_id(q->names[i]))) {
            ID_REMOVE(c->fresh, resource_id(q->names[i]));
        }
    }
    for (size_t i = 0; i < q->n_unsubscribe; i++) {
        unsubscribe(c, q->unsubscribe[i]);
    }
    if (c->names.len > LIMIT_ADS_SUBSCRIPTIONS) {
        return err_set(e, "the proxy subscribed to more than %d resources of %s",
                       LIMIT_ADS_SUBSCRIPTIONS, xds_type_url(t));
    }
    return 0;
}

/* Names are all that the proxy wants from now on; none at first is a wildcard. */
static void on_sotw_request(struct stream *s, enum xds_type t, const struct discovery_request *q)
{
    struct channel *c = &s->channels[t];
    bool before = c->wildcard;
    c->wildcard = is_whole(t) && q->n_names == 0 && (before || !c->active);
    if (!c->active) {
        c->active = true;
        c->resume_version = resource_version_parse(q->version);
    }
    id_vec old = {c->names.at, c->names.len, c->names.cap};
    memset(&c->names, 0, sizeof(c->names));
    for (size_t i = 0; i < q->n_names; i++) {
        uint64_t id = resource_id(q->names[i]);
        c->wildcard |= is_whole(t) && str_is(q->names[i], "*");
        ID_ADD(c->names, id);
        if (!id_has(old.at, old.len, id)) {
            ID_ADD(c->fresh, id);
        }
    }
    for (size_t i = c->fresh.len; i-- > 0;) {
        if (!subscribed(c, c->fresh.at[i])) {
            VEC_REMOVE(c->fresh, i);
        }
    }
    c->unanswered |= c->wildcard && !before;
    VEC_DONE(old);
}

static void add_to_version(void *arg, struct resource *r)
{
    uint64_t *h = arg;
    *h += hash_mix(r->id, r->version);
}

/* The version of a whole set: the same whichever of it audiences share, unlike view_hash. */
static uint64_t whole_version(struct view v, const resource_vec *leftover)
{
    uint64_t h = 0;
    view_each(v, add_to_version, &h);
    VEC_EACH(*leftover, r) {
        add_to_version(&h, *r);
    }
    return h ? h : 1;
}

/* A proxy that came back with the version of the plan's whole view has all of it. Of resources that
 * are asked for by name a version says less: one given up and wanted again is gone, with the
 * version that it came with still the last. */
static void try_resume_sotw(struct stream *s, enum xds_type t)
{
    struct channel *c = &s->channels[t];
    if (s->delta || !s->plan || c->resume_version == 0) {
        return;
    }
    if (c->wildcard && c->resume_version == whole_version(want(s, t), &c->leftover)) {
        view_unref(&c->has);
        c->has = view_ref(want(s, t));
        c->unanswered = false;
    }
    c->resume_version = 0;
}

/* Whatever response a request names, and whether it saw the last one or not: what it wants is the
 * newest that we know. */
static void take_answer(struct stream *s, enum xds_type t, const struct discovery_request *q,
                        enum xds_type *refused)
{
    struct channel *c = &s->channels[t];
    if (!c->in_flight || c->in_flight->nonce != resource_version_parse(q->nonce)) {
        return;
    }
    if (q->refused) {
        on_refusal(c, c->in_flight, !s->delta && is_whole(t), q->error);
        *refused = t;
    } else {
        c->passed_over = false;
        acquit(c, c->in_flight);
        forget_refusals(s, t);
    }
    c->in_flight = response_unref(c->in_flight);
}

int stream_on_request(struct stream *s, struct str message, int64_t now_ms, enum xds_type *refused,
                      struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(2048);
    struct discovery_request q;
    enum xds_type t;
    *refused = XDS_TYPES;
    if (discovery_parse(a, s->delta, message, &q, e) < 0) {
        return -1;
    }
    if (q.type_url.len == 0) {
        return err_set(e, "type_url: expected the URL of a resource type, found none");
    }
    if (!xds_type_parse(q.type_url, &t)) {
        return 0; /* a type that we have nothing of (ECDS, RTDS, ...) */
    }
    take_answer(s, t, &q, refused);
    if (s->delta) {
        return on_delta_request(s, t, &q, e);
    }
    on_sotw_request(s, t, &q);
    try_resume_sotw(s, t);
    return 0;
}

void stream_set_plan(struct stream *s, struct plan *plan)
{
    bool first = !s->plan;
    struct plan *old = s->plan;
    s->plan = plan_ref(plan);
    plan_unref(old);
    s->await_until = 0;
    for (int t = 0; t < XDS_TYPES; t++) {
        if (first) {
            try_resume_sotw(s, (enum xds_type)t);
        }
        forget_refusals(s, (enum xds_type)t);
    }
}

/* --- what comes next --- */

struct choice {
    struct channel *c;
    resource_vec send;    /* borrowed */
    resource_vec removed; /* borrowed */
};

static void choose_changed(struct choice *x, struct resource *r)
{
    if (subscribed(x->c, r->id) && !was_refused(x->c, r) &&
        !id_has(x->c->fresh.at, x->c->fresh.len, r->id)) {
        VEC_PUSH(x->send, r);
    }
}

static void drop_leftover(struct channel *c, uint64_t id)
{
    for (size_t i = 0; i < c->leftover.len; i++) {
        if (c->leftover.at[i]->id == id) {
            resource_unref(c->leftover.at[i]);
            VEC_REMOVE(c->leftover, i);
            return;
        }
    }
}

/* Moves what the plan lacks to the leftovers. Endpoints, secrets and routes go with what names
 * them. */
static void note_removed(struct channel *c, enum xds_type t, const struct difference *d)
{
    VEC_EACH(d->removed, r) {
        if (is_whole(t) && subscribed(c, (*r)->id)) {
            VEC_PUSH(c->leftover, resource_ref(*r));
        }
    }
    VEC_EACH(d->changed, r) {
        drop_leftover(c, (*r)->id);
    }
}

static void choose_fresh(struct stream *s, enum xds_type t, struct choice *x)
{
    for (size_t i = 0; i < x->c->fresh.len; i++) {
        struct resource *r = view_find(want(s, t), x->c->fresh.at[i]);
        if (r && !was_refused(x->c, r)) {
            VEC_PUSH(x->send, r);
        }
    }
}

/* The new clusters of a push warm up with endpoints that come with it, also those whose names the
 * proxy subscribed to before (it asks no second time). */
static void endpoints_follow(struct stream *s, const resource_vec *clusters)
{
    struct channel *eds = &s->channels[XDS_EDS];
    VEC_EACH(*clusters, r) {
        if (eds->active && subscribed(eds, (*r)->id) && view_find(want(s, XDS_EDS), (*r)->id)) {
            ID_ADD(eds->fresh, (*r)->id);
        }
    }
}

static struct response *send(struct stream *s, enum xds_type t, struct response_cache *cache,
                             uint64_t version, const struct choice *x)
{
    struct channel *c = x->c;
    c->unanswered = false;
    c->in_flight =
        response_cached(cache, t, s->delta, version, c->last_nonce, &x->send, &x->removed);
    c->last_nonce = c->in_flight->nonce;
    return response_ref(c->in_flight);
}

/* Brings `has` up to the plan; what has to be sent for that goes into x. */
static void advance(struct stream *s, enum xds_type t, struct response_cache *cache,
                    struct choice *x)
{
    struct channel *c = x->c;
    struct view to = want(s, t);
    choose_fresh(s, t, x);
    if (c->has.base != to.base || c->has.own != to.own) {
        const struct difference *d = difference_cached(cache, c->has, to);
        VEC_EACH(d->changed, r) {
            choose_changed(x, *r);
        }
        note_removed(c, t, d);
        view_unref(&c->has);
        c->has = view_ref(to);
    }
    c->fresh.len = 0;
}

/* While a refusal is narrowed the others wait for their turn. */
static void keep_one(struct choice *x)
{
    while (x->c->one_by_one && x->send.len > 1) {
        ID_ADD(x->c->fresh, x->send.at[x->send.len - 1]->id);
        x->send.len--;
    }
    x->c->one_by_one = x->c->fresh.len > 0 && x->c->one_by_one;
}

static struct response *next_delta(struct stream *s, enum xds_type t, struct response_cache *cache,
                                   bool may_remove)
{
    struct choice x = {.c = &s->channels[t]};
    struct response *out = NULL;
    advance(s, t, cache, &x);
    keep_one(&x);
    if (t == XDS_CDS) {
        endpoints_follow(s, &x.send);
    }
    if (may_remove) {
        VEC_EACH(x.c->leftover, r) {
            VEC_PUSH(x.removed, *r);
        }
    }
    VEC_EACH(x.c->absent, r) {
        if (!view_find(want(s, t), (*r)->id) && subscribed(x.c, (*r)->id)) {
            VEC_PUSH(x.removed, *r);
        }
    }
    if (x.send.len > 0 || x.removed.len > 0 || x.c->unanswered) {
        out = send(s, t, cache, 0, &x);
    }
    if (may_remove) {
        resource_vec_done(&x.c->leftover);
    }
    resource_vec_done(&x.c->absent);
    VEC_DONE(x.send);
    VEC_DONE(x.removed);
    return out;
}

static void choose_subscribed(void *arg, struct resource *r)
{
    struct choice *x = arg;
    if (subscribed(x->c, r->id)) {
        VEC_PUSH(x->send, r);
    }
}

/* State of the world, clusters and listeners: a response holds all that is subscribed, and the
 * leftovers until they may go. A refused whole isn't repeated until the plan differs. */
static struct response *next_whole(struct stream *s, enum xds_type t, struct response_cache *cache,
                                   bool may_remove)
{
    struct choice x = {.c = &s->channels[t]}, all = x;
    struct response *out = NULL;
    advance(s, t, cache, &x);
    bool dropping = may_remove && x.c->leftover.len > 0;
    if (x.send.len > 0 || dropping || x.c->unanswered) {
        if (may_remove) {
            resource_vec_done(&x.c->leftover);
        }
        view_each(want(s, t), choose_subscribed, &all);
        if (t == XDS_CDS) {
            endpoints_follow(s, x.c->passed_over ? &all.send : &x.send);
        }
        VEC_EACH(x.c->leftover, r) {
            VEC_PUSH(all.send, *r);
        }
        out = send(s, t, cache, whole_version(want(s, t), &x.c->leftover), &all);
    }
    VEC_DONE(x.send);
    VEC_DONE(all.send);
    return out;
}

/* State of the world, the other types: only what changed. */
static struct response *next_part(struct stream *s, enum xds_type t, struct response_cache *cache)
{
    struct choice x = {.c = &s->channels[t]};
    advance(s, t, cache, &x);
    keep_one(&x);
    struct response *out = x.send.len > 0 ? send(s, t, cache, view_hash(want(s, t)), &x) : NULL;
    VEC_DONE(x.send);
    return out;
}

static struct response *next_of_type(struct stream *s, enum xds_type t,
                                     struct response_cache *cache, bool may_remove)
{
    if (s->delta) {
        return next_delta(s, t, cache, may_remove);
    }
    return is_whole(t) ? next_whole(s, t, cache, may_remove) : next_part(s, t, cache);
}

/* Nothing of this type is on its way or still to be sent (leftovers apart). */
static bool settled(const struct stream *s, enum xds_type t)
{
    const struct channel *c = &s->channels[t];
    struct view to = want(s, t);
    return !c->active || (!c->in_flight && c->fresh.len == 0 && c->absent.len == 0 &&
                          c->has.base == to.base && c->has.own == to.own);
}

static bool is_upstream_secret(const struct resource *r)
{
    return str_starts(resource_name(r), "root-cert-for-mtls-outbound:");
}

struct missing {
    const struct channel *c;
    bool secrets_only;
    size_t n;
};

static void count_missing(void *arg, struct resource *r)
{
    struct missing *m = arg;
    bool concerned = !m->secrets_only || is_upstream_secret(r);
    m->n += concerned && !subscribed(m->c, r->id);
}

/* Does the proxy still have to ask for endpoints or secrets of clusters it was given? */
static bool incomplete(const struct stream *s)
{
    struct missing eds = {.c = &s->channels[XDS_EDS]};
    struct missing sds = {.c = &s->channels[XDS_SDS], .secrets_only = true};
    view_each(want(s, XDS_EDS), count_missing, &eds);
    if (eds.n == 0) {
        view_each(want(s, XDS_SDS), count_missing, &sds);
    }
    return eds.n + sds.n > 0;
}

/* May listeners and routes go out? Only once all that they may refer to is there. */
static bool may_use(struct stream *s, int64_t now_ms)
{
    if (!settled(s, XDS_CDS) || !settled(s, XDS_EDS) || !settled(s, XDS_SDS)) {
        return false;
    }
    if (!s->channels[XDS_CDS].active || s->await_until == INT64_MAX) {
        return true;
    }
    if (!incomplete(s)) {
        s->await_until = INT64_MAX;
        return true;
    }
    if (s->await_until == 0) {
        s->await_until = now_ms + STREAM_AWAIT_MS;
    }
    if (now_ms < s->await_until) {
        return false;
    }
    s->await_until = INT64_MAX;
    return true;
}

static struct response *next(struct stream *s, struct response_cache *cache, int64_t now_ms)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        enum xds_type t = (enum xds_type)i;
        struct channel *c = &s->channels[t];
        bool user = t == XDS_LDS || t == XDS_RDS;
        if (!c->active || c->in_flight || (settled(s, t) && c->leftover.len == 0) ||
            (user && !may_use(s, now_ms))) {
            continue;
        }
        bool may_remove = t != XDS_CDS || (settled(s, XDS_LDS) && settled(s, XDS_RDS) &&
                                           s->channels[XDS_LDS].leftover.len == 0);
        struct response *r = next_of_type(s, t, cache, may_remove);
        if (r) {
            return r;
        }
    }
    return NULL;
}

struct response *stream_next(struct stream *s, struct response_cache *cache, int64_t now_ms)
{
    if (!s->plan) {
        return NULL;
    }
    struct response *r = next(s, cache, now_ms);
    if (r || s->channels[XDS_CDS].leftover.len == 0) {
        return r;
    }
    /* Listeners and routes may have come up with the plan without a message: no answer will follow
     * that would be the time for clusters to leave. */
    return next(s, cache, now_ms);
}

int64_t stream_wake_at(const struct stream *s)
{
    return s->await_until > 0 ? s->await_until : INT64_MAX;
}

/* --- status --- */

const char *stream_state_name(enum stream_state s)
{
    static const char *const names[] = {"idle", "sending", "synced", "refused"};
    return names[s];
}

enum stream_state stream_state(const struct stream *s, enum xds_type t)
{
    const struct channel *c = &s->channels[t];
    if (!c->active) {
        return STREAM_IDLE;
    }
    if (c->error) {
        return STREAM_REFUSED;
    }
    return settled(s, t) && s->plan ? STREAM_SYNCED : STREAM_SENDING;
}

const char *stream_error(const struct stream *s, enum xds_type t)
{
    return s->channels[t].error;
}

uint64_t stream_version(const struct stream *s, enum xds_type t)
{
    return view_hash(s->channels[t].has);
}
