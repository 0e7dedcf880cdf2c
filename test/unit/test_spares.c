/* Secrets of sidecars whose pods never came. */
#include "kube_fixture.h"

#include "base/limits.h"
#include "base/log.h"
#include "webhook/spares.h"

#define BORNE "11111111-1111-4111-8111-111111111111"
#define SPARE "22222222-2222-4222-8222-222222222222"
#define SECRETS(namespace) "/api/v1/namespaces/" namespace "/secrets/envoy-bootstrap-config-"

static struct {
    struct api *api;
    struct spares *spares;
    size_t deleted, problems, want;
} f;

static bool answer(void *arg, const struct api_request *q, struct reply *ret)
{
    *ret = (struct reply){.status = 200, .body = "{}"};
    if (api_is(q, "GET", "")) {
        ret->body = "{\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"labels\":{"
                    "\"osm-proxy-uuid\":\"" BORNE "\"}}},{\"metadata\":{}}]}";
    }
    return true;
}

static void on_deleted(void *arg, struct str namespace, struct str uuid)
{
    f.deleted++;
}

static void on_problem(void *arg, const struct err *e)
{
    f.problems++;
}

static void start(int64_t wait_ms)
{
    struct spares_options o = {.client = f.api->client,
                               .loop = f.api->loop,
                               .wait_ms = wait_ms,
                               .on_deleted = on_deleted,
                               .on_problem = on_problem};
    f.spares = spares_new(&o);
}

static int set_up(void **state)
{
    log_set_level(LOG_OFF);
    memset(&f, 0, sizeof(f));
    f.api = api_new();
    f.api->otherwise = answer;
    return 0;
}

static int tear_down(void **state)
{
    spares_free(f.spares);
    api_free(f.api);
    return 0;
}

static bool is_done(void *arg)
{
    return spares_waiting(f.spares) == 0 && api_count_of(f.api, "DELETE", "") >= f.want;
}

/* Until nothing waits and so many deletions were asked for. */
static void finish(size_t want)
{
    f.want = want;
    assert_true(run_until(f.api->loop, is_done, NULL));
    assert_int_equal(f.deleted, want);
}

static void what_no_pod_bears_is_deleted(void **state)
{
    start(1);
    spares_add(f.spares, STR("10.0.0.1"), STR("demo"), STR(BORNE));
    spares_add(f.spares, STR("10.0.0.1"), STR("demo"), STR(SPARE));
    spares_add(f.spares, STR("10.0.0.1"), STR("other"), STR(SPARE));
    finish(2);
    assert_int_equal(api_count_of(f.api, "DELETE", SECRETS("demo") SPARE), 1);
    assert_int_equal(api_count_of(f.api, "DELETE", SECRETS("other") SPARE), 1);
    /* Once for both, and once more for the one that was missing. */
    assert_int_equal(api_count_of(f.api, "GET", "/api/v1/namespaces/demo/pods"), 2);
    assert_int_equal(f.problems, 0);
}

static void many_are_asked_for_together(void **state)
{
    char uuid[37];
    start(1);
    for (int i = 0; i < 120; i++) {
        snprintf(uuid, sizeof(uuid), "33333333-3333-4333-8333-%012d", i);
        spares_add(f.spares, STR("10.0.0.1"), STR("demo"), str_of(uuid));
    }
    finish(120);
    assert_true(api_count_of(f.api, "GET", "/api/v1/namespaces/demo/pods") < 60);
}

static void nothing_is_deleted_while_the_server_does_not_say(void **state)
{
    for (int i = 0; i < 3; i++) {
        api_tell(f.api, (struct reply){.status = 503, .body = "{}"});
    }
    start(1);
    spares_add(f.spares, STR("10.0.0.1"), STR("demo"), STR(BORNE));
    spares_add(f.spares, STR("10.0.0.1"), STR("demo"), STR(SPARE));
    finish(1);
    assert_true(f.problems > 0);
    assert_int_equal(api_count_of(f.api, "DELETE", SECRETS("demo") BORNE), 0);
}

/* Nothing is deleted by what a server has at hand, which may be old. */
static void the_last_look_is_at_what_is_stored(void **state)
{
    start(1);
    spares_add(f.spares, STR("10.0.0.1"), STR("demo"), STR(SPARE));
    finish(1);
    assert_non_null(strstr(api_request(f.api, 0).line, "&resourceVersion=0"));
    assert_null(strstr(api_request(f.api, 1).line, "resourceVersion"));
}

static bool first_look_is_over(void *arg)
{
    return spares_waiting(f.spares) == LIMIT_SPARE_SECRETS_OF_CALLER;
}

/* A stranger who asks for pods that never come uses up what is for him alone; a pod that is there
 * makes room. */
static void a_caller_has_only_so_many(void **state)
{
    char uuid[37];
    start(40 * 100);
    struct str stranger = STR("10.0.0.9"), server = STR("10.0.0.1");
    assert_false(spares_full(f.spares, stranger));
    spares_add(f.spares, stranger, STR("demo"), STR(BORNE));
    for (int i = 1; i < LIMIT_SPARE_SECRETS_OF_CALLER; i++) {
        assert_false(spares_full(f.spares, stranger));
        snprintf(uuid, sizeof(uuid), "44444444-4444-4444-8444-%012d", i);
        spares_add(f.spares, stranger, STR("demo"), str_of(uuid));
    }
    assert_true(spares_full(f.spares, stranger));
    assert_false(spares_full(f.spares, server));
    spares_add(f.spares, server, STR("demo"), STR(SPARE));
    assert_true(run_until(f.api->loop, first_look_is_over, NULL));
    assert_false(spares_full(f.spares, stranger));
}

static void all_callers_have_only_so_many(void **state)
{
    char uuid[37], caller[16];
    start(PATIENCE_MS);
    for (int i = 0; i < LIMIT_SPARE_SECRETS; i++) {
        snprintf(uuid, sizeof(uuid), "44444444-4444-4444-8444-%012d", i);
        snprintf(caller, sizeof(caller), "10.0.0.%d", i % 100);
        assert_false(spares_full(f.spares, str_of(caller)));
        spares_add(f.spares, str_of(caller), STR("demo"), str_of(uuid));
    }
    assert_true(spares_full(f.spares, STR("10.0.0.250")));
}

static void stop(void *arg)
{
    loop_stop(f.api->loop);
}

static void a_pod_has_its_time_to_come(void **state)
{
    start(PATIENCE_MS);
    spares_add(f.spares, STR("10.0.0.1"), STR("demo"), STR(SPARE));
    struct loop_timer *t = loop_timer_new(f.api->loop, 20, false, stop, NULL);
    loop_run(f.api->loop);
    loop_timer_free(t);
    assert_int_equal(api_count(f.api), 0);
    assert_int_equal(spares_waiting(f.spares), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_no_pod_bears_is_deleted),
        TEST(many_are_asked_for_together),
        TEST(nothing_is_deleted_while_the_server_does_not_say),
        TEST(a_pod_has_its_time_to_come),
        TEST(the_last_look_is_at_what_is_stored),
        TEST(a_caller_has_only_so_many),
        TEST(all_callers_have_only_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
