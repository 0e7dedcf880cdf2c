/* The swarm's alarms: a real discovery stream (xds/stream.h) serves a simulated proxy, and one of
 * its messages is changed on the way, as a wrong controller would have sent it. Each lie must be
 * found, once, by its own alarm; what is right raises none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "certs.h"
#include "oracle.h"
#include "proxy.h"
#include "wire.h"
#include "world.h"
#include "xds/stream.h"

/* Each identity may call five others; the one that is looked at is service 1's, which may call 7 as
 * well when that lets in one more. */
enum { SERVICES = 8, SELF = 1, OTHER = 3, CALLEE = 2, ONE_MORE = 7 };

#define STRANGER "stranger"

static struct world world;
static struct oracle *oracle;
static char *self, *other, *common_name;

static struct plan *build(void)
{
    oracle_build(oracle);
    return plan_ref(oracle_plan(oracle, self));
}

/* --- worlds --- */

enum mesh { FIRST, ENDPOINT, WIDER, BOTH, WARMER, MESHES };
static struct plan *plans[MESHES];

static void put(void (*write)(const struct world *w, int service, struct buf *out), int service)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    write(&world, service, &b);
    oracle_put(oracle, buf_str(&b));
    buf_done(&b);
}

static void write_wider(const struct world *w, int service, struct buf *out)
{
    world_write_target(w, service, 1, out);
}

static void write_narrower(const struct world *w, int service, struct buf *out)
{
    world_write_target(w, service, 0, out);
}

static void write_base(const struct world *w, int service, struct buf *out)
{
    world_write_base(w, out);
}

/* The plan with another content of one cluster, whose endpoints stay: an unknown field more. */
static struct plan *with_warmer_cluster(const struct plan *from)
{
    struct plan *out = NEW(struct plan);
    ref_init(&out->ref);
    for (int t = 0; t < XDS_TYPES; t++) {
        out->views[t] = view_ref(from->views[t]);
    }
    struct resource_set *eds = from->views[XDS_EDS].own, *cds = out->views[XDS_CDS].own;
    struct resource *old = view_find(from->views[XDS_CDS], eds->at[0]->id);
    struct buf body;
    buf_init(&body, 1u << 20);
    buf_adds(&body, blob_str(old->body));
    wire_add(&body, 1000, STR("warm"));
    struct resource *fresh = resource_new(resource_name(old), blob_new(body.data, body.len), 0);
    resource_vec none = {0}, add = {&fresh, 1, 1};
    out->views[XDS_CDS].own = resource_set_edit(cds, &none, &add);
    resource_set_unref(cds);
    resource_unref(fresh);
    buf_done(&body);
    return out;
}

static int set_up(void **state)
{
    char file[] = "/tmp/osm-alarms-XXXXXX";
    ASSERT(mkdtemp(file));
    AUTO(free) char *ca = mem_printf("%s/ca.yaml", file);
    certs_open(ca);
    unlink(ca);
    rmdir(file);
    world = (struct world){.services = SERVICES, .per_service = 3};
    world_init(&world);
    oracle = oracle_new(certs_issuer());
    self = world_uuid(&world, SELF, 0);
    other = world_uuid(&world, OTHER, 0);
    common_name = mem_printf("service-%04d." WORLD_NAMESPACE ".cluster.local", SELF);
    put(write_base, 0);
    for (int i = 0; i < SERVICES; i++) {
        put(world_write_service, i);
    }
    plans[FIRST] = build();
    world.slices[CALLEE]++;
    put(world_write_members, CALLEE);
    plans[ENDPOINT] = build();
    put(write_wider, ONE_MORE);
    plans[BOTH] = build();
    world.slices[CALLEE]--;
    put(world_write_members, CALLEE);
    plans[WIDER] = build();
    plans[WARMER] = with_warmer_cluster(plans[FIRST]);
    put(write_narrower, ONE_MORE);
    oracle_build(oracle);
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < MESHES; i++) {
        plan_unref(plans[i]);
    }
    oracle_free(oracle);
    world_done(&world);
    free(self);
    free(other);
    free(common_name);
    return 0;
}

/* --- a response, taken apart --- */

struct one {
    struct str version, type, body, name;
};

struct told {
    bool delta;
    enum xds_type t;
    struct str version, type, nonce;
    VEC(struct one) resources;
    VEC(struct str) removed;
};

static struct one read_one(bool delta, struct str r)
{
    struct str any = delta ? wire_find(r, 2) : r, body = wire_find(any, 2);
    return (struct one){delta ? wire_find(r, 1) : STR(""), wire_find(any, 1), body,
                        wire_find(body, 1)};
}

static struct told read_told(bool delta, struct str message)
{
    struct told m = {.delta = delta,
                     .version = wire_find(message, 1),
                     .type = wire_find(message, 4),
                     .nonce = wire_find(message, 5)};
    struct wire_field f;
    bool broken = false;
    while (wire_next(&message, &f, &broken)) {
        if (f.number == 2) {
            VEC_PUSH(m.resources, read_one(delta, f.bytes));
        } else if (f.number == 6) {
            VEC_PUSH(m.removed, f.bytes);
        }
    }
    assert_true(xds_type_parse(m.type, &m.t));
    return m;
}

static void write_one(const struct told *m, const struct one *r, struct buf *out)
{
    struct buf any, whole;
    buf_init(&any, 1u << 20);
    buf_init(&whole, 1u << 20);
    wire_add(&any, 1, r->type);
    wire_add(&any, 2, r->body);
    if (m->delta) {
        wire_add(&whole, 1, r->version);
        wire_add(&whole, 2, buf_str(&any));
        wire_add(&whole, 3, r->name);
    }
    wire_add(out, 2, buf_str(m->delta ? &whole : &any));
    buf_done(&any);
    buf_done(&whole);
}

static void write_told(const struct told *m, struct buf *out)
{
    wire_add(out, 1, m->version);
    VEC_EACH(m->resources, r) {
        write_one(m, r, out);
    }
    wire_add(out, 4, m->type);
    wire_add(out, 5, m->nonce);
    VEC_EACH(m->removed, name) {
        wire_add(out, 6, *name);
    }
}

static bool is_whole(const struct told *m)
{
    return !m->delta && (m->t == XDS_CDS || m->t == XDS_LDS);
}

/* --- what lies are made of --- */

static struct buf made; /* bytes that aren't the stream's, until the next lie */

static struct str make(const void *data, size_t len)
{
    size_t at = made.len;
    buf_add(&made, data, len);
    assert_false(buf_full(&made));
    return (struct str){made.data + at, len};
}

static void set_body(struct one *r, struct str body)
{
    char version[17];
    resource_version_text(hash_bytes(body.ptr, body.len), version);
    r->body = body;
    r->version = make(version, 16);
}

/* The body of another name, which is its first field. */
static struct str renamed(struct str body, const char *name)
{
    struct str old = wire_find(body, 1);
    size_t head = (size_t)(old.ptr + old.len - body.ptr);
    struct buf b;
    buf_init(&b, 1u << 20);
    wire_add(&b, 1, str_of(name));
    buf_add(&b, body.ptr + head, body.len - head);
    struct str out = make(b.data, b.len);
    buf_done(&b);
    return out;
}

static struct one copy_of(struct resource *r, struct str type)
{
    struct one x = {.type = type, .name = resource_name(r)};
    set_body(&x, blob_str(r->body));
    return x;
}

/* The resource that `to` has in another content than `from`, or `from` lacks. */
static struct resource *news_of(enum xds_type t, struct plan *from, struct plan *to)
{
    struct resource_set *own = to->views[t].own;
    for (size_t i = 0; i < own->n; i++) {
        struct resource *old = view_find(from->views[t], own->at[i]->id);
        if (!old || old->version != own->at[i]->version) {
            return own->at[i];
        }
    }
    fail_msg("nothing differs");
    return NULL;
}

static struct one *find_one(const struct told *m, struct str name)
{
    VEC_EACH(m->resources, r) {
        if (r->name.len == name.len && memcmp(r->name.ptr, name.ptr, name.len) == 0) {
            return r;
        }
    }
    fail_msg("%.*s isn't in the response", STR_ARG(name));
    return NULL;
}

/* --- lies: what becomes of a response; from and to are the plans between which it is sent --- */

struct change {
    struct plan *from, *to;
    struct str nonce_before;
};

static struct one *news(const struct told *m, const struct change *c)
{
    return find_one(m, resource_name(news_of(m->t, c->from, c->to)));
}

static void one_byte(struct told *m, const struct change *c)
{
    struct one *r = news(m, c);
    r->body = make(r->body.ptr, r->body.len);
    ((char *)r->body.ptr)[r->body.len - 1] ^= 1;
}

static void one_byte_and_version(struct told *m, const struct change *c)
{
    one_byte(m, c);
    set_body(news(m, c), news(m, c)->body);
}

static void older(struct told *m, const struct change *c)
{
    struct resource *old = view_find(c->from->views[m->t], resource_id(news(m, c)->name));
    m->resources.at[0] = copy_of(old, m->type);
    m->resources.len = 1;
}

static void left_out(struct told *m, const struct change *c)
{
    struct one *r = news(m, c);
    *r = m->resources.at[--m->resources.len];
}

static void one_too_many(struct told *m, const struct change *c)
{
    struct one r = m->resources.at[0];
    set_body(&r, renamed(r.body, STRANGER));
    r.name = STR(STRANGER);
    VEC_PUSH(m->resources, r);
}

static void once_more(struct told *m, const struct change *c)
{
    if (!is_whole(m)) {
        m->resources.len = 1;
    }
    m->removed.len = 0;
}

static void twice(struct told *m, const struct change *c)
{
    VEC_PUSH(m->resources, *news(m, c));
}

static void nothing(struct told *m, const struct change *c)
{
    m->resources.len = m->removed.len = 0;
}

/* One that both plans have. */
static void removed(struct told *m, const struct change *c)
{
    if (m->delta) {
        VEC_PUSH(m->removed, m->resources.at[0].name);
        m->resources.len = 0;
    } else {
        m->resources.at[0] = m->resources.at[--m->resources.len];
    }
}

static void removed_stranger(struct told *m, const struct change *c)
{
    nothing(m, c);
    VEC_PUSH(m->removed, STR(STRANGER));
}

static void other_type_of_all(struct told *m, const struct change *c)
{
    m->type = STR("type.googleapis.com/envoy.service.runtime.v3.Runtime");
}

static void other_type_of_one(struct told *m, const struct change *c)
{
    news(m, c)->type = str_of(xds_type_url(XDS_CDS));
}

static void no_nonce(struct told *m, const struct change *c)
{
    m->nonce = STR("");
}

static void nonce_before(struct told *m, const struct change *c)
{
    m->nonce = c->nonce_before;
}

static void no_version(struct told *m, const struct change *c)
{
    m->version = STR("");
    VEC_EACH(m->resources, r) {
        r->version = STR("");
    }
}

static void endpoints_of_more(struct told *m, const struct change *c)
{
    m->resources.at[0] = copy_of(news_of(XDS_EDS, c->to, c->from), m->type);
    m->resources.len = 1;
}

static void endpoints_of_more_again(struct told *m, const struct change *c)
{
    endpoints_of_more(m, c);
    ((char *)m->nonce.ptr)[1] ^= 1; /* another than the first's */
}

static void untold(struct told *m, const struct change *c)
{
}

/* --- certificates --- */

static struct str secret_of(struct str chain, struct str key)
{
    struct buf b[4];
    for (int i = 0; i < 4; i++) {
        buf_init(&b[i], 1u << 16);
    }
    wire_add(&b[0], 2, chain); /* inline_bytes */
    wire_add(&b[1], 2, key);
    wire_add(&b[2], 1, buf_str(&b[0]));
    wire_add(&b[2], 2, buf_str(&b[1]));
    wire_add(&b[3], 1, STR("service-cert"));
    wire_add(&b[3], 2, buf_str(&b[2]));
    struct str out = make(b[3].data, b[3].len);
    for (int i = 0; i < 4; i++) {
        buf_done(&b[i]);
    }
    return out;
}

static struct cert *issue(int service)
{
    struct err e = ERR_INIT;
    struct cert *c = NULL;
    AUTO(free) char *account = world_account(service);
    struct identity id = {STR(WORLD_NAMESPACE), str_of(account)};
    assert_int_equal(issuer_issue_service(certs_issuer(), id, clock_wall_s(), 3600, &c, &e), 0);
    return c;
}

static void put_certificate(struct told *m, int chain_of, int key_of)
{
    struct cert *chain = issue(chain_of), *key = chain_of == key_of ? chain : issue(key_of);
    m->resources.len = 1;
    m->resources.at[0].name = STR("service-cert");
    set_body(&m->resources.at[0], secret_of(blob_str(chain->chain), blob_str(key->private_key)));
    if (key != chain) {
        cert_unref(key);
    }
    cert_unref(chain);
}

static void anothers(struct told *m, const struct change *c)
{
    put_certificate(m, OTHER, OTHER);
}

static void anothers_key(struct told *m, const struct change *c)
{
    put_certificate(m, SELF, OTHER);
}

static void renewed(struct told *m, const struct change *c)
{
    put_certificate(m, SELF, SELF);
}

static void certificate_of_the_plan(struct told *m, const struct change *c)
{
    struct resource *r = view_find(c->to->views[XDS_SDS], resource_id(STR("service-cert")));
    m->resources.at[0] = copy_of(r, m->type);
    m->resources.len = 1;
}

/* --- a stream and a proxy, without sockets --- */

enum how { INSTEAD, BEFORE, AFTER, NEVER };

struct lie {
    const char *name;
    enum mesh from, to; /* the same: told at rest, after what came last of its type */
    enum xds_type on;
    enum how how;
    void (*tell)(struct told *m, const struct change *c);
    const char *delta, *sotw; /* the alarm; NULL: none, "-": the protocol has no such thing */
    const char *at_rest;      /* what the proxy ends without; NULL: nothing */
};

struct pair {
    bool delta, lost;
    struct stream *stream;
    struct response_cache *cache;
    struct proxy proxy;
    struct change change;
    const struct lie *lie; /* to be told still */
    struct buf last[XDS_TYPES];
};

static void answer(struct pair *x, struct buf *out)
{
    struct err e = ERR_INIT;
    enum xds_type refused;
    while (out->len >= 5) {
        const uint8_t *p = (const uint8_t *)out->data;
        size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        struct str message = {out->data + 5, n};
        assert_int_equal(stream_on_request(x->stream, message, 0, &refused, &e), 0);
        buf_consume(out, n + 5);
    }
}

static void deliver(struct pair *x, struct str message)
{
    struct err e = ERR_INIT;
    struct buf out;
    buf_init(&out, 1u << 20);
    x->lost = x->lost || proxy_on_response(&x->proxy, message, &out, &e) < 0;
    /* As the fleet does. */
    if (!proxy_difference(&x->proxy, (char[512]){0}, 512) && proxy_complete(&x->proxy)) {
        expected_keep_last(&x->proxy.expected);
    }
    answer(x, &out);
    buf_done(&out);
}

static void tell(struct pair *x, const struct lie *lie, struct str right, bool extra)
{
    struct told m = read_told(x->delta, right);
    struct buf b;
    buf_init(&b, 1u << 20);
    if (extra) {
        m.nonce = make(m.nonce.ptr, m.nonce.len);
        ((char *)m.nonce.ptr)[0] ^= 1;
    }
    lie->tell(&m, &x->change);
    write_told(&m, &b);
    deliver(x, buf_str(&b));
    buf_done(&b);
    VEC_DONE(m.resources);
    VEC_DONE(m.removed);
}

static void pass(struct pair *x, enum xds_type t, struct str right)
{
    const struct lie *lie = x->lie && x->lie->on == t ? x->lie : NULL;
    x->lie = lie ? NULL : x->lie;
    if (lie && (lie->how == INSTEAD || lie->how == BEFORE)) {
        tell(x, lie, right, lie->how == BEFORE);
    }
    if (!lie || lie->how == BEFORE || lie->how == AFTER) {
        deliver(x, right);
    }
    if (lie && lie->how == AFTER) {
        tell(x, lie, right, true);
    }
}

static void pump(struct pair *x)
{
    struct response *r;
    while (!x->lost && (r = stream_next(x->stream, x->cache, 0))) {
        struct buf *b = &x->last[r->type];
        struct str nonce = wire_find(buf_str(b), 5);
        x->change.nonce_before = make(nonce.ptr, nonce.len);
        buf_done(b);
        buf_init(b, 1u << 20);
        buf_add(b, r->framed->data + 5, r->framed->len - 5);
        if (r->rest) {
            buf_adds(b, blob_str(r->rest));
        }
        enum xds_type t = r->type;
        response_unref(r);
        pass(x, t, buf_str(b));
    }
}

static void become(struct pair *x, struct plan *plan)
{
    x->change.from = x->change.to;
    x->change.to = plan;
    expected_add(&x->proxy.expected, plan);
    stream_set_plan(x->stream, plan);
    pump(x);
}

static void connect(struct pair *x, struct plan *plan)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    stream_free(x->stream);
    x->stream = stream_new(x->delta);
    proxy_begin(&x->proxy, &out);
    answer(x, &out);
    buf_done(&out);
    become(x, plan);
}

static struct pair begin(bool delta)
{
    proxy_counts = (struct proxy_counts){0};
    buf_done(&made);
    buf_init(&made, 4u << 20);
    ASSERT(buf_reserve(&made, (4u << 20) - 1)); /* what is made stays where it is */
    return (struct pair){.delta = delta,
                         .cache = response_cache_new(),
                         .proxy = {.delta = delta, .uuid = self, .common_name = common_name}};
}

static void end(struct pair *x)
{
    proxy_forget(&x->proxy);
    expected_done(&x->proxy.expected);
    stream_free(x->stream);
    response_cache_free(x->cache);
    for (int t = 0; t < XDS_TYPES; t++) {
        buf_done(&x->last[t]);
    }
    buf_done(&made);
}

static void assert_all_is_well(const struct pair *x)
{
    char how[512] = "";
    assert_false(proxy_difference(&x->proxy, how, sizeof(how)));
    assert_true(proxy_complete(&x->proxy));
    assert_string_equal(proxy_counts.first_wrong, "");
    assert_int_equal(proxy_counts.wrong, 0);
}

/* --- tests --- */

static void what_is_right_raises_no_alarm(void **state)
{
    static const enum mesh ways[] = {ENDPOINT, BOTH, FIRST, WARMER, FIRST, WIDER, ENDPOINT, WIDER};
    for (int delta = 0; delta < 2; delta++) {
        struct pair x = begin(delta);
        connect(&x, plans[FIRST]);
        assert_int_equal(x.proxy.sum, oracle_sum(oracle, self));
        assert_all_is_well(&x);
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            become(&x, plans[ways[i]]);
            assert_all_is_well(&x);
        }
        uint64_t before = proxy_counts.resources;
        connect(&x, plans[WIDER]);
        assert_int_equal(proxy_counts.resources == before, delta);
        connect(&x, plans[FIRST]);
        assert_all_is_well(&x);
        proxy_forget(&x.proxy);
        connect(&x, plans[FIRST]);
        assert_int_equal(x.proxy.sum, oracle_sum(oracle, self));
        x.lie = &(struct lie){.on = XDS_SDS, .tell = renewed};
        tell(&x, x.lie, buf_str(&x.last[XDS_SDS]), true);
        assert_all_is_well(&x);
        end(&x);
    }
}

static void what_follows_on_a_refusal_raises_no_alarm(void **state)
{
    for (int delta = 0; delta < 2; delta++) {
        struct pair x = begin(delta);
        connect(&x, plans[FIRST]);
        x.proxy.refuses = true;
        become(&x, plans[BOTH]);
        x.proxy.refuses = false;
        become(&x, plans[FIRST]);
        assert_all_is_well(&x);
        become(&x, plans[BOTH]);
        assert_all_is_well(&x);
        end(&x);
    }
}

#define UNASKED "it wasn't asked for"
#define BACK "it went back to what it was"
#define TWICE "it came twice in one response"
#define CALLEE_EDS "eds bench/service-0002|8080: "
#define MORE_EDS "eds bench/service-0007|8080: "
#define MORE_CDS "cds bench/service-0007|8080: "

#define VERSION "the version isn't the content's"
#define CONTENT "its content isn't what the mesh says"
#define NONE "the mesh has none of that name"
#define MISSING "it is missing"
#define AGAIN "it came again as it was"
#define NOT_NEW " response: nothing in it is new"

#define MORE_LDS "lds outbound_bench/service-0007_80_http: "
#define MORE_RDS "rds rds-outbound.bench/service-0007.80: "
#define CALLEE_CDS "cds bench/service-0002|8080: "
#define CALLEE_RDS "rds rds-outbound.bench/service-0002.80: "
#define A_LDS "lds outbound_bench/service-0006_80_http: "

static const struct lie lies[] = {
    /* Content. */
    {"a byte", FIRST, ENDPOINT, XDS_EDS, INSTEAD, one_byte, CALLEE_EDS VERSION, CALLEE_EDS CONTENT,
     CALLEE_EDS CONTENT},
    {"a byte, and the version of that", FIRST, ENDPOINT, XDS_EDS, INSTEAD, one_byte_and_version,
     CALLEE_EDS CONTENT, CALLEE_EDS CONTENT, CALLEE_EDS CONTENT},
    {"endpoints, then the right ones", FIRST, ENDPOINT, XDS_EDS, BEFORE, one_byte_and_version,
     CALLEE_EDS CONTENT, CALLEE_EDS CONTENT, NULL},
    {"a cluster, then the right one", FIRST, WIDER, XDS_CDS, BEFORE, one_byte_and_version,
     MORE_CDS CONTENT, MORE_CDS CONTENT, NULL},
    {"a listener, then the right one", FIRST, WIDER, XDS_LDS, BEFORE, one_byte_and_version,
     MORE_LDS CONTENT, MORE_LDS CONTENT, NULL},
    {"routes, then the right ones", FIRST, WIDER, XDS_RDS, BEFORE, one_byte_and_version,
     MORE_RDS CONTENT, MORE_RDS CONTENT, NULL},
    {"back to the endpoints before", FIRST, BOTH, XDS_EDS, AFTER, older, CALLEE_EDS BACK,
     CALLEE_EDS BACK, CALLEE_EDS CONTENT},
    {"at rest the endpoints before", FIRST, ENDPOINT, XDS_EDS, AFTER, older, CALLEE_EDS CONTENT,
     CALLEE_EDS CONTENT, CALLEE_EDS CONTENT},
    /* One too few. */
    {"no endpoints", FIRST, ENDPOINT, XDS_EDS, NEVER, untold, NULL, NULL, CALLEE_EDS CONTENT},
    {"no endpoints of a new cluster", FIRST, WIDER, XDS_EDS, NEVER, untold, NULL, NULL,
     MORE_EDS MISSING},
    {"no listener", FIRST, WIDER, XDS_LDS, NEVER, untold, NULL, NULL, MORE_LDS MISSING},
    {"no routes", FIRST, WIDER, XDS_RDS, NEVER, untold, NULL, NULL, MORE_RDS MISSING},
    {"a cluster left out", FIRST, WIDER, XDS_CDS, INSTEAD, left_out, "-", "cds" NOT_NEW,
     MORE_CDS MISSING},
    {"a cluster removed", FIRST, FIRST, XDS_CDS, AFTER, removed, CALLEE_CDS MISSING,
     CALLEE_CDS MISSING, CALLEE_CDS MISSING},
    {"a listener removed", FIRST, FIRST, XDS_LDS, AFTER, removed, A_LDS MISSING, A_LDS MISSING,
     A_LDS MISSING},
    /* One too many. */
    {"a cluster of nowhere", FIRST, WIDER, XDS_CDS, INSTEAD, one_too_many,
     "cds " STRANGER ": " NONE, "cds " STRANGER ": " NONE, "cds " STRANGER ": " NONE},
    {"endpoints of nowhere", FIRST, ENDPOINT, XDS_EDS, INSTEAD, one_too_many,
     "eds " STRANGER ": " UNASKED, "eds " STRANGER ": " UNASKED, NULL},
    {"routes of nowhere", FIRST, WIDER, XDS_RDS, INSTEAD, one_too_many,
     "rds " STRANGER ": " UNASKED, "rds " STRANGER ": " UNASKED, NULL},
    {"a cluster that stays", WIDER, FIRST, XDS_CDS, NEVER, untold, NULL, NULL, MORE_CDS NONE},
    {"a listener that stays", WIDER, FIRST, XDS_LDS, NEVER, untold, NULL, NULL, MORE_CDS NONE},
    {"a removal of nothing", FIRST, FIRST, XDS_CDS, AFTER, removed_stranger,
     "cds " STRANGER ": it was removed, and it had none", "-", NULL},
    /* Once more. */
    {"a cluster again", FIRST, FIRST, XDS_CDS, AFTER, once_more, CALLEE_CDS AGAIN, "cds" NOT_NEW,
     NULL},
    {"endpoints again", FIRST, FIRST, XDS_EDS, AFTER, once_more, CALLEE_EDS AGAIN, CALLEE_EDS AGAIN,
     NULL},
    {"a secret again", FIRST, FIRST, XDS_SDS, AFTER, once_more,
     "sds root-cert-for-mtls-inbound: " AGAIN, "sds root-cert-for-mtls-inbound: " AGAIN, NULL},
    {"a listener again", FIRST, FIRST, XDS_LDS, AFTER, once_more, A_LDS AGAIN, "lds" NOT_NEW, NULL},
    {"routes again", FIRST, FIRST, XDS_RDS, AFTER, once_more, CALLEE_RDS AGAIN, CALLEE_RDS AGAIN,
     NULL},
    {"endpoints after their cluster, twice", FIRST, WARMER, XDS_EDS, AFTER, once_more,
     CALLEE_EDS AGAIN, CALLEE_EDS AGAIN, NULL},
    {"twice at once", FIRST, ENDPOINT, XDS_EDS, INSTEAD, twice, CALLEE_EDS TWICE, CALLEE_EDS TWICE,
     NULL},
    {"nothing", FIRST, FIRST, XDS_EDS, AFTER, nothing, "eds" NOT_NEW, "eds" NOT_NEW, NULL},
    {"no cluster", FIRST, FIRST, XDS_CDS, AFTER, nothing, "cds" NOT_NEW, "-", NULL},
    /* Type, nonce, version. */
    {"a type that nobody asked for", FIRST, ENDPOINT, XDS_EDS, INSTEAD, other_type_of_all,
     "a response: it is of a type that wasn't asked for",
     "a response: it is of a type that wasn't asked for", CALLEE_EDS CONTENT},
    {"endpoints that are called a cluster", FIRST, ENDPOINT, XDS_EDS, INSTEAD, other_type_of_one,
     CALLEE_EDS "its type isn't the response's", CALLEE_EDS "its type isn't the response's", NULL},
    {"no nonce", FIRST, ENDPOINT, XDS_EDS, INSTEAD, no_nonce, "a response: it isn't one",
     "a response: it isn't one", CALLEE_EDS CONTENT},
    {"the nonce before", FIRST, ENDPOINT, XDS_EDS, INSTEAD, nonce_before,
     "eds response: its nonce is the one before's", "eds response: its nonce is the one before's",
     NULL},
    {"no version", FIRST, ENDPOINT, XDS_EDS, INSTEAD, no_version, CALLEE_EDS VERSION,
     "eds response: it has no version", NULL},
    /* Certificates. */
    {"another's certificate", FIRST, FIRST, XDS_SDS, AFTER, anothers,
     "sds service-cert: it isn't its own certificate",
     "sds service-cert: it isn't its own certificate", NULL},
    {"another's key", FIRST, FIRST, XDS_SDS, AFTER, anothers_key,
     "sds service-cert: it isn't its own certificate",
     "sds service-cert: it isn't its own certificate", NULL},
};

static const char *said(const struct lie *lie, bool delta)
{
    return delta ? lie->delta : lie->sotw;
}

static void assert_found(uint64_t wrong, const char *first)
{
    AUTO(free) char *line = first ? mem_printf("%s: %s", self, first) : mem_strdup("");
    assert_string_equal(proxy_counts.first_wrong, line);
    assert_int_equal(proxy_counts.wrong, wrong);
}

static void run_lie(const struct lie *lie, bool delta)
{
    struct pair x = begin(delta);
    char how[512] = "";
    connect(&x, plans[lie->from]);
    assert_all_is_well(&x);
    x.lie = lie;
    if (lie->from == lie->to) {
        x.change.from = x.change.to;
        tell(&x, lie, buf_str(&x.last[lie->on]), true);
        x.lie = NULL;
    }
    become(&x, plans[lie->to]);
    assert_null(x.lie); /* it was told */
    bool differs = proxy_difference(&x.proxy, how, sizeof(how));
    print_message("%s, %s\n", lie->name, delta ? "delta" : "state of the world");
    assert_found(said(lie, delta) ? 1 : 0, said(lie, delta));
    assert_string_equal(how, lie->at_rest ? lie->at_rest : "");
    assert_int_equal(differs, lie->at_rest != NULL);
    end(&x);
}

static void every_lie_is_found(void **state)
{
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        for (int delta = 0; delta < 2; delta++) {
            if (!said(&lies[i], delta) || said(&lies[i], delta)[0] != '-') {
                run_lie(&lies[i], delta);
            }
        }
    }
}

/* What was on its way when the proxy gave the name up is no mistake; what was sent later is. */
static void what_was_given_up_may_come_once(void **state)
{
    for (int delta = 0; delta < 2; delta++) {
        struct pair x = begin(delta);
        connect(&x, plans[WIDER]);
        become(&x, plans[FIRST]);
        struct lie gone = {.tell = endpoints_of_more};
        tell(&x, &gone, buf_str(&x.last[XDS_EDS]), true);
        assert_all_is_well(&x);
        gone.tell = endpoints_of_more_again;
        tell(&x, &gone, buf_str(&x.last[XDS_EDS]), true);
        assert_found(1, MORE_EDS UNASKED);
        end(&x);
    }
}

static void a_certificate_that_was_replaced_must_not_come_back(void **state)
{
    for (int delta = 0; delta < 2; delta++) {
        struct pair x = begin(delta);
        connect(&x, plans[FIRST]);
        x.proxy.stale = x.proxy.certificate;
        tell(&x, &(struct lie){.tell = renewed}, buf_str(&x.last[XDS_SDS]), true);
        assert_all_is_well(&x);
        assert_int_not_equal(x.proxy.certificate, x.proxy.stale);
        tell(&x, &(struct lie){.tell = certificate_of_the_plan}, buf_str(&x.last[XDS_SDS]), false);
        assert_found(1, "sds service-cert: " BACK);
        end(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_raises_no_alarm),
        cmocka_unit_test(what_follows_on_a_refusal_raises_no_alarm),
        cmocka_unit_test(every_lie_is_found),
        cmocka_unit_test(what_was_given_up_may_come_once),
        cmocka_unit_test(a_certificate_that_was_replaced_must_not_come_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
