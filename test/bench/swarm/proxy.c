/* The discovery stream, seen from Envoy's side. Field numbers are those of discovery.proto. */
#include "proxy.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "certs.h"
#include "wire.h"
#include "xds/resource.h"

enum {
    DELTA_NODE = 1,
    DELTA_TYPE = 2,
    DELTA_SUBSCRIBE = 3,
    DELTA_UNSUBSCRIBE = 4,
    DELTA_KNOWN = 5,
    DELTA_NONCE = 6,
    DELTA_ERROR = 7,
};
enum {
    SOTW_VERSION = 1,
    SOTW_NODE = 2,
    SOTW_NAMES = 3,
    SOTW_TYPE = 4,
    SOTW_NONCE = 5,
    SOTW_ERROR = 6,
};
/* Both kinds of responses have these. */
enum {
    RESPONSE_VERSION = 1,
    RESPONSE_RESOURCES = 2,
    RESPONSE_TYPE = 4,
    RESPONSE_NONCE = 5,
    RESPONSE_REMOVED = 6,
};

struct proxy_counts proxy_counts;

static bool is_certificate(enum xds_type t, uint64_t id)
{
    static uint64_t certificate;
    if (!certificate) {
        certificate = resource_id(STR("service-cert"));
    }
    return t == XDS_SDS && id == certificate;
}

uint64_t proxy_share(enum xds_type t, uint64_t id, uint64_t hash)
{
    return hash_mix(hash_mix((uint64_t)t, id), is_certificate(t, id) ? 0 : hash);
}

void proxy_count_wrong(const struct proxy *p, const char *what, struct str name)
{
    if (proxy_counts.wrong++ == 0) {
        snprintf(proxy_counts.first_wrong, sizeof(proxy_counts.first_wrong), "%s: %s: %.*s",
                 p->uuid, what, STR_ARG(name));
    }
}

static bool by_name(enum xds_type t)
{
    return t == XDS_EDS || t == XDS_SDS || t == XDS_RDS;
}

/* --- sorted arrays --- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool id_has(const id_vec *v, uint64_t id)
{
    return v->len > 0 && bsearch(&id, v->at, v->len, sizeof(id), compare_ids) != NULL;
}

static struct held *held_find(const held_vec *v, uint64_t id)
{
    return v->len > 0 ? bsearch(&id, v->at, v->len, sizeof(struct held), compare_ids) : NULL;
}

static void sort_held(held_vec *v)
{
    if (v->len > 0) {
        qsort(v->at, v->len, sizeof(*v->at), compare_ids);
    }
}

static void sort_unique(id_vec *v)
{
    size_t n = 0;
    if (v->len > 0) {
        qsort(v->at, v->len, sizeof(*v->at), compare_ids);
    }
    for (size_t i = 0; i < v->len; i++) {
        if (n == 0 || v->at[n - 1] != v->at[i]) {
            v->at[n++] = v->at[i];
        }
    }
    v->len = n;
}

/* An array as large as it must be: there are 100,000 of them. */
static void replace_held(held_vec *v, const held_vec *by)
{
    VEC_DONE(*v);
    if (by->len > 0) {
        v->at = mem_array(NULL, by->len, sizeof(*v->at));
        memcpy(v->at, by->at, by->len * sizeof(*v->at));
        v->len = v->cap = by->len;
    }
}

/* --- what it holds --- */

static void forget_one(struct proxy *p, enum xds_type t, uint64_t id)
{
    held_vec *v = &p->types[t].held;
    struct held *h = held_find(v, id);
    if (h) {
        p->sum -= proxy_share(t, id, h->hash);
        p->missing += by_name(t) && id_has(&p->types[t].names, id);
        VEC_REMOVE(*v, (size_t)(h - v->at));
    }
}

/* fresh is sorted. whole: what isn't in it is gone. */
static void take(struct proxy *p, enum xds_type t, const held_vec *fresh, bool whole)
{
    static held_vec merged;
    held_vec *v = &p->types[t].held;
    merged.len = 0;
    size_t i = 0, j = 0;
    while (i < v->len || j < fresh->len) {
        bool old = j == fresh->len || (i < v->len && v->at[i].id < fresh->at[j].id);
        if (old && !whole) {
            VEC_PUSH(merged, v->at[i++]);
            continue;
        }
        if (i < v->len && (old || v->at[i].id == fresh->at[j].id)) {
            p->sum -= proxy_share(t, v->at[i].id, v->at[i].hash);
            i++;
        } else if (by_name(t)) {
            p->missing -= id_has(&p->types[t].names, fresh->at[j].id);
        }
        if (!old) {
            p->sum += proxy_share(t, fresh->at[j].id, fresh->at[j].hash);
            VEC_PUSH(merged, fresh->at[j++]);
        }
    }
    if (merged.len == v->len) {
        memcpy(v->at, merged.at, merged.len * sizeof(*v->at));
    } else {
        replace_held(v, &merged);
    }
}

/* --- requests --- */

static void send_message(struct buf *out, const struct buf *message)
{
    uint8_t head[5] = {0};
    for (int i = 0; i < 4; i++) {
        head[1 + i] = (uint8_t)(message->len >> (24 - 8 * i));
    }
    buf_add(out, head, sizeof(head));
    buf_adds(out, buf_str(message));
}

static struct buf *scratch(void)
{
    static struct buf b;
    if (b.max_bytes == 0) {
        buf_init(&b, LIMIT_ADS_REQUEST_BYTES);
    }
    buf_reset(&b);
    return &b;
}

static void add_node(const struct proxy *p, struct buf *m, uint32_t number)
{
    char node[128];
    int len = snprintf(node, sizeof(node), "\x0a%c%s", (int)strlen(p->uuid), p->uuid);
    wire_add(m, number, (struct str){node, (size_t)len});
}

static void add_error(struct buf *m, uint32_t number)
{
    static const char status[] = "\x08\x03\x12\x10refused on trial";
    wire_add(m, number, (struct str){status, sizeof(status) - 1});
}

static void add_known(struct buf *m, const held_vec *held)
{
    VEC_EACH(*held, h) {
        char version[17], entry[512];
        struct str name = refs_name(h->id);
        resource_version_text(h->hash, version);
        struct buf b;
        buf_init(&b, sizeof(entry));
        wire_add(&b, 1, name);
        wire_add(&b, 2, str_of(version));
        wire_add(m, DELTA_KNOWN, buf_str(&b));
        buf_done(&b);
    }
}

struct ask {
    enum xds_type t;
    bool first, refused;
    struct str nonce;
    const id_vec *add, *remove;
};

static void add_names(struct buf *m, uint32_t number, const id_vec *ids)
{
    for (size_t i = 0; ids && i < ids->len; i++) {
        wire_add(m, number, refs_name(ids->at[i]));
    }
}

static void ask_delta(struct proxy *p, const struct ask *a, struct buf *out)
{
    struct buf *m = scratch();
    struct proxy_type *t = &p->types[a->t];
    if (a->first && a->t == XDS_CDS) {
        add_node(p, m, DELTA_NODE);
    }
    wire_add(m, DELTA_TYPE, str_of(xds_type_url(a->t)));
    add_names(m, DELTA_SUBSCRIBE, a->add);
    add_names(m, DELTA_UNSUBSCRIBE, a->remove);
    if (a->first) {
        add_known(m, &t->held);
    }
    if (a->nonce.len > 0) {
        wire_add(m, DELTA_NONCE, a->nonce);
    }
    if (a->refused) {
        add_error(m, DELTA_ERROR);
    }
    send_message(out, m);
}

static void ask_sotw(struct proxy *p, const struct ask *a, struct buf *out)
{
    struct buf *m = scratch();
    struct proxy_type *t = &p->types[a->t];
    char version[17];
    resource_version_text(t->version, version);
    if (t->version) {
        wire_add(m, SOTW_VERSION, str_of(version));
    }
    if (a->first && a->t == XDS_CDS) {
        add_node(p, m, SOTW_NODE);
    }
    if (by_name(a->t)) {
        add_names(m, SOTW_NAMES, &t->names);
    }
    wire_add(m, SOTW_TYPE, str_of(xds_type_url(a->t)));
    if (a->nonce.len > 0) {
        wire_add(m, SOTW_NONCE, a->nonce);
    }
    if (a->refused) {
        add_error(m, SOTW_ERROR);
    }
    send_message(out, m);
}

static void ask(struct proxy *p, const struct ask *a, struct buf *out)
{
    p->types[a->t].asked = true;
    if (p->delta) {
        ask_delta(p, a, out);
    } else {
        ask_sotw(p, a, out);
    }
}

/* --- what it wants --- */

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
    sort_unique(&want);
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
    sort_unique(&x->given_up);
    VEC_EACH(add, id) {
        p->missing += !held_find(&x->held, *id);
    }
    VEC_DONE(x->names);
    if (want.len > 0) {
        x->names.at = mem_array(NULL, want.len, sizeof(*want.at));
        memcpy(x->names.at, want.at, want.len * sizeof(*want.at));
        x->names.len = x->names.cap = want.len;
    }
    bool first = !x->asked;
    ask(p, &(struct ask){.t = t, .first = first, .add = first ? &x->names : &add, .remove = &gone},
        out);
}

/* Envoy asks for listeners when its clusters are warm. */
static void go_on(struct proxy *p, struct buf *out)
{
    if (p->types[XDS_CDS].answered && !p->types[XDS_LDS].asked && p->missing == 0) {
        ask(p, &(struct ask){.t = XDS_LDS, .first = true}, out);
    }
}

/* Envoy that comes back asks for all at once, and tells what it has; it gets an answer only when
 * something is new. */
void proxy_begin(struct proxy *p, struct buf *out)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        enum xds_type t = (enum xds_type)i;
        struct proxy_type *x = &p->types[t];
        x->answered = x->held.len > 0;
        VEC_DONE(x->given_up);
        if (t == XDS_CDS || x->asked) {
            ask(p, &(struct ask){.t = t, .first = true, .add = &x->names}, out);
        }
    }
    go_on(p, out);
}

/* --- responses --- */

/* Endpoints come again when their cluster does: Envoy waits for them. */
static bool holds(const struct proxy *p, enum xds_type t, const struct held *h)
{
    const struct held *old = held_find(&p->types[t].held, h->id);
    return t != XDS_EDS && old && old->hash == h->hash;
}

/* A delta's Resource has name, version and body; the state of the world has bodies, whose first
 * field is the name. */
static void read_resource(struct proxy *p, enum xds_type t, struct str r, held_vec *fresh)
{
    struct str body = wire_find(p->delta ? wire_find(r, 2) : r, 2);
    struct str name = p->delta ? wire_find(r, 3) : wire_find(body, 1);
    struct held h = {refs_intern(name), hash_bytes(body.ptr, body.len)};
    if (p->delta && resource_version_parse(wire_find(r, 1)) != h.hash) {
        proxy_count_wrong(p, "the version isn't the content's", name);
    }
    if (!by_name(t)) {
        refs_of(t, h.hash, body);
    } else if (!id_has(&p->types[t].names, h.id)) {
        if (!id_has(&p->types[t].given_up, h.id)) {
            proxy_count_wrong(p, "it wasn't asked for", name);
        }
        return;
    }
    if (p->delta && holds(p, t, &h)) {
        proxy_count_wrong(p, "it came again as it was", name);
    }
    if (is_certificate(t, h.id) && !certs_check(body, h.hash, p->common_name)) {
        proxy_count_wrong(p, "not its own certificate", name);
    }
    if (is_certificate(t, h.id)) {
        p->certificate = h.hash;
    }
    proxy_counts.resources++;
    VEC_PUSH(*fresh, h);
}

static int read_response(struct proxy *p, struct str message, enum xds_type *t, struct str *nonce,
                         held_vec *fresh, struct err *e)
{
    struct wire_field f;
    struct str rest = message;
    bool broken = false;
    if (!xds_type_parse(wire_find(message, RESPONSE_TYPE), t)) {
        return err_set(e, "a response without a type that was asked for");
    }
    *nonce = wire_find(message, RESPONSE_NONCE);
    fresh->len = 0;
    while (!p->refuses && wire_next(&rest, &f, &broken)) {
        if (f.number == RESPONSE_RESOURCES) {
            read_resource(p, *t, f.bytes, fresh);
        } else if (f.number == RESPONSE_REMOVED && p->delta) {
            forget_one(p, *t, refs_intern(f.bytes));
        }
    }
    return broken || nonce->len == 0 ? err_set(e, "a response that isn't one") : 0;
}

int proxy_on_response(struct proxy *p, struct str message, struct buf *out, struct err *e)
{
    static held_vec fresh;
    enum xds_type t;
    struct str nonce;
    proxy_counts.responses++;
    if (read_response(p, message, &t, &nonce, &fresh, e) < 0) {
        return -1;
    }
    proxy_counts.bytes[t] += message.len;
    if (!p->types[t].asked) {
        return err_set(e, "a response of a type that wasn't asked for");
    }
    p->types[t].answered = true;
    if (!p->refuses) {
        sort_held(&fresh);
        take(p, t, &fresh, !p->delta && !by_name(t));
        p->types[t].version = resource_version_parse(wire_find(message, RESPONSE_VERSION));
    }
    ask(p, &(struct ask){.t = t, .nonce = nonce, .refused = p->refuses}, out);
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

void proxy_forget(struct proxy *p)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        VEC_DONE(p->types[t].held);
        VEC_DONE(p->types[t].names);
        VEC_DONE(p->types[t].given_up);
        p->types[t] = (struct proxy_type){0};
    }
    p->sum = 0;
    p->certificate = 0;
    p->missing = 0;
}
