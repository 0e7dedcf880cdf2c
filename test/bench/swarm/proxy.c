/* The discovery stream, seen from Envoy's side. Field numbers are those of discovery.proto. */
#include "proxy.h"

#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "base/hash.h"
#include "certs.h"
#include "wire.h"
#include "xds/resource.h"

/* Both kinds of responses have these. */
enum {
    RESPONSE_VERSION = 1,
    RESPONSE_RESOURCES = 2,
    RESPONSE_TYPE = 4,
    RESPONSE_NONCE = 5,
    RESPONSE_REMOVED = 6,
};

struct proxy_counts proxy_counts;

uint64_t proxy_share(enum xds_type t, uint64_t id, uint64_t hash)
{
    return hash_mix(hash_mix((uint64_t)t, id), expected_is_certificate(t, id) ? 0 : hash);
}

/* Of the response when name is empty. */
static void count_wrong(const struct proxy *p, enum xds_type t, struct str name, const char *what)
{
    if (proxy_counts.wrong++ == 0) {
        snprintf(proxy_counts.first_wrong, sizeof(proxy_counts.first_wrong), "%s: %s %.*s: %s",
                 p->uuid, t < XDS_TYPES ? xds_type_name(t) : "a",
                 STR_ARG(name.len > 0 ? name : STR("response")), what);
    }
}

static bool by_name(enum xds_type t)
{
    return t == XDS_EDS || t == XDS_SDS || t == XDS_RDS;
}

/* --- what it holds --- */

static void forget_one(struct proxy *p, enum xds_type t, uint64_t id)
{
    held_vec *v = &p->types[t].held;
    struct held *h = held_find(v, id);
    if (h) {
        p->sum -= proxy_share(t, id, h->hash);
        p->missing += by_name(t) && ids_have(&p->types[t].names, id);
        VEC_REMOVE(*v, (size_t)(h - v->at));
    }
}

/* fresh is sorted. whole: what isn't in it is gone. Did that change anything? */
static bool take(struct proxy *p, enum xds_type t, const held_vec *fresh, bool whole)
{
    static held_vec merged;
    held_vec *v = &p->types[t].held;
    merged.len = 0;
    size_t i = 0, j = 0, same = 0;
    while (i < v->len || j < fresh->len) {
        bool old = j == fresh->len || (i < v->len && v->at[i].id < fresh->at[j].id);
        if (old && !whole) {
            VEC_PUSH(merged, v->at[i++]);
            same++;
            continue;
        }
        if (i < v->len && (old || v->at[i].id == fresh->at[j].id)) {
            p->sum -= proxy_share(t, v->at[i].id, v->at[i].hash);
            same += !old && v->at[i].hash == fresh->at[j].hash;
            i++;
        } else if (by_name(t)) {
            p->missing -= ids_have(&p->types[t].names, fresh->at[j].id);
        }
        if (!old) {
            p->sum += proxy_share(t, fresh->at[j].id, fresh->at[j].hash);
            VEC_PUSH(merged, fresh->at[j++]);
        }
    }
    bool changed = same < v->len || same < merged.len;
    if (merged.len != v->len) {
        held_replace(v, &merged);
    } else if (changed) {
        memcpy(v->at, merged.at, merged.len * sizeof(*v->at));
    }
    return changed;
}

/* --- what it wants --- */

static void ask(struct proxy *p, struct ask a, struct buf *out)
{
    struct proxy_type *t = &p->types[a.t];
    t->asked = true;
    a.delta = p->delta;
    a.uuid = p->uuid;
    a.version = t->version;
    a.names = &t->names;
    a.held = &t->held;
    ask_write(&a, out);
}

static void add_refs(const held_vec *held, enum xds_type t, id_vec *out)
{
    VEC_EACH(*held, h) {
        const ref_vec *refs = refs_find(h->hash);
        VEC_EACH(*refs, r) {
            if (r->type == t) {
                VEC_PUSH(*out, r->id);
            }
        }
    }
}

/* Asks for what clusters and listeners newly name, gives up what they name no more. */
static void follow(struct proxy *p, enum xds_type t, struct buf *out)
{
    static id_vec want, add, gone;
    struct proxy_type *x = &p->types[t];
    want.len = add.len = gone.len = 0;
    add_refs(&p->types[XDS_CDS].held, t, &want);
    add_refs(&p->types[XDS_LDS].held, t, &want);
    ids_sort(&want);
    size_t i = 0, j = 0;
    while (i < x->names.len || j < want.len) {
        if (j == want.len || (i < x->names.len && x->names.at[i] < want.at[j])) {
            VEC_PUSH(gone, x->names.at[i++]);
        } else if (i == x->names.len || want.at[j] < x->names.at[i]) {
            VEC_PUSH(add, want.at[j++]);
        } else {
            i++;
            j++;
        }
    }
    if (add.len + gone.len == 0 && (x->asked || want.len == 0)) {
        return;
    }
    VEC_EACH(gone, id) {
        forget_one(p, t, *id); /* counts as missing until its name goes, just below */
        p->missing--;
        VEC_PUSH(x->given_up, *id);
    }
    ids_sort(&x->given_up);
    VEC_EACH(add, id) {
        p->missing += !held_find(&x->held, *id);
    }
    ids_replace(&x->names, &want);
    bool first = !x->asked;
    ask(p, (struct ask){.t = t, .first = first, .add = first ? &x->names : &add, .remove = &gone},
        out);
}

/* Envoy asks for listeners when its clusters are warm. */
static void go_on(struct proxy *p, struct buf *out)
{
    if (p->types[XDS_CDS].answered && !p->types[XDS_LDS].asked && p->missing == 0) {
        ask(p, (struct ask){.t = XDS_LDS, .first = true}, out);
    }
}

/* Envoy that comes back asks for all at once, and tells what it has; it gets an answer only when
 * something is new. */
void proxy_begin(struct proxy *p, struct buf *out)
{
    p->first_bytes = 0;
    for (int i = 0; i < XDS_TYPES; i++) {
        enum xds_type t = (enum xds_type)i;
        struct proxy_type *x = &p->types[t];
        x->answered = x->held.len > 0;
        x->nonce = 0;
        x->responses = 0;
        VEC_DONE(x->given_up);
        VEC_DONE(x->again);
        if (!p->delta && by_name(t)) {
            ids_replace(&x->again, &x->names); /* the one version doesn't say what it has */
        }
        if (t == XDS_CDS || x->asked) {
            ask(p, (struct ask){.t = t, .first = true, .add = &x->names}, out);
        }
    }
    go_on(p, out);
}

/* --- responses --- */

/* What is wrong with a resource that was asked for; NULL: nothing. */
static const char *wrong_resource(struct proxy *p, enum xds_type t, struct str any, struct str body,
                                  const struct held *h)
{
    const struct held *old = held_find(&p->types[t].held, h->id);
    bool may_repeat = (!p->delta && !by_name(t)) || ids_have(&p->types[t].again, h->id);
    if (!str_is(wire_find(any, 1), xds_type_url(t))) {
        return "its type isn't the response's";
    }
    if (!may_repeat && old && old->hash == h->hash) {
        return "it came again as it was";
    }
    if (expected_is_certificate(t, h->id) && !certs_check(body, h->hash, p->common_name)) {
        return "it isn't its own certificate";
    }
    if (old && h->hash == p->stale && old->hash != p->stale) {
        return "it went back to what it was";
    }
    return expected_wrong(&p->expected, t, h->id, old ? old->hash : 0, h->hash);
}

/* A delta's Resource has version, body and name; the state of the world has bodies, whose first
 * field is the name. */
static struct str name_of(const struct proxy *p, struct str r)
{
    return p->delta ? wire_find(r, 3) : wire_find(wire_find(r, 2), 1);
}

static void read_resource(struct proxy *p, enum xds_type t, struct str r, held_vec *fresh)
{
    struct str any = p->delta ? wire_find(r, 2) : r, body = wire_find(any, 2);
    struct str name = name_of(p, r);
    struct held h = {refs_intern(name), hash_bytes(body.ptr, body.len)};
    if (by_name(t) && !ids_have(&p->types[t].names, h.id)) {
        if (!ids_have(&p->types[t].given_up, h.id)) {
            count_wrong(p, t, name, "it wasn't asked for");
        }
        return;
    }
    bool versioned = !p->delta || resource_version_parse(wire_find(r, 1)) == h.hash;
    const char *why =
        versioned ? wrong_resource(p, t, any, body, &h) : "the version isn't the content's";
    if (why) {
        count_wrong(p, t, name, why);
    }
    if (!by_name(t)) {
        refs_of(t, h.hash, body);
    }
    if (expected_is_certificate(t, h.id)) {
        p->certificate = h.hash;
    }
    proxy_counts.resources++;
    VEC_PUSH(*fresh, h);
}

static void read_removed(struct proxy *p, enum xds_type t, struct str name)
{
    struct proxy_type *x = &p->types[t];
    uint64_t id = refs_intern(name);
    const struct held *old = held_find(&x->held, id);
    const char *why = NULL;
    if (old) {
        why = expected_wrong(&p->expected, t, id, old->hash, 0);
    } else if (!ids_have(&x->names, id) && !ids_have(&x->given_up, id) &&
               !ids_have(&x->again, id)) {
        why = "it was removed, and it had none";
    }
    if (why) {
        count_wrong(p, t, name, why);
    }
    forget_one(p, t, id);
}

/* Each once, sorted. */
static void seal(const struct proxy *p, enum xds_type t, held_vec *fresh)
{
    size_t n = 0;
    held_sort(fresh);
    VEC_EACH(*fresh, h) {
        if (n > 0 && fresh->at[n - 1].id == h->id) {
            count_wrong(p, t, refs_name(h->id), "it came twice in one response");
        } else {
            fresh->at[n++] = *h;
        }
    }
    fresh->len = n;
}

struct whole {
    const struct proxy *p;
    enum xds_type t;
    const held_vec *fresh;
};

static void look_for(void *arg, struct resource *r)
{
    const struct whole *w = arg;
    if (!held_find(w->fresh, r->id)) {
        const struct held *old = held_find(&w->p->types[w->t].held, r->id);
        const char *why = expected_wrong(&w->p->expected, w->t, r->id, old ? old->hash : 0, 0);
        if (why) {
            count_wrong(w->p, w->t, resource_name(r), why);
        }
    }
}

/* New clusters, and such as differ, warm up with endpoints that come with them, changed or not. */
static void let_endpoints_follow(struct proxy *p, const held_vec *clusters)
{
    struct proxy_type *eds = &p->types[XDS_EDS], *cds = &p->types[XDS_CDS];
    VEC_EACH(*clusters, h) {
        const struct held *old = held_find(&cds->held, h->id);
        bool same = old && old->hash == h->hash && !ids_have(&cds->again, h->id);
        if (!same && held_find(&eds->held, h->id)) {
            VEC_PUSH(eds->again, h->id);
        }
    }
    ids_sort(&eds->again);
}

/* Both kinds of responses are read alike. */
static void take_response(struct proxy *p, enum xds_type t, struct str message)
{
    static held_vec fresh;
    struct proxy_type *x = &p->types[t];
    bool whole = !p->delta && !by_name(t), broken = false;
    struct wire_field f;
    size_t n = 0;
    fresh.len = 0;
    for (struct str rest = message; wire_next(&rest, &f, &broken);) {
        if (f.number == RESPONSE_RESOURCES) {
            read_resource(p, t, f.bytes, &fresh);
            n++;
        } else if (f.number == RESPONSE_REMOVED && p->delta) {
            read_removed(p, t, f.bytes);
            n++;
        }
    }
    seal(p, t, &fresh);
    if (whole && expected_last(&p->expected)) {
        view_each(expected_last(&p->expected)->views[t], look_for, &(struct whole){p, t, &fresh});
    }
    if (t == XDS_CDS) {
        let_endpoints_follow(p, &fresh);
    }
    bool changed = take(p, t, &fresh, whole);
    if (x->answered && (whole ? !changed && x->again.len == 0 : n == 0)) {
        count_wrong(p, t, STR(""), "nothing in it is new");
    }
    ids_remove(&x->again, &fresh);
}

/* Of what it refuses the other side doesn't know in what content it has it, if at all. */
static void refuse_response(struct proxy *p, enum xds_type t, struct str message)
{
    struct proxy_type *x = &p->types[t];
    struct wire_field f;
    bool broken = false;
    while (wire_next(&message, &f, &broken)) {
        if (f.number == RESPONSE_RESOURCES) {
            VEC_PUSH(x->again, refs_intern(name_of(p, f.bytes)));
        }
    }
    ids_sort(&x->again);
}

/* What a response says about itself. */
static void check_envelope(struct proxy *p, enum xds_type t, struct str nonce, uint64_t version)
{
    struct proxy_type *x = &p->types[t];
    uint64_t hash = hash_str(nonce);
    if (x->nonce == hash) {
        count_wrong(p, t, STR(""), "its nonce is the one before's");
    }
    if (!p->delta && version == 0) {
        count_wrong(p, t, STR(""), "it has no version");
    }
    x->nonce = hash;
    x->version = p->refuses ? x->version : version;
}

/* Why nothing can follow on it; NULL: it is a response. */
static const char *open_response(const struct proxy *p, struct str message, enum xds_type *t,
                                 struct str *nonce)
{
    struct wire_field f;
    bool broken = false;
    for (struct str rest = message; wire_next(&rest, &f, &broken);) {
    }
    *nonce = wire_find(message, RESPONSE_NONCE);
    if (broken || nonce->len == 0) {
        return "it isn't one";
    }
    bool asked = xds_type_parse(wire_find(message, RESPONSE_TYPE), t) && p->types[*t].asked;
    return asked ? NULL : "it is of a type that wasn't asked for";
}

int proxy_on_response(struct proxy *p, struct str message, struct buf *out, struct err *e)
{
    enum xds_type t;
    struct str nonce;
    proxy_counts.responses++;
    const char *why = open_response(p, message, &t, &nonce);
    if (why) {
        count_wrong(p, XDS_TYPES, STR(""), why);
        return err_set(e, "a response: %s", why);
    }
    proxy_counts.bytes[t] += message.len;
    p->types[t].responses++;
    p->first_bytes = p->first_bytes ? p->first_bytes : message.len;
    check_envelope(p, t, nonce, resource_version_parse(wire_find(message, RESPONSE_VERSION)));
    if (p->refuses) {
        refuse_response(p, t, message);
    } else {
        take_response(p, t, message);
    }
    p->types[t].answered = true;
    VEC_DONE(p->types[t].given_up); /* whatever follows was sent after it was read */
    ask(p, (struct ask){.t = t, .nonce = nonce, .refused = p->refuses}, out);
    if (!by_name(t)) {
        follow(p, XDS_EDS, out);
        follow(p, XDS_SDS, out);
        follow(p, XDS_RDS, out);
    }
    go_on(p, out);
    return 0;
}

bool proxy_complete(const struct proxy *p)
{
    return p->types[XDS_CDS].answered && p->types[XDS_LDS].answered && p->missing == 0;
}

/* --- what it should hold --- */

struct search {
    const struct proxy *p;
    enum xds_type t;
    struct str name;
    const char *how; /* NULL: nothing found yet */
};

static void compare_one(struct search *s, uint64_t id, struct str name)
{
    const struct held *h = held_find(&s->p->types[s->t].held, id);
    const char *how = expected_differs(&s->p->expected, s->t, id, h ? h->hash : 0);
    if (how && !s->how) {
        s->how = how;
        s->name = name;
    }
}

static void compare_resource(void *arg, struct resource *r)
{
    compare_one(arg, r->id, resource_name(r));
}

static void compare_type(struct search *s, const struct plan *last)
{
    const struct proxy_type *x = &s->p->types[s->t];
    if (by_name(s->t)) {
        VEC_EACH(x->names, id) {
            compare_one(s, *id, refs_name(*id));
        }
        return;
    }
    if (last) {
        view_each(last->views[s->t], compare_resource, s);
    }
    VEC_EACH(x->held, h) {
        compare_one(s, h->id, refs_name(h->id));
    }
}

bool proxy_difference(const struct proxy *p, char *out, size_t size)
{
    struct search s = {.p = p};
    for (int t = 0; t < XDS_TYPES && !s.how; t++) {
        s.t = (enum xds_type)t;
        compare_type(&s, expected_last(&p->expected));
    }
    if (s.how) {
        snprintf(out, size, "%s %.*s: %s", xds_type_name(s.t), STR_ARG(s.name), s.how);
    }
    return s.how;
}

void proxy_forget(struct proxy *p)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        VEC_DONE(p->types[t].held);
        VEC_DONE(p->types[t].names);
        VEC_DONE(p->types[t].given_up);
        VEC_DONE(p->types[t].again);
        p->types[t] = (struct proxy_type){0};
    }
    p->sum = 0;
    p->certificate = 0;
    p->missing = 0;
}
