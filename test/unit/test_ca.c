/* The mesh's root in a Secret, with a small API server that keeps one Secret. */
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

#include "base/clock.h"
#include "base/log.h"
#include "daemon/ca.h"
#include "net/http_server.h"

#define COLLECTION "/api/v1/namespaces/osm-system/secrets"
#define YEAR_S (INT64_C(365) * 86400)
enum { TEXT_MAX = 64 << 10 };

static struct daemon_flags flags = DAEMON_FLAGS_DEFAULTS;

static struct {
    char folder[32], kubeconfig[48];
    struct loop *loop;
    struct http_server *server;
    pthread_t thread;
    /* Of the server's thread; others look when it was asked. */
    char *secret;
    _Atomic int gets, posts, failures; /* failures: so many requests are answered with 503 */
} api;

/* --- the API server --- */

static bool fails(struct http_request *q)
{
    if (api.failures == 0) {
        return false;
    }
    api.failures--;
    http_reply(q, 503, "application/json",
               STR("{\"kind\":\"Status\",\"message\":\"etcd is resting\",\"code\":503}"));
    return true;
}

static void on_get(void *arg, struct http_request *q)
{
    api.gets++;
    if (fails(q)) {
        return;
    }
    if (api.secret) {
        http_reply(q, 200, "application/json", str_of(api.secret));
    } else {
        http_reply(q, 404, "application/json",
                   STR("{\"kind\":\"Status\",\"message\":\"not found\",\"code\":404}"));
    }
}

static void on_post(void *arg, struct http_request *q)
{
    struct str body = http_request_body(q);
    api.posts++;
    if (fails(q)) {
        return;
    }
    if (api.secret) {
        http_reply(q, 409, "application/json",
                   STR("{\"kind\":\"Status\",\"message\":\"already exists\",\"code\":409}"));
        return;
    }
    api.secret = mem_memdup(body.ptr, body.len);
    http_reply(q, 201, "application/json", body);
}

static void *serve(void *arg)
{
    loop_run(api.loop);
    return NULL;
}

static void stop(void *arg)
{
    loop_stop(api.loop);
}

static void write_kubeconfig(uint16_t port)
{
    FILE *f = fopen(api.kubeconfig, "w");
    assert_non_null(f);
    fprintf(f,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "clusters: [{name: k, cluster: {server: \"http://127.0.0.1:%u\"}}]\n"
            "users: [{name: u, user: {token: t}}]\n"
            "contexts: [{name: c, context: {cluster: k, user: u}}]\n",
            port);
    fclose(f);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_OFF);
    strcpy(api.folder, "/tmp/test_ca.XXXXXX");
    if (!mkdtemp(api.folder)) {
        return -1;
    }
    snprintf(api.kubeconfig, sizeof(api.kubeconfig), "%s/config", api.folder);
    static const struct http_route routes[] = {
        {"GET", COLLECTION "/osm-ca-bundle", on_get},
        {"POST", COLLECTION, on_post},
    };
    api.loop = loop_new();
    struct http_server_options o = {
        .loop = api.loop, .host = "127.0.0.1", .routes = routes, .n_routes = COUNT_OF(routes)};
    if (http_server_start(&o, &api.server, NULL) < 0) {
        return -1;
    }
    write_kubeconfig(http_server_port(api.server));
    api.gets = api.posts = api.failures = 0;
    return pthread_create(&api.thread, NULL, serve, NULL);
}

static int tear_down(void **state)
{
    loop_post(api.loop, stop, NULL);
    pthread_join(api.thread, NULL);
    http_server_free(api.server);
    loop_free(api.loop);
    free(api.secret);
    api.secret = NULL;
    unlink(api.kubeconfig);
    return rmdir(api.folder);
}

/* --- loading --- */

static struct kube_client *new_client(void)
{
    struct kube_config_options o = {.kubeconfig = api.kubeconfig};
    struct kube_config *config = NULL;
    struct err e = ERR_INIT;
    if (kube_config_load(&o, &config, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return kube_client_new(config, NULL);
}

static struct issuer *load_at(int64_t now, struct err *e)
{
    struct kube_client *client = new_client();
    struct issuer *i = NULL;
    ca_load_or_create(client, &flags, now, &i, e);
    kube_client_free(client);
    return i;
}

static struct issuer *load(void)
{
    struct err e = ERR_INIT;
    struct issuer *i = load_at(clock_wall_s(), &e);
    if (!i) {
        fail_msg("%s", e.text);
    }
    return i;
}

static void assert_same_root(const struct issuer *a, const struct issuer *b)
{
    assert_true(str_eq(issuer_id(a), issuer_id(b)));
}

static void the_first_makes_the_secret_and_others_load_it(void **state)
{
    AUTO(issuer_free) struct issuer *first = load();
    assert_int_equal(api.posts, 1);
    AUTO(issuer_free) struct issuer *second = load();
    assert_int_equal(api.posts, 1);
    assert_same_root(first, second);
}

static void the_secret_is_as_others_know_it(void **state)
{
    issuer_free(load());
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct value *v = NULL;
    assert_int_equal(value_read_json(a, str_of(api.secret), &v, NULL), 0);
    assert_true(str_is(value_string_at(v, "kind"), "Secret"));
    assert_true(str_is(value_string_at(v, "type"), "Opaque"));
    assert_true(str_is(value_string_at(v, "metadata.name"), "osm-ca-bundle"));
    assert_true(str_is(value_string_at(v, "metadata.namespace"), "osm-system"));
    const struct value *labels = value_at(v, "metadata.labels");
    assert_true(
        str_is(value_member(labels, "app.kubernetes.io/name")->string, "openservicemesh.io"));
    assert_true(str_is(value_member(labels, "app.kubernetes.io/instance")->string, "osm"));
    assert_true(str_is(value_member(labels, "app.kubernetes.io/version")->string, OSM_VERSION));
    const struct value *data = value_member(v, "data");
    assert_non_null(value_member(data, "ca.crt"));
    assert_non_null(value_member(data, "private.key"));
}

static void *load_thread(void *arg)
{
    *(struct issuer **)arg = load();
    return NULL;
}

static void many_that_start_at_once_share_one_root(void **state)
{
    enum { MANY = 8 };
    pthread_t threads[MANY];
    struct issuer *issuers[MANY] = {0};
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, load_thread, &issuers[i]), 0);
    }
    for (int i = 0; i < MANY; i++) {
        pthread_join(threads[i], NULL);
        assert_same_root(issuers[0], issuers[i]);
    }
    AUTO(issuer_free) struct issuer *later = load();
    assert_same_root(issuers[0], later);
    for (int i = 0; i < MANY; i++) {
        issuer_free(issuers[i]);
    }
}

static void a_server_that_fails_for_a_while_is_asked_again(void **state)
{
    api.failures = 2;
    issuer_free(load());
    assert_int_equal(api.posts, 1);
    assert_true(api.gets >= 3);
}

/* The Secret must stay as it was, whatever is wrong with it. */
static void refuse(int64_t now, const char *words)
{
    AUTO(free) char *before = mem_strdup(api.secret);
    struct err e = ERR_INIT;
    assert_null(load_at(now, &e));
    if (!strstr(e.text, words)) {
        fail_msg("\"%s\" isn't in: %s", words, e.text);
    }
    assert_int_equal(api.posts, 0);
    assert_string_equal(api.secret, before);
}

static void a_broken_secret_is_an_error_and_no_reason_for_a_new_root(void **state)
{
    api.secret = mem_strdup("{\"kind\":\"Secret\",\"data\":{\"ca.crt\":\"AAAA\"}}");
    refuse(clock_wall_s(),
           "Secret osm-system/osm-ca-bundle: data[\"private.key\"]: expected PEM in "
           "base64, found nothing");
}

static void an_expired_root_is_an_error_that_says_what_to_do(void **state)
{
    issuer_free(load());
    api.posts = 0;
    refuse(clock_wall_s() + 11 * YEAR_S,
           "Secret osm-system/osm-ca-bundle: the root certificate has expired: put a new root "
           "there");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_makes_the_secret_and_others_load_it),
        TEST(the_secret_is_as_others_know_it),
        TEST(many_that_start_at_once_share_one_root),
        TEST(a_server_that_fails_for_a_while_is_asked_again),
        TEST(a_broken_secret_is_an_error_and_no_reason_for_a_new_root),
        TEST(an_expired_root_is_an_error_that_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
