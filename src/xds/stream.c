/* The discovery stream of one proxy. */
#include "xds/stream_internal.h"

struct stream *stream_new(bool delta)
{
    struct stream *s = NEW(struct stream);
    s->delta = delta;
    s->last_type = XDS_TYPES;
    return s;
}

void stream_free(struct stream *s)
{
    if (!s) {
        return;
    }
    for (int t = 0; t < XDS_TYPES; t++) {
        struct channel *c = &s->channels[t];
        ids_done(&c->names);
        ids_done(&c->fresh);
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

void stream_fetch(const struct stream *s)
{
    fetch_bytes(s, sizeof(*s));
}

void stream_set_plan(struct stream *s, struct plan *plan)
{
    bool first = !s->plan;
    struct plan *old = s->plan;
    struct view was = stream_wants(s, XDS_CDS), now = plan->views[XDS_CDS];
    bool clusters_differ = first || was.base != now.base || was.own != now.own;
    s->plan = plan_ref(plan);
    plan_unref(old);
    if (clusters_differ) {
        s->await_until = 0;
    }
    for (int t = 0; t < XDS_TYPES; t++) {
        if (first) {
            stream_try_resume(s, (enum xds_type)t);
        }
        channel_forget_refusals(&s->channels[t], plan->views[t]);
    }
}

/* --- what comes next --- */

struct choice {
    struct channel *c;
    resource_vec send;    /* borrowed */
    resource_vec removed; /* borrowed */
};

/* In order of their ids. What is fresh is chosen anyway. */
static void choose_changed(struct choice *x, const resource_vec *changed)
{
    const struct channel *c = x->c;
    size_t name = 0, fresh = 0;
    VEC_EACH(*changed, r) {
        if ((c->wildcard || ids_has_next(&c->names, &name, (*r)->id)) &&
            !ids_has_next(&c->fresh, &fresh, (*r)->id) && !channel_was_refused(c, *r)) {
            VEC_PUSH(x->send, *r);
        }
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
        if (xds_is_whole(t) && channel_subscribed(c, (*r)->id)) {
            VEC_PUSH(c->leftover, resource_ref(*r));
        }
    }
    VEC_EACH(d->changed, r) {
        drop_leftover(c, (*r)->id);
    }
}

static void choose_found(void *arg, size_t i, struct resource *r)
{
    struct choice *x = arg;
    if (r && !channel_was_refused(x->c, r)) {
        VEC_PUSH(x->send, r);
    }
}

static void choose_fresh(struct stream *s, enum xds_type t, struct choice *x)
{
    view_find_all(stream_wants(s, t), x->c->fresh.at, x->c->fresh.len, choose_found, x);
}

/* The new clusters of a push warm up with endpoints that come with it, also those whose names the
 * proxy subscribed to before (it asks no second time). */
static void endpoints_follow(struct stream *s, const resource_vec *clusters)
{
    struct channel *eds = &s->channels[XDS_EDS];
    VEC_EACH(*clusters, r) {
        if (eds->active && channel_subscribed(eds, (*r)->id) &&
            view_find(stream_wants(s, XDS_EDS), (*r)->id)) {
            ids_add(&eds->fresh, (*r)->id);
        }
    }
}

static struct response *send(struct stream *s, enum xds_type t, struct response_cache *cache,
                             uint64_t version, const struct choice *x)
{
    struct channel *c = x->c;
    c->unanswered = false;
    c->in_flight = response_cached(cache, t,
                                   &(struct response_content){.delta = s->delta,
                                                              .version = version,
                                                              .last_nonce = c->last_nonce,
                                                              .resources = &x->send,
                                                              .removed = &x->removed,
                                                              .base = stream_wants(s, t).base});
    c->last_nonce = c->in_flight->nonce;
    return response_ref(c->in_flight);
}

/* Brings `has` up to the plan; what has to be sent for that goes into x. */
static void advance(struct stream *s, enum xds_type t, struct response_cache *cache,
                    struct choice *x)
{
    struct channel *c = x->c;
    struct view to = stream_wants(s, t);
    choose_fresh(s, t, x);
    if (c->has.base != to.base || c->has.own != to.own) {
        const struct difference *d = difference_cached(cache, c->has, to);
        choose_changed(x, &d->changed);
        note_removed(c, t, d);
        view_unref(&c->has);
        c->has = view_ref(to);
        c->resumed = false;
    }
    ids_done(&c->fresh);
}

/* While a refusal is narrowed the others wait for their turn. */
static void keep_one(struct choice *x)
{
    while (x->c->one_by_one && x->send.len > 1) {
        ids_add(&x->c->fresh, x->send.at[x->send.len - 1]->id);
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
        if (!view_find(stream_wants(s, t), (*r)->id) && channel_subscribed(x.c, (*r)->id)) {
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
    if (channel_subscribed(x->c, r->id)) {
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
        view_each(stream_wants(s, t), choose_subscribed, &all);
        if (t == XDS_CDS) {
            endpoints_follow(s, x.c->passed_over ? &all.send : &x.send);
        }
        VEC_EACH(x.c->leftover, r) {
            VEC_PUSH(all.send, *r);
        }
        out = send(s, t, cache, stream_whole_version(stream_wants(s, t), &x.c->leftover), &all);
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
    struct response *out =
        x.send.len > 0 ? send(s, t, cache, view_hash(stream_wants(s, t)), &x) : NULL;
    VEC_DONE(x.send);
    return out;
}

static struct response *next_of_type(struct stream *s, enum xds_type t,
                                     struct response_cache *cache, bool may_remove)
{
    if (s->delta) {
        return next_delta(s, t, cache, may_remove);
    }
    return xds_is_whole(t) ? next_whole(s, t, cache, may_remove) : next_part(s, t, cache);
}

/* Nothing of this type is on its way or still to be sent (leftovers apart). */
static bool settled(const struct stream *s, enum xds_type t)
{
    const struct channel *c = &s->channels[t];
    struct view to = stream_wants(s, t);
    return !c->active || (!c->in_flight && c->fresh.len == 0 && c->absent.len == 0 &&
                          c->has.base == to.base && c->has.own == to.own);
}

struct missing {
    const struct ids *names;
    size_t at, n, total;
};

/* Both are sorted by id. */
static void count_missing(void *arg, struct resource *r)
{
    struct missing *m = arg;
    while (m->at < m->names->len && m->names->at[m->at] < r->id) {
        m->at++;
    }
    m->n += m->at == m->names->len || m->names->at[m->at] != r->id;
    m->total++;
}

/* Does the proxy still have to ask for endpoints or the roots of clusters it was given? */
static bool incomplete(const struct stream *s)
{
    struct missing eds = {.names = &s->channels[XDS_EDS].names};
    view_each(stream_wants(s, XDS_EDS), count_missing, &eds);
    uint64_t roots = resource_id(STR(XDS_UPSTREAM_ROOTS));
    return eds.n > 0 || (eds.total > 0 && view_find(stream_wants(s, XDS_SDS), roots) &&
                         !ids_has(&s->channels[XDS_SDS].names, roots));
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
        bool may_remove = t != XDS_CDS || (settled(s, XDS_LDS) && settled(s, XDS_RDS));
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

static size_t names_bytes(struct resource *const *at, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += sizeof(*at) + sizeof(**at) + at[i]->name_len;
    }
    return bytes;
}

size_t stream_bytes(const struct stream *s)
{
    size_t bytes = 0;
    for (int t = 0; t < XDS_TYPES; t++) {
        const struct channel *c = &s->channels[t];
        const struct resource_set *told = c->resumed ? c->has.own : NULL;
        bytes += (c->names.cap + c->fresh.cap) * sizeof(*c->names.at);
        bytes += names_bytes(c->absent.at, c->absent.len);
        bytes += names_bytes(c->leftover.at, c->leftover.len);
        bytes += told ? names_bytes(told->at, told->n) : 0;
    }
    return bytes;
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
