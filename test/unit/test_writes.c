/* Writes to an API server that is slow, sulks or refuses. */
#include "kube_fixture.h"

#include "base/log.h"
#include "kube/writes.h"

static struct {
    struct api *api;
    struct kube_writes *writes;
    int refused, refused_status;
    int answer_status;
} f;

static bool answer(void *arg, const struct api_request *q, struct reply *ret)
{
    *ret = (struct reply){.status = f.answer_status, .body = "{}"};
    return true;
}

static void on_refused(void *arg, struct str key, int status, const struct err *e)
{
    f.refused++;
    f.refused_status = status;
}

static int set_up(void **state)
{
    log_set_level(LOG_OFF);
    memset(&f, 0, sizeof(f));
    f.answer_status = 200;
    f.api = api_new();
    f.api->otherwise = answer;
    struct kube_writes_options o = {
        .loop = f.api->loop, .client = f.api->client, .retry_ms = 20, .on_refused = on_refused};
    f.writes = kube_writes_new(&o);
    return 0;
}

static int tear_down(void **state)
{
    kube_writes_free(f.writes);
    api_free(f.api);
    return 0;
}

static void put(const char *name, const char *what)
{
    AUTO(arena_free) struct arena *a = arena_new(512);
    struct value *body = value_new(a, VALUE_OBJECT);
    value_set(a, body, "is", value_new_string(a, str_of(what)));
    struct kube_request q = {
        .method = "PATCH",
        .path = kube_path_of(a, "v1", "secrets", STR("ns"), str_of(name), NULL, NULL),
        .content_type = KUBE_MERGE_PATCH,
        .body = body};
    kube_writes_put(f.writes, str_of(name), &q);
}

static bool is_done(void *arg)
{
    return kube_writes_waiting(f.writes) == 0;
}

static void finish(void)
{
    assert_true(run_until(f.api->loop, is_done, NULL));
}

static void every_key_is_written_once(void **state)
{
    char name[16];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "secret-%d", i);
        put(name, "x");
    }
    finish();
    assert_int_equal(api_count(f.api), 50);
    assert_int_equal(api_count_of(f.api, "PATCH", "/namespaces/ns/secrets/secret-49"), 1);
    assert_string_equal(api_request(f.api, 0).body, "{\"is\":\"x\"}");
}

static void only_the_newest_of_a_key_that_waits_is_written(void **state)
{
    put("a", "1"); /* on its way at once */
    put("a", "2");
    put("a", "3");
    finish();
    assert_int_equal(api_count(f.api), 2);
    assert_string_equal(api_request(f.api, 0).body, "{\"is\":\"1\"}");
    assert_string_equal(api_request(f.api, 1).body, "{\"is\":\"3\"}");
}

static void what_a_server_in_trouble_didnt_take_is_written_again(void **state)
{
    for (int i = 0; i < 5; i++) {
        api_tell(f.api, (struct reply){.status = 503, .body = "{}"});
    }
    put("a", "1");
    put("b", "2");
    finish();
    assert_int_equal(f.refused, 0);
    assert_true(api_count(f.api) >= 7);
}

static void what_is_refused_is_told_and_dropped(void **state)
{
    f.answer_status = 403;
    put("a", "1");
    finish();
    assert_int_equal(f.refused, 1);
    assert_int_equal(f.refused_status, 403);
    assert_int_equal(api_count(f.api), 1);
}

static void who_may_not_write_any_more_forgets_what_waits(void **state)
{
    f.answer_status = 503;
    put("a", "1");
    put("b", "1");
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "c%d", i);
        put(name, "1");
    }
    kube_writes_clear(f.writes);
    assert_int_equal(kube_writes_waiting(f.writes), 4); /* on their way */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_key_is_written_once),
        TEST(only_the_newest_of_a_key_that_waits_is_written),
        TEST(what_a_server_in_trouble_didnt_take_is_written_again),
        TEST(what_is_refused_is_told_and_dropped),
        TEST(who_may_not_write_any_more_forgets_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
