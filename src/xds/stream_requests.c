/* What a proxy asks for, and what it says that it has. */
#include "base/limits.h"
#include "xds/stream_internal.h"

/* A name that a request asks for. */
struct asked {
    uint64_t id;
    struct str name;
};

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct asked *)a)->id, y = ((const struct asked *)b)->id;
    return (x > y) - (x < y);
}

/* Wildcards apart, sorted, each once. */
static struct asked *asked_names(struct arena *a, const struct discovery_request *q, size_t *n)
{
    struct asked *at = arena_array(a, q->n_names + 1, sizeof(*at));
    size_t count = 0, unique = 0;
    bool sorted = true;
    for (size_t i = 0; i < q->n_names; i++) {
        if (!str_is(q->names[i], "*")) {
            at[count] = (struct asked){resource_id(q->names[i]), q->names[i]};
            sorted = sorted && (count == 0 || at[count - 1].id < at[count].id);
            count++;
        }
    }
    if (!sorted) {
        qsort(at, count, sizeof(*at), by_id);
    }
    for (size_t i = 0; i < count; i++) {
        if (unique == 0 || at[unique - 1].id != at[i].id) {
            at[unique++] = at[i];
        }
    }
    *n = unique;
    return at;
}

static bool has_wildcard(const struct discovery_request *q)
{
    for (size_t i = 0; i < q->n_names; i++) {
        if (str_is(q->names[i], "*")) {
            return true;
        }
    }
    return false;
}

static struct ids ids_of(const struct asked *at, size_t n)
{
    struct ids out = {n > 0 ? mem_array(NULL, n, sizeof(*out.at)) : NULL, n, n};
    for (size_t i = 0; i < n; i++) {
        out.at[i] = at[i].id;
    }
    return out;
}

struct absence {
    const struct asked *at;
    const resource_vec *known; /* sorted */
    size_t next;               /* of these */
    resource_vec all;          /* they and those that are found missing, sorted */
};

static void take_known(struct absence *x, uint64_t below)
{
    while (x->next < x->known->len && x->known->at[x->next]->id < below) {
        VEC_PUSH(x->all, x->known->at[x->next++]);
    }
}

/* Called in order of the ids. */
static void note_absent(void *arg, size_t i, struct resource *r)
{
    struct absence *x = arg;
    take_known(x, x->at[i].id);
    bool known = x->next < x->known->len && x->known->at[x->next]->id == x->at[i].id;
    if (!r && !known) {
        VEC_PUSH(x->all, resource_new(x->at[i].name, NULL, 0));
    }
}

/* Whoever asks again before it was answered is answered once. */
static void find_absent(struct channel *c, struct view wants, const struct asked *at,
                        const struct ids *ids)
{
    struct absence x = {.at = at, .known = &c->absent};
    view_find_all(wants, ids->at, ids->len, note_absent, &x);
    take_known(&x, UINT64_MAX);
    VEC_DONE(c->absent);
    c->absent = x.all;
}

struct lack {
    const struct ids *ids;
    struct ids of;
};

static void note_lacking(void *arg, size_t i, struct resource *r)
{
    struct lack *x = arg;
    if (!r) {
        VEC_PUSH(x->of, x->ids->at[i]);
    }
}

/* What is asked for is sent, whether the proxy had it before or not; but what a returning one says
 * that it has. */
static void subscribe(struct stream *s, enum xds_type t, const struct asked *at, size_t n,
                      bool first)
{
    struct channel *c = &s->channels[t];
    struct ids ids = ids_of(at, n);
    if (!c->wildcard) {
        ids_add_all(&c->names, &ids);
    }
    if (s->plan && n > 0) {
        find_absent(c, stream_wants(s, t), at, &ids);
    }
    struct lack lack = {.ids = &ids};
    if (first) {
        view_find_all(c->has, ids.at, ids.len, note_lacking, &lack);
    }
    ids_add_all(&c->fresh, first ? &lack.of : &ids);
    ids_done(&lack.of);
    ids_done(&ids);
}

static void unsubscribe(struct channel *c, const struct discovery_request *q)
{
    struct ids gone = {0};
    for (size_t i = 0; i < q->n_unsubscribe; i++) {
        if (str_is(q->unsubscribe[i], "*")) {
            c->wildcard = false;
        } else {
            VEC_PUSH(gone, resource_id(q->unsubscribe[i]));
        }
    }
    ids_seal(&gone);
    ids_remove_all(&c->names, &gone);
    ids_remove_all(&c->fresh, &gone);
    ids_done(&gone);
}

/* Is what the proxy says that it has just what it is to have? */
static bool knows_all(const struct discovery_request *q, struct view wants)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < q->n_known; i++) {
        sum += resource_sum(resource_id(q->known[i].name), q->known[i].version);
    }
    return sum == view_sum(wants) && q->n_known == view_count(wants);
}

/* A returning proxy says what it has: `has` becomes just that. */
static void resume(struct channel *c, const struct discovery_request *q, struct view wants)
{
    resource_vec known = {0};
    if (knows_all(q, wants)) {
        c->has = view_ref(wants);
        return;
    }
    for (size_t i = 0; i < q->n_known; i++) {
        const struct known_resource *k = &q->known[i];
        struct resource *same = view_find(wants, resource_id(k->name));
        VEC_PUSH(known, same && same->version == k->version
                            ? resource_ref(same)
                            : resource_new(k->name, NULL, k->version));
    }
    c->has.own = resource_set_new(known.at, known.len);
    c->resumed = true;
    resource_vec_done(&known);
}

static int on_delta_request(struct stream *s, enum xds_type t, const struct discovery_request *q,
                            struct arena *a, struct err *e)
{
    struct channel *c = &s->channels[t];
    bool first = !c->active;
    if (first) {
        c->active = true;
        c->wildcard = xds_is_whole(t) && q->n_names == 0;
        c->unanswered = c->wildcard && q->n_known == 0;
        if (q->n_known > 0) {
            resume(c, q, stream_wants(s, t));
        }
    }
    c->wildcard |= has_wildcard(q);
    size_t n;
    struct asked *at = asked_names(a, q, &n);
    subscribe(s, t, at, n, first);
    unsubscribe(c, q);
    if (c->names.len > LIMIT_ADS_SUBSCRIPTIONS || c->absent.len > LIMIT_ADS_SUBSCRIPTIONS) {
        return err_set(e, "the proxy subscribed to more than %d resources of %s",
                       LIMIT_ADS_SUBSCRIPTIONS, xds_type_url(t));
    }
    return 0;
}

/* Names are all that the proxy wants from now on; none at first is a wildcard. */
static void on_sotw_request(struct stream *s, enum xds_type t, const struct discovery_request *q,
                            struct arena *a)
{
    struct channel *c = &s->channels[t];
    bool before = c->wildcard;
    c->wildcard = xds_is_whole(t) && q->n_names == 0 && (before || !c->active);
    c->wildcard |= xds_is_whole(t) && has_wildcard(q);
    if (!c->active) {
        c->active = true;
        c->resume_version = resource_version_parse(q->version);
    }
    size_t n;
    struct asked *at = asked_names(a, q, &n);
    struct ids added = ids_of(at, n);
    ids_remove_all(&added, &c->names);
    ids_done(&c->names);
    c->names = ids_of(at, n);
    for (size_t i = c->fresh.len; i-- > 0;) {
        if (!channel_subscribed(c, c->fresh.at[i])) {
            VEC_REMOVE(c->fresh, i);
        }
    }
    ids_add_all(&c->fresh, &added);
    ids_done(&added);
    c->unanswered |= c->wildcard && !before;
}

uint64_t stream_whole_version(struct view v, const resource_vec *leftover)
{
    uint64_t h = view_sum(v);
    VEC_EACH(*leftover, r) {
        h += resource_sum((*r)->id, (*r)->version);
    }
    return h ? h : 1;
}

/* A proxy that came back with the version of the plan's whole view has all of it. Of resources that
 * are asked for by name a version says less: one given up and wanted again is gone, with the
 * version that it came with still the last. */
void stream_try_resume(struct stream *s, enum xds_type t)
{
    struct channel *c = &s->channels[t];
    if (s->delta || !s->plan || c->resume_version == 0) {
        return;
    }
    if (c->wildcard &&
        c->resume_version == stream_whole_version(stream_wants(s, t), &c->leftover)) {
        view_unref(&c->has);
        c->has = view_ref(stream_wants(s, t));
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
        channel_on_refusal(c, c->in_flight, !s->delta && xds_is_whole(t), q->error);
        *refused = t;
    } else {
        c->passed_over = false;
        channel_acquit(c, c->in_flight);
        channel_forget_refusals(c, stream_wants(s, t));
    }
    c->in_flight = response_unref(c->in_flight);
}

/* They may be kept. Resources of ours have no such names. */
static int check_names(const struct discovery_request *q, struct err *e)
{
    size_t longest = 0;
    for (size_t i = 0; i < q->n_names; i++) {
        longest = q->names[i].len > longest ? q->names[i].len : longest;
    }
    for (size_t i = 0; i < q->n_known; i++) {
        longest = q->known[i].name.len > longest ? q->known[i].name.len : longest;
    }
    return longest > LIMIT_ADS_NAME_BYTES
               ? err_set(e, "expected resources' names of at most %d bytes, found one of %zu",
                         LIMIT_ADS_NAME_BYTES, longest)
               : 0;
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
    s->last_type = XDS_TYPES;
    if (!xds_type_parse(q.type_url, &t)) {
        return 0; /* a type that we have nothing of (ECDS, RTDS, ...) */
    }
    s->last_type = t;
    if (check_names(&q, e) < 0) {
        return -1;
    }
    if (!s->asked) {
        s->asked = true;
        s->resumes = q.n_known > 0 || q.version.len > 0;
    }
    take_answer(s, t, &q, refused);
    if (s->delta) {
        return on_delta_request(s, t, &q, a, e);
    }
    on_sotw_request(s, t, &q, a);
    stream_try_resume(s, t);
    return 0;
}

enum xds_type stream_last_type(const struct stream *s)
{
    return s->last_type;
}

bool stream_resumes(const struct stream *s)
{
    return s->resumes;
}
