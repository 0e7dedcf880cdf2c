/* The pages of a daemon over a socket, asked by a thread as a probe or Prometheus does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doc/value.h"
#include "net/http_client.h"
#include "observe/build_info.h"
#include "observe/metrics.h"
#include "observe/pages.h"

static struct {
    char folder[32], socket[48];
    struct loop *loop;
    struct http_server *server;
    const char *why_not;
    struct {
        const char *path;
        struct str sent; /* empty: a GET */
        int status;
        struct buf body;
    } asked;
} f;

static void on_healthz(void *arg, struct http_request *q)
{
    pages_reply_health(q, f.why_not);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    strcpy(f.folder, "/tmp/test_pages.XXXXXX");
    if (!mkdtemp(f.folder)) {
        return -1;
    }
    snprintf(f.socket, sizeof(f.socket), "%s/s", f.folder);
    metrics_init(METRICS_INJECTOR);
    f.loop = loop_new();
    static const struct http_route routes[] = {{"GET", "/healthz", on_healthz},
                                               {"GET", "/smi/version", pages_on_smi_version}};
    struct http_server_options o = {
        .loop = f.loop, .unix_path = f.socket, .routes = routes, .n_routes = COUNT_OF(routes)};
    return pages_start(&o, &f.server, NULL);
}

static int tear_down(void **state)
{
    http_server_free(f.server);
    loop_free(f.loop);
    metrics_done();
    return rmdir(f.folder);
}

static void stop(void *arg)
{
    loop_stop(f.loop);
}

static void *ask_thread(void *arg)
{
    AUTO(free) char *url = mem_printf("http://pages%s", f.asked.path);
    struct http_call call = {.url = url,
                             .unix_path = f.socket,
                             .body = f.asked.sent,
                             .timeout_ms = 60000,
                             .max_bytes = 1 << 20};
    struct err e = ERR_INIT;
    f.asked.status = http_do(&call, &f.asked.body, &e);
    loop_post(f.loop, stop, NULL);
    return NULL;
}

/* The status; the body is kept until the next. */
static int ask(const char *path)
{
    pthread_t thread;
    buf_done(&f.asked.body);
    f.asked.path = path;
    assert_int_equal(pthread_create(&thread, NULL, ask_thread, NULL), 0);
    loop_run(f.loop);
    pthread_join(thread, NULL);
    return f.asked.status;
}

static void health_says_why_not(void **state)
{
    f.why_not = "the certificates aren't there yet";
    assert_int_equal(ask("/healthz"), 503);
    assert_string_equal(f.asked.body.data, "the certificates aren't there yet\n");
    f.why_not = NULL;
    assert_int_equal(ask("/healthz"), 200);
    assert_string_equal(f.asked.body.data, "Health OK");
}

static void the_version_is_json_with_three_fields(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct value *v = NULL;
    assert_int_equal(ask("/version"), 200);
    assert_int_equal(value_read_json(a, buf_str(&f.asked.body), &v, NULL), 0);
    assert_true(str_is(value_string_at(v, "version"), OSM_VERSION));
    assert_true(str_is(value_string_at(v, "git_commit"), build_commit()));
    assert_true(str_is(value_string_at(v, "build_date"), build_date()));
    assert_true(strlen(build_commit()) > 0 && strlen(build_date()) > 0);
}

static void smi_versions_are_those_that_are_served(void **state)
{
    assert_int_equal(ask("/smi/version"), 200);
    assert_string_equal(f.asked.body.data, "{\"TrafficTarget\":\"access.smi-spec.io/v1alpha3\","
                                           "\"HTTPRouteGroup\":\"specs.smi-spec.io/v1alpha4\","
                                           "\"TCPRoute\":\"specs.smi-spec.io/v1alpha4\","
                                           "\"TrafficSplit\":\"split.smi-spec.io/v1alpha2\"}");
}

static void requests_count_by_route_and_not_by_what_was_asked(void **state)
{
    ask("/healthz");
    assert_int_equal(ask("/no/such/page"), 404);
    assert_int_equal(ask("/metrics"), 200);
    assert_non_null(
        strstr(f.asked.body.data,
               "osm_http_response_total{code=\"404\",method=\"GET\",path=\"other\"} 1"));
    assert_non_null(
        strstr(f.asked.body.data,
               "osm_http_response_duration_count{code=\"404\",method=\"GET\",path=\"other\"} 1\n"));
    assert_null(strstr(f.asked.body.data, "/no/such"));
    assert_non_null(strstr(f.asked.body.data, "osm_version_info{version=\"" OSM_VERSION "\""));
}

/* Anybody in the cluster may call, and what is sent lies in memory until its end. */
static void nothing_large_is_taken(void **state)
{
    enum { LARGE = 1 << 16 };
    AUTO(free) char *large = mem_array(NULL, LARGE, 1);
    memset(large, 'x', LARGE);
    f.asked.sent = (struct str){large, LARGE};
    assert_int_equal(ask("/metrics"), 413);
    f.asked.sent = (struct str){0};
    assert_int_equal(ask("/metrics"), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_says_why_not),
        cmocka_unit_test(the_version_is_json_with_three_fields),
        cmocka_unit_test(smi_versions_are_those_that_are_served),
        cmocka_unit_test(requests_count_by_route_and_not_by_what_was_asked),
        cmocka_unit_test(nothing_large_is_taken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
