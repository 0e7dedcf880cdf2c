/* A discovery stream against a model of Envoy: whatever plans come and whatever the proxy answers,
 * it ends with just what the plan says, never gets what it has, never holds a route whose cluster
 * or endpoints it lacks, and a refused content isn't repeated. Prints the seed of a failure. */
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

/* --- the model of Envoy, incremental protocol --- */

struct proxy {
    struct stream *stream;
    struct response_cache *cache;
    struct map held[XDS_TYPES];     /* name -> content */
    struct map refused[XDS_TYPES];  /* content that this proxy refuses -> itself */
    struct map suspect[XDS_TYPES];  /* the same, when it didn't say which; to be sent once alone */
    struct map doubtful[XDS_TYPES]; /* content that came with a refused one -> itself */
    bool asked[XDS_TYPES][CLUSTERS];
    uint64_t nonce[XDS_TYPES]; /* not answered yet; 0: none */
    char *reject[XDS_TYPES];   /* name that made it refuse the response in flight */
    int64_t now;
};

/* One request: an answer when neither name is given. */
static void ask(struct proxy *p, enum xds_type t, const char *subscribe, const char *unsubscribe,
                const char *error)
{
    Envoy__Service__Discovery__V3__DeltaDiscoveryRequest q =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    char nonce[17];
    q.type_url = (char *)xds_type_url(t);
    if (p->nonce[t] && !subscribe && !unsubscribe) {
        resource_version_text(p->nonce[t], nonce);
        q.response_nonce = nonce;
        p->nonce[t] = 0;
    }
    if (error) {
        status.code = 3;
        status.message = (char *)error;
        q.error_detail = &status;
    }
    char *names[1] = {(char *)subscribe};
    q.resource_names_subscribe = names;
    q.n_resource_names_subscribe = subscribe != NULL;
    char *gone[1] = {(char *)unsubscribe};
    q.resource_names_unsubscribe = gone;
    q.n_resource_names_unsubscribe = unsubscribe != NULL;
    uint8_t bytes[512];
    size_t len = envoy__service__discovery__v3__delta_discovery_request__pack(&q, bytes);
    enum xds_type refused;
    struct err e = ERR_INIT;
    assert_int_equal(
        stream_on_request(p->stream, (struct str){(char *)bytes, len}, p->now, &refused, &e), 0);
}

static void subscribe(struct proxy *p, enum xds_type t, int i)
{
    if (!p->asked[t][i]) {
        char name[16];
        snprintf(name, sizeof(name), "%c%d", t == XDS_EDS ? 'c' : 'r', i);
        p->asked[t][i] = true;
        ask(p, t, name, NULL, NULL);
    }
}

/* What goes with a cluster or listener isn't wanted any more. */
static void forget(struct proxy *p, enum xds_type t, struct str name)
{
    int i = name.ptr[1] - '0';
    enum xds_type with = t == XDS_CDS ? XDS_EDS : XDS_RDS;
    free(map_remove(&p->held[t], name));
    if ((t == XDS_CDS || t == XDS_LDS) && p->asked[with][i]) {
        char other[16];
        snprintf(other, sizeof(other), "%c%d", with == XDS_EDS ? 'c' : 'r', i);
        p->asked[with][i] = false;
        free(map_remove(&p->held[with], str_of(other)));
        ask(p, with, NULL, other, NULL);
    }
}

static void hold(struct proxy *p, enum xds_type t, struct str name, const char *content)
{
    char *old = map_find(&p->held[t], name);
    bool again = old && strcmp(old, content) == 0;
    /* Endpoints come again with their cluster, and what came with a refused content comes again
     * because the proxy may have passed it over; nothing else is sent twice. */
    assert_true(!again || t == XDS_EDS || map_has(&p->doubtful[t], str_of(content)));
    map_remove(&p->doubtful[t], str_of(content));
    free(map_put(&p->held[t], name, mem_strdup(content)));
}

/* One resource of a response. Envoy takes those before the one that it refuses and, depending on
 * the type, also those after it. */
static void take(struct proxy *p, enum xds_type t, struct str name, const char *content,
                 bool refuse_some, bool partly, bool alone)
{
    struct str key = str_of(content);
    bool suspect = map_remove(&p->suspect[t], key);
    assert_false(map_has(&p->refused[t], key));
    if (suspect || (refuse_some && t == XDS_RDS && !p->reject[t] && roll(6) == 0)) {
        bool known = !p->reject[t] && (alone || (!suspect && roll(3) > 0));
        map_put(known ? &p->refused[t] : &p->suspect[t], key, p);
        if (!p->reject[t]) {
            p->reject[t] = known && !suspect ? mem_memdup(name.ptr, name.len) : mem_strdup("");
        }
    } else if (!p->reject[t] || partly) {
        hold(p, t, name, content);
    }
}

/* Every route that is held has its cluster, and that its endpoints. */
static void check_references(const struct proxy *p)
{
    MAP_EACH(&p->held[XDS_RDS], it) {
        const char *cluster = strrchr(it.value, ' ') + 1;
        assert_true(map_has(&p->held[XDS_CDS], str_of(cluster)));
        assert_true(map_has(&p->held[XDS_EDS], str_of(cluster)));
    }
}

static void receive(struct proxy *p, struct response *r, bool refuse_some)
{
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *m =
        envoy__service__discovery__v3__delta_discovery_response__unpack(
            NULL, r->framed->len - 5, (uint8_t *)r->framed->data + 5);
    enum xds_type t;
    assert_non_null(m);
    assert_true(xds_type_parse(str_of(m->type_url), &t));
    assert_true(p->nonce[t] == 0); /* one in flight */
    p->nonce[t] = resource_version_parse(str_of(m->nonce));
    bool partly = roll(2);
    for (size_t i = 0; i < m->n_resources; i++) {
        ProtobufCBinaryData any = m->resources[i]->resource->value;
        AUTO(free) char *content = mem_memdup(any.data, any.len);
        take(p, t, str_of(m->resources[i]->name), content, refuse_some, partly,
             m->n_resources == 1);
        int index = m->resources[i]->name[1] - '0';
        if (t == XDS_CDS) {
            subscribe(p, XDS_EDS, index);
        } else if (t == XDS_LDS) {
            subscribe(p, XDS_RDS, index);
        }
    }
    for (size_t i = 0; i < m->n_resources && p->reject[t]; i++) {
        ProtobufCBinaryData any = m->resources[i]->resource->value;
        map_put(&p->doubtful[t], (struct str){(char *)any.data, any.len}, p);
    }
    for (size_t i = 0; i < m->n_removed_resources; i++) {
        forget(p, t, str_of(m->removed_resources[i]));
    }
    envoy__service__discovery__v3__delta_discovery_response__free_unpacked(m, NULL);
    if (!refuse_some) {
        check_references(p);
    }
}

static void answer(struct proxy *p, enum xds_type t)
{
    if (p->reject[t]) {
        AUTO(free) char *error = mem_printf("route %s isn't to my taste", p->reject[t]);
        ask(p, t, NULL, NULL, error);
        free(p->reject[t]);
        p->reject[t] = NULL;
    } else {
        ask(p, t, NULL, NULL, NULL);
    }
}

static void pump(struct proxy *p, bool refuse_some)
{
    struct response *r;
    while ((r = stream_next(p->stream, p->cache, p->now))) {
        receive(p, r, refuse_some);
        response_unref(r);
    }
}

/* Answers everything until nothing more comes. */
static void settle(struct proxy *p, bool refuse_some)
{
    for (int i = 0; i < 200; i++) {
        pump(p, refuse_some);
        bool any = false;
        for (int t = 0; t < XDS_TYPES; t++) {
            if (p->nonce[t]) {
                answer(p, (enum xds_type)t);
                any = true;
            }
        }
        p->now += STREAM_AWAIT_MS;
        if (!any) {
            return;
        }
    }
    fail_msg("the stream never comes to rest");
}

struct checker {
    const struct proxy *p;
    enum xds_type t;
};

static void check_held(void *arg, struct resource *r)
{
    struct checker *c = arg;
    const char *content = map_find(&c->p->held[c->t], resource_name(r));
    if (!map_has(&c->p->refused[c->t], blob_str(r->body))) {
        assert_non_null(content);
        assert_string_equal(content, r->body->data);
    }
}

static void check_final(const struct proxy *p, struct plan *plan)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        struct checker c = {p, (enum xds_type)t};
        view_each(plan->views[t], check_held, &c);
    }
    assert_int_equal(map_len(&p->held[XDS_CDS]), view_count(plan->views[XDS_CDS]));
    assert_int_equal(map_len(&p->held[XDS_LDS]), view_count(plan->views[XDS_LDS]));
}

static void start(struct proxy *p)
{
    *p = (struct proxy){.stream = stream_new(true), .cache = response_cache_new(), .now = 1000};
    ask(p, XDS_CDS, NULL, NULL, NULL);
    ask(p, XDS_LDS, NULL, NULL, NULL);
}

static void stop(struct proxy *p)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        map_done(&p->held[t], free);
        map_done(&p->refused[t], NULL);
        map_done(&p->suspect[t], NULL);
        map_done(&p->doubtful[t], NULL);
        free(p->reject[t]);
    }
    stream_free(p->stream);
    response_cache_free(p->cache);
}

static void run_history(uint64_t seed, unsigned refuse_some)
{
    roll_start(seed);
    struct world w = {0};
    struct proxy p;
    start(&p);
    struct plan *plan = NULL;
    for (int step = 0; step < STEPS; step++) {
        if (!plan || roll(3) == 0) {
            for (unsigned n = roll(4) + 1; n > 0; n--) {
                mutate(&w);
            }
            plan_unref(plan);
            plan = plan_of(&w);
            stream_set_plan(p.stream, plan);
        }
        pump(&p, refuse_some);
        enum xds_type t = (enum xds_type)roll(XDS_TYPES);
        if (p.nonce[t]) {
            answer(&p, t);
        }
        p.now += roll(400);
    }
    settle(&p, refuse_some);
    check_final(&p, plan);
    for (int t = 0; t < XDS_TYPES; t++) {
        enum stream_state s = stream_state(p.stream, (enum xds_type)t);
        assert_true(s != STREAM_SENDING);
        assert_true(refuse_some || s != STREAM_REFUSED);
    }
    plan_unref(plan);
    stop(&p);
}

static void test_histories(void **state)
{
    histories(run_history, false);
}

static void test_histories_with_refusals(void **state)
{
    histories(run_history, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_histories, say_seed),
        cmocka_unit_test_teardown(test_histories_with_refusals, say_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
