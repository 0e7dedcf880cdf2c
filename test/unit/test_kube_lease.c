/* Leader election against a server that tells of others, with a clock that the test moves. */
#include "kube_fixture.h"

#include "kube/lease.h"

static int64_t now_ms;

struct fixture {
    struct api *api;
    struct loop *loop;
    struct kube_client *client;
    struct kube_lease *lease;
    struct buf trace; /* "held lost " */
    size_t wanted;
    const char *wanted_trace;
};

static int64_t test_clock(void)
{
    return now_ms;
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->api = api_new();
    f->loop = loop_new();
    f->client = api_client(f->api, f->loop);
    buf_init(&f->trace, 1 << 16);
    now_ms = 1000000;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kube_lease_free(f->lease);
    kube_client_free(f->client);
    loop_free(f->loop);
    api_free(f->api);
    buf_done(&f->trace);
    free(f);
    return 0;
}

static void on_change(void *arg, bool held)
{
    struct fixture *f = arg;
    buf_addz(&f->trace, held ? "held " : "lost ");
}

/* Renews every 100 ms of the real clock; what runs out does so by the test's. */
static void start(struct fixture *f)
{
    struct kube_lease_options o = {.client = f->client,
                                   .namespace = "osm-system",
                                   .name = "osm",
                                   .identity = "me",
                                   .duration_ms = 750,
                                   .on_change = on_change,
                                   .arg = f,
                                   .now_ms = test_clock};
    f->lease = kube_lease_start(&o);
}

static void tell(struct fixture *f, int status, const char *body)
{
    api_tell(f->api, (struct reply){status, body, AFTER_WHOLE, NULL, 0});
}

#define LEASE(version, holder, more)                                                               \
    "{\"metadata\":{\"name\":\"osm\",\"resourceVersion\":\"" version                               \
    "\"},\"spec\":{\"holderIdentity\":\"" holder "\",\"leaseDurationSeconds\":15" more "}}"
#define MISSING "{\"kind\":\"Status\",\"message\":\"not found\"}"

static bool enough_requests(void *arg)
{
    struct fixture *f = arg;
    return api_count(f->api) >= f->wanted;
}

static void await_requests(struct fixture *f, size_t n)
{
    f->wanted = n;
    assert_true(run_until(f->loop, enough_requests, f));
}

static bool has_trace(void *arg)
{
    struct fixture *f = arg;
    return f->trace.data && strcmp(f->trace.data, f->wanted_trace) == 0;
}

static void expect(struct fixture *f, const char *trace)
{
    f->wanted_trace = trace;
    run_until(f->loop, has_trace, f);
    assert_string_equal(f->trace.data ? f->trace.data : "", trace);
}

static void assert_part(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("expected \"%s\" in \"%s\"", part, text);
    }
}

static void take_new(struct fixture *f)
{
    tell(f, 404, MISSING);
    tell(f, 201, LEASE("1", "me", ""));
    for (size_t i = 0; i < 1000; i++) {
        tell(f, 200, LEASE("2", "me", ",\"acquireTime\":\"2026-01-02T03:04:05.000000Z\""));
    }
    start(f);
    assert_false(kube_lease_held(f->lease));
    expect(f, "held ");
    assert_true(kube_lease_held(f->lease));
}

static void takes_what_nobody_has(void **state)
{
    struct fixture *f = *state;
    take_new(f);
    assert_string_equal(api_request(f->api, 0).line,
                        "GET /apis/coordination.k8s.io/v1/namespaces/osm-system/leases/osm");
    assert_string_equal(
        api_request(f->api, 1).line,
        "POST /apis/coordination.k8s.io/v1/namespaces/osm-system/leases?fieldManager=osm");
    assert_part(api_request(f->api, 1).body, "\"holderIdentity\":\"me\"");
    assert_part(api_request(f->api, 1).body, "\"leaseTransitions\":0");
    await_requests(f, 4);
    /* Renewing goes on from the version that was written, and keeps the time of taking. */
    assert_part(api_request(f->api, 2).line, "PUT ");
    assert_part(api_request(f->api, 2).body, "\"resourceVersion\":\"1\"");
    assert_part(api_request(f->api, 3).body, "\"resourceVersion\":\"2\"");
    assert_part(api_request(f->api, 3).body, "\"acquireTime\":\"2026-01-02T03:04:05.000000Z\"");
    assert_string_equal(f->trace.data, "held ");
}

static void gives_it_back(void **state)
{
    struct fixture *f = *state;
    take_new(f);
    kube_lease_free(TAKE(f->lease));
    struct api_request last = api_request(f->api, api_count(f->api) - 1);
    assert_part(last.line, "PUT ");
    assert_part(last.body, "\"holderIdentity\":\"\"");
    assert_part(last.body, "\"leaseDurationSeconds\":1,");
    assert_string_equal(f->trace.data, "held ");
}

static void waits_while_another_renews(void **state)
{
    struct fixture *f = *state;
    tell(f, 200, LEASE("1", "other", ""));
    tell(f, 200, LEASE("2", "other", ""));
    for (size_t i = 0; i < 1000; i++) {
        tell(f, 200, LEASE("3", "other", ",\"leaseTransitions\":4"));
    }
    start(f);
    await_requests(f, 4); /* it has seen version 3, and looks again */
    now_ms += 14999;      /* the lease says 15 s, whatever we would take it for */
    await_requests(f, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_part(api_request(f->api, i).line, "GET ");
    }
    assert_null(f->trace.data);
}

static void takes_what_has_run_out(void **state)
{
    struct fixture *f = *state;
    tell(f, 200, LEASE("3", "other", ",\"leaseTransitions\":4"));
    tell(f, 200, LEASE("3", "other", ",\"leaseTransitions\":4"));
    tell(f, 200, LEASE("4", "me", ",\"leaseTransitions\":5"));
    for (size_t i = 0; i < 1000; i++) {
        tell(f, 200, LEASE("5", "me", ",\"leaseTransitions\":5"));
    }
    start(f);
    await_requests(f, 2);
    now_ms += 15000;
    expect(f, "held ");
    assert_part(api_request(f->api, 2).line, "PUT ");
    assert_part(api_request(f->api, 2).body, "\"resourceVersion\":\"3\"");
    assert_part(api_request(f->api, 2).body, "\"leaseTransitions\":5");
}

static void takes_at_once_what_was_given_back(void **state)
{
    struct fixture *f = *state;
    tell(f, 200, LEASE("3", "", ""));
    tell(f, 200, LEASE("4", "me", ""));
    start(f);
    expect(f, "held ");
}

static void another_is_faster(void **state)
{
    struct fixture *f = *state;
    tell(f, 404, MISSING);
    tell(f, 409, "{\"message\":\"already exists\"}");
    for (size_t i = 0; i < 1000; i++) {
        tell(f, 200, LEASE("2", "other", ""));
    }
    start(f);
    await_requests(f, 5);
    assert_part(api_request(f->api, 2).line, "GET ");
    assert_part(api_request(f->api, 3).line, "GET ");
    assert_null(f->trace.data);
}

static void gives_up_before_another_may_take_it(void **state)
{
    struct fixture *f = *state;
    tell(f, 404, MISSING);
    tell(f, 201, LEASE("1", "me", ""));
    start(f);
    expect(f, "held ");
    await_requests(f, 5); /* nothing more was told: the server answers 503 */
    now_ms += 499;
    await_requests(f, api_count(f->api) + 2);
    assert_string_equal(f->trace.data, "held ");
    now_ms += 1; /* two thirds of 750 ms */
    expect(f, "held lost ");
    for (size_t i = 0; i < 1000; i++) {
        tell(f, 200, LEASE("2", "me", ""));
    }
    expect(f, "held lost held ");
}

static void someone_took_it_by_hand(void **state)
{
    struct fixture *f = *state;
    tell(f, 404, MISSING);
    tell(f, 201, LEASE("1", "me", ""));
    tell(f, 409, "{\"message\":\"conflict\"}");
    for (size_t i = 0; i < 1000; i++) {
        tell(f, 200, LEASE("9", "other", ""));
    }
    start(f);
    expect(f, "held lost ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(takes_what_nobody_has),
        TEST(gives_it_back),
        TEST(waits_while_another_renews),
        TEST(takes_what_has_run_out),
        TEST(takes_at_once_what_was_given_back),
        TEST(another_is_faster),
        TEST(gives_up_before_another_may_take_it),
        TEST(someone_took_it_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
