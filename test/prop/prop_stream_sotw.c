/* A discovery stream against a model of Envoy, in the state-of-the-world protocol: a response of
 * clusters or listeners is the whole set, one of endpoints or routes only updates what it names.
 * Whatever plans come, whatever the proxy refuses, and however often it returns: it ends with just
 * what the plan says, and is never sent what it has. Messages are on their way for a while, so that
 * requests cross responses. Prints the seed of a failure. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "stream_world.h"
#include "xds/stream.h"

typedef Envoy__Service__Discovery__V3__DiscoveryResponse Response;

enum { REFUSE = 1, RETURN = 2 };

/* What the proxy knows of one type. */
struct known {
    struct map held;     /* name -> content */
    struct map hopeless; /* contents that it refused by name, or alone; not of whole sets */
    struct map doubtful; /* contents that came with one that it refused; not of whole sets */
    bool asked[CLUSTERS];
    bool requested;       /* on this stream */
    int waiting;          /* responses that may say nothing new: it asked for a name, or returned */
    bool again[CLUSTERS]; /* the same endpoints may come with a cluster that changed */
    bool cold[CLUSTERS];  /* a cluster that changed and waits for its endpoints to come again */
    bool refused;         /* the last response */
    struct map last;      /* contents of the last response */
    char version[17];     /* of the last response that it took; survives the stream */
    char nonce[17];       /* of the last response that it saw */
};

struct proxy {
    struct stream *stream;
    struct response_cache *cache;
    struct known known[XDS_TYPES];
    VEC(struct response *) wire; /* sent and not seen yet */
    unsigned options;
    uint64_t taste;   /* which contents it refuses */
    bool catching_up; /* since it returned: what it holds of old plans fits no new one */
    int64_t now;
};

static bool whole(enum xds_type t)
{
    return t == XDS_CDS || t == XDS_LDS;
}

/* The type that goes with a cluster or a listener. */
static enum xds_type part_of(enum xds_type t)
{
    return t == XDS_CDS ? XDS_EDS : XDS_RDS;
}

static const char *name_of(enum xds_type t, int i, char out[16])
{
    snprintf(out, 16, "%c%d", t == XDS_RDS ? 'r' : t == XDS_LDS ? 'l' : 'c', i);
    return out;
}

/* Contents are "NAME gN cN". */
static struct str content_name(const char *content)
{
    return (struct str){content, strcspn(content, " ")};
}

static int index_of(const char *content)
{
    return content[1] - '0';
}

/* Listeners never change here, so that one refused would stay refused. */
static bool is_bad(const struct proxy *p, enum xds_type t, const char *content)
{
    return (p->options & REFUSE) && t != XDS_LDS &&
           (resource_id(str_of(content)) ^ p->taste) % 7 == 0;
}

/* --- requests --- */

static void request(struct proxy *p, enum xds_type t, const char *error)
{
    struct known *k = &p->known[t];
    Envoy__Service__Discovery__V3__DiscoveryRequest q =
        ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    char names[CLUSTERS][16], *list[CLUSTERS];
    q.type_url = (char *)xds_type_url(t);
    q.version_info = k->version;
    q.response_nonce = k->nonce;
    q.resource_names = list;
    for (int i = 0; i < CLUSTERS; i++) {
        if (k->asked[i]) {
            list[q.n_resource_names++] = (char *)name_of(t, i, names[i]);
        }
    }
    if (error) {
        status.code = 3;
        status.message = (char *)error;
        q.error_detail = &status;
    }
    k->requested = true;
    uint8_t bytes[1024];
    assert_true(envoy__service__discovery__v3__discovery_request__get_packed_size(&q) <=
                sizeof(bytes));
    size_t len = envoy__service__discovery__v3__discovery_request__pack(&q, bytes);
    enum xds_type refused;
    struct err e = ERR_INIT;
    assert_int_equal(
        stream_on_request(p->stream, (struct str){(char *)bytes, len}, p->now, &refused, &e), 0);
}

static bool on_its_way(const struct proxy *p, enum xds_type t)
{
    VEC_EACH(p->wire, r) {
        if ((*r)->type == t) {
            return true;
        }
    }
    return false;
}

/* Subscribes to what the clusters or listeners held need, and to nothing else. */
static void follow(struct proxy *p, enum xds_type t)
{
    enum xds_type with = part_of(t);
    struct known *k = &p->known[with];
    bool differs = false;
    for (int i = 0; i < CLUSTERS; i++) {
        char name[16], other[16];
        bool needed = map_has(&p->known[t].held, str_of(name_of(t, i, name)));
        if (needed == k->asked[i]) {
            continue;
        }
        differs = true;
        k->asked[i] = needed;
        if (needed) {
            /* The response that this request crosses doesn't answer it. */
            k->waiting = 1 + on_its_way(p, with);
        }
        if (!needed) {
            free(map_remove(&k->held, str_of(name_of(with, i, other))));
        }
    }
    /* Envoy also asks again for the endpoints of a cluster that changed. */
    if (differs || (k->requested && roll(3) == 0)) {
        request(p, with, NULL);
    }
}

/* --- responses --- */

static bool holds(const struct known *k, const char *content)
{
    const char *old = map_find(&k->held, content_name(content));
    return old && strcmp(old, content) == 0;
}

static void hold(struct proxy *p, enum xds_type t, const char *content)
{
    struct known *k = &p->known[t];
    if (t == XDS_CDS) {
        p->known[XDS_EDS].cold[index_of(content)] |= !holds(k, content);
    } else {
        k->cold[index_of(content)] = false;
    }
    free(map_put(&k->held, content_name(content), mem_strdup(content)));
}

/* A response has a reason: something that the proxy lacks, may have passed over with what it
 * refused or, when it is the whole set, has too much; or something that it asked for just now. */
static bool has_reason(const struct known *k, enum xds_type t, char *const *contents, size_t n)
{
    bool differs = k->waiting > 0 || (whole(t) && (k->refused || n != map_len(&k->held)));
    for (size_t i = 0; i < n; i++) {
        differs |= !holds(k, contents[i]) || map_has(&k->doubtful, str_of(contents[i])) ||
                   k->again[index_of(contents[i])];
    }
    return differs;
}

/* After a refusal something differs, or less is sent. */
static void check_not_repeated(const struct known *k, enum xds_type t, char *const *contents,
                               size_t n)
{
    bool same = n == map_len(&k->last);
    for (size_t i = 0; i < n; i++) {
        same &= map_has(&k->last, str_of(contents[i]));
        assert_false(map_has(&k->hopeless, str_of(contents[i])));
    }
    assert_false(same && k->refused && k->waiting == 0);
}

static void remember(struct known *k, char *const *contents, size_t n)
{
    map_done(&k->last, NULL);
    for (size_t i = 0; i < n; i++) {
        map_put(&k->last, str_of(contents[i]), k);
        k->again[index_of(contents[i])] = false;
    }
    k->waiting -= k->waiting > 0;
}

/* Which of a refused response Envoy takes: what is good, what came before the first that is bad,
 * or nothing. */
enum mercy { TAKES_GOOD, TAKES_BEFORE, TAKES_NOTHING };

static void drop_others(struct known *k, char *const *contents, size_t n)
{
    struct map named = {0};
    for (size_t i = 0; i < n; i++) {
        map_put(&named, content_name(contents[i]), k);
    }
    MAP_EACH(&k->held, it) {
        if (!map_has(&named, it.key)) {
            free(map_remove(&k->held, it.key));
        }
    }
    map_done(&named, NULL);
}

/* Returns Envoy's words about it; NULL when it is taken. */
static char *take(struct proxy *p, enum xds_type t, char *const *contents, size_t n)
{
    struct known *k = &p->known[t];
    enum mercy mercy = (enum mercy)(whole(t) ? 2 * roll(2) : roll(3));
    const char *bad = NULL;
    for (size_t i = 0; i < n; i++) {
        bad = bad ? bad : is_bad(p, t, contents[i]) ? contents[i] : NULL;
    }
    for (size_t i = 0, stop = 0; i < n && !stop; i++) {
        bool good = !is_bad(p, t, contents[i]);
        stop = bad && (mercy == TAKES_NOTHING || (mercy == TAKES_BEFORE && !good));
        if (good && !stop && (whole(t) || k->asked[index_of(contents[i])])) {
            hold(p, t, contents[i]);
        }
    }
    if (whole(t) && (!bad || mercy == TAKES_GOOD)) {
        drop_others(k, contents, n);
    }
    for (size_t i = 0; i < n && !whole(t); i++) {
        map_remove(&k->doubtful, str_of(contents[i]));
        if (bad) {
            map_put(&k->doubtful, str_of(contents[i]), k);
        }
    }
    if (!bad) {
        return NULL;
    }
    bool named = roll(3) > 0;
    if (!whole(t) && (named || n == 1)) {
        map_put(&k->hopeless, str_of(bad), k);
    }
    return named ? mem_printf("%.*s isn't to my taste", STR_ARG(content_name(bad)))
                 : mem_strdup("something isn't to my taste");
}

static void answer(struct proxy *p, enum xds_type t, const Response *m, const char *error)
{
    struct known *k = &p->known[t];
    k->refused = error != NULL;
    snprintf(k->nonce, sizeof(k->nonce), "%s", m->nonce);
    if (!error) {
        snprintf(k->version, sizeof(k->version), "%s", m->version_info);
    }
    bool first = roll(2);
    if (first) {
        request(p, t, error);
    }
    if (whole(t)) {
        follow(p, t);
    }
    if (!first) {
        request(p, t, error);
    }
}

static Response *unpack(const struct response *r, enum xds_type *t)
{
    Response *m = envoy__service__discovery__v3__discovery_response__unpack(
        NULL, r->framed->len - 5, (uint8_t *)r->framed->data + 5);
    assert_non_null(m);
    assert_true(xds_type_parse(str_of(m->type_url), t));
    return m;
}

/* The oldest response that is on its way arrives. */
static void receive(struct proxy *p)
{
    struct response *r = p->wire.at[0];
    VEC_REMOVE(p->wire, 0);
    enum xds_type t;
    Response *m = unpack(r, &t);
    struct known *k = &p->known[t];
    char **contents = mem_array(NULL, m->n_resources + 1, sizeof(*contents));
    for (size_t i = 0; i < m->n_resources; i++) {
        contents[i] = mem_memdup(m->resources[i]->value.data, m->resources[i]->value.len);
    }
    check_not_repeated(k, t, contents, m->n_resources);
    assert_true(has_reason(k, t, contents, m->n_resources));
    for (size_t i = 0; t == XDS_CDS && i < m->n_resources; i++) {
        p->known[XDS_EDS].again[index_of(contents[i])] |=
            k->waiting > 0 || k->refused || !holds(k, contents[i]);
    }
    remember(k, contents, m->n_resources);
    AUTO(free) char *error = take(p, t, contents, m->n_resources);
    answer(p, t, m, error);
    for (size_t i = 0; i < m->n_resources; i++) {
        free(contents[i]);
    }
    free(contents);
    envoy__service__discovery__v3__discovery_response__free_unpacked(m, NULL);
    response_unref(r);
}

static void pump(struct proxy *p)
{
    struct response *r;
    while ((r = stream_next(p->stream, p->cache, p->now))) {
        assert_false(on_its_way(p, r->type));
        VEC_EACH(r->resources, x) {
            assert_true(whole(r->type) || p->known[r->type].asked[index_of((*x)->name)]);
        }
        VEC_PUSH(p->wire, r);
    }
}

/* Every route that is held has its cluster, and that its endpoints. */
static void check_references(const struct proxy *p)
{
    if (p->catching_up || (p->options & REFUSE)) {
        return;
    }
    MAP_EACH(&p->known[XDS_RDS].held, it) {
        const char *cluster = strrchr(it.value, ' ') + 1;
        assert_true(map_has(&p->known[XDS_CDS].held, str_of(cluster)));
        assert_true(map_has(&p->known[XDS_EDS].held, str_of(cluster)));
    }
}

/* Takes everything until nothing more comes. */
static void settle(struct proxy *p)
{
    for (int i = 0; i < 400; i++) {
        pump(p);
        if (p->wire.len > 0) {
            receive(p);
            check_references(p);
            continue;
        }
        p->now += STREAM_AWAIT_MS;
        pump(p);
        if (p->wire.len == 0) {
            p->catching_up = false;
            return;
        }
    }
    fail_msg("the stream never comes to rest");
}

/* --- what it comes to --- */

struct checker {
    const struct proxy *p;
    enum xds_type t;
};

static void check_held(void *arg, struct resource *r)
{
    struct checker *c = arg;
    const struct known *k = &c->p->known[c->t];
    bool meant = whole(c->t) || k->asked[index_of(r->name)];
    const char *content = map_find(&k->held, resource_name(r));
    if (!meant) {
        assert_null(content);
    } else if (!is_bad(c->p, c->t, r->body->data)) {
        assert_non_null(content);
        assert_string_equal(content, r->body->data);
        assert_false(c->t == XDS_EDS && k->cold[index_of(content)]);
    }
}

static void check_final(const struct proxy *p, struct plan *plan)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        enum xds_type t = (enum xds_type)i;
        const struct known *k = &p->known[t];
        assert_true(stream_state(p->stream, t) != STREAM_SENDING);
        if (whole(t)) {
            /* What is bad of a whole set comes with it, and the proxy may take nothing then. */
            assert_int_equal(stream_state(p->stream, t),
                             k->refused ? STREAM_REFUSED : STREAM_SYNCED);
        }
        if (whole(t) && k->refused) {
            continue;
        }
        struct checker c = {p, t};
        view_each(plan->views[t], check_held, &c);
        if (whole(t)) {
            assert_int_equal(map_len(&k->held), view_count(plan->views[t]));
        }
    }
}

/* --- a proxy's life --- */

static void hello(struct proxy *p)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        struct known *k = &p->known[i];
        enum xds_type t = (enum xds_type)i;
        bool before = k->requested;
        k->nonce[0] = '\0';
        k->requested = k->refused = false;
        map_done(&k->last, NULL);
        map_done(&k->hopeless, NULL);
        map_done(&k->doubtful, NULL);
        k->waiting = 1;
        if (whole(t) || before) {
            request(p, t, NULL);
        }
    }
}

static void disconnect(struct proxy *p)
{
    VEC_EACH(p->wire, r) {
        response_unref(*r);
    }
    VEC_DONE(p->wire);
    stream_free(p->stream);
    p->stream = NULL;
}

static bool refuses(const struct proxy *p)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        if (whole((enum xds_type)t) && p->known[t].refused) {
            return true;
        }
    }
    return false;
}

/* The connection breaks and is made again. A proxy that took the good part of a refused response
 * still tells the version before it: the protocol has no words for that, so it isn't asked for. */
static void come_back(struct proxy *p, struct plan *plan)
{
    if (refuses(p)) {
        return;
    }
    bool quiet = roll(2);
    if (quiet) {
        settle(p);
    }
    if (refuses(p)) {
        return;
    }
    disconnect(p);
    p->stream = stream_new(false);
    p->catching_up = true;
    bool plan_first = roll(2);
    if (plan_first) {
        stream_set_plan(p->stream, plan);
    }
    hello(p);
    if (!plan_first) {
        stream_set_plan(p->stream, plan);
    }
    pump(p);
    VEC_EACH(p->wire, r) {
        assert_false(quiet && whole((*r)->type));
    }
}

static void start(struct proxy *p, unsigned options)
{
    *p = (struct proxy){.stream = stream_new(false),
                        .cache = response_cache_new(),
                        .options = options,
                        .taste = roll(1000),
                        .now = 1000};
    hello(p);
}

static void stop(struct proxy *p)
{
    disconnect(p);
    for (int t = 0; t < XDS_TYPES; t++) {
        map_done(&p->known[t].held, free);
        map_done(&p->known[t].hopeless, NULL);
        map_done(&p->known[t].doubtful, NULL);
        map_done(&p->known[t].last, NULL);
    }
    response_cache_free(p->cache);
}

static void run_history(uint64_t seed, unsigned options)
{
    roll_start(seed);
    struct world w = {0};
    struct proxy p;
    start(&p, options);
    struct plan *plan = NULL;
    for (int step = 0; step < STEPS; step++) {
        if (!plan || roll(5) == 0) {
            for (unsigned n = roll(4) + 1; n > 0; n--) {
                mutate(&w);
            }
            plan_unref(plan);
            plan = plan_of(&w);
            stream_set_plan(p.stream, plan);
        }
        pump(&p);
        if (p.wire.len > 0 && roll(4) > 0) {
            receive(&p);
            check_references(&p);
        }
        if ((options & RETURN) && roll(20) == 0) {
            come_back(&p, plan);
        }
        p.now += roll(400);
    }
    settle(&p);
    check_final(&p, plan);
    plan_unref(plan);
    stop(&p);
}

static void test_histories(void **state)
{
    histories(run_history, 0);
}

static void test_histories_with_refusals(void **state)
{
    histories(run_history, REFUSE);
}

static void test_histories_with_returns(void **state)
{
    histories(run_history, RETURN);
}

static void test_histories_with_everything(void **state)
{
    histories(run_history, REFUSE | RETURN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_histories, say_seed),
        cmocka_unit_test_teardown(test_histories_with_refusals, say_seed),
        cmocka_unit_test_teardown(test_histories_with_returns, say_seed),
        cmocka_unit_test_teardown(test_histories_with_everything, say_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
