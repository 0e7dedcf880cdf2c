/* Objects that stay as they were made, against a small API server that has one object. Server and
 * client share one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kube/keep.h"
#include "net/http_server.h"
#include "run_until.h"

#define COLLECTION "/apis/things.example.com/v1/things"

static struct {
    char folder[32], kubeconfig[48];
    struct loop *loop;
    struct http_server *server;
    struct kube_client *client;
    char *spec;                 /* of the one object, NULL: there is none */
    bool foreign;               /* its spec is owned by somebody else */
    int version;                /* resourceVersion of the collection */
    int patches, fails;         /* fails: so many PATCHes are answered with 503 */
    struct http_request *watch; /* that waits for an event */
    char *event;                /* for the next watch */
    struct http_request *list;  /* a list that isn't answered yet */
    bool hold_list;
    struct http_request *held; /* a PATCH that isn't answered yet */
    bool hold;
    int told[KUBE_KEEP_DELETED + 1], failed[KUBE_KEEP_DELETED + 1];
    char why[2048];
} api;

static char *object_text(void)
{
    return mem_printf("{\"apiVersion\":\"things.example.com/v1\",\"kind\":\"Thing\",\"metadata\":{"
                      "\"name\":\"one\",\"resourceVersion\":\"%d\",\"managedFields\":[{\"manager\":"
                      "\"osm\",\"operation\":\"Apply\",\"fieldsV1\":{%s}}]},\"spec\":%s}",
                      api.version, api.foreign ? "" : "\"f:spec\":{}", api.spec);
}

static void send_event(void)
{
    if (api.watch && api.event) {
        http_reply(api.watch, 200, "application/json", str_of(api.event));
        free(api.event);
        api.watch = NULL;
        api.event = NULL;
    }
}

static void tell_event(const char *type)
{
    char *object = object_text();
    free(api.event);
    api.event = mem_printf("{\"type\":\"%s\",\"object\":%s}\n", type, object);
    free(object);
    send_event();
}

static void answer_list(struct http_request *q)
{
    char *object = api.spec ? object_text() : mem_strdup("");
    char *list = mem_printf("{\"kind\":\"ThingList\",\"metadata\":{\"resourceVersion\":\"%d\"},"
                            "\"items\":[%s]}",
                            api.version, object);
    http_reply(q, 200, "application/json", str_of(list));
    free(list);
    free(object);
}

static void on_get(void *arg, struct http_request *q)
{
    if (http_request_query(q, "sendInitialEvents").len) {
        http_reply(q, 400, "application/json", STR("{\"message\":\"no streaming lists here\"}"));
    } else if (http_request_query(q, "watch").len) {
        if (api.watch) {
            http_reply(api.watch, 200, "application/json", STR(""));
        }
        api.watch = q;
        send_event();
    } else if (api.hold_list) {
        api.list = q;
    } else {
        answer_list(q);
    }
}

static void answer_patch(struct http_request *q)
{
    struct arena *a = arena_new(1024);
    struct value *v;
    struct buf spec;
    buf_init(&spec, 4096);
    assert_int_equal(value_read_json(a, http_request_body(q), &v, NULL), 0);
    value_write_json(value_member(v, "spec"), &spec);
    bool is_new = !api.spec, same = !is_new && !api.foreign && str_is(buf_str(&spec), api.spec);
    free(api.spec);
    buf_addc(&spec, '\0');
    api.spec = mem_strdup(spec.data);
    api.foreign = false;
    api.version += !same;
    char *object = object_text();
    http_reply(q, is_new ? 201 : 200, "application/json", str_of(object));
    free(object);
    if (!same) {
        tell_event(is_new ? "ADDED" : "MODIFIED");
    }
    buf_done(&spec);
    arena_free(a);
}

static void on_patch(void *arg, struct http_request *q)
{
    api.patches++;
    assert_true(str_is(http_request_query(q, "fieldManager"), "osm"));
    assert_true(str_is(http_request_query(q, "force"), "true"));
    if (api.fails > 0) {
        api.fails--;
        http_reply(q, 503, "application/json",
                   STR("{\"kind\":\"Status\",\"message\":\"etcd is resting\",\"code\":503}"));
    } else if (api.hold) {
        api.held = q;
    } else {
        answer_patch(q);
    }
}

static void on_event(void *arg, enum kube_keep_event event, struct str name,
                     const struct err *failed)
{
    assert_true(str_is(name, "one"));
    if (failed) {
        api.failed[event]++;
        snprintf(api.why, sizeof(api.why), "%s", failed->text);
    } else {
        api.told[event]++;
    }
}

/* --- driving --- */

static void until(bool (*condition)(void *arg))
{
    assert_true(run_until(api.loop, condition, NULL));
}

static bool is_applied(void *arg)
{
    return api.told[KUBE_KEEP_APPLIED] == 1 && api.watch && !api.event;
}
static bool is_updated(void *arg)
{
    return api.told[KUBE_KEEP_UPDATED] == 1;
}
static bool is_made_again(void *arg)
{
    return api.told[KUBE_KEEP_DELETED] == 1;
}
static bool is_applied_twice(void *arg)
{
    return api.told[KUBE_KEEP_APPLIED] == 2;
}
static bool is_held(void *arg)
{
    return api.held != NULL;
}
static bool has_seen_event(void *arg)
{
    return api.watch && !api.event;
}

static const struct value *thing(struct arena *a, const char *spec)
{
    struct value *v;
    char *text = mem_printf("{\"apiVersion\":\"things.example.com/v1\",\"kind\":\"Thing\","
                            "\"metadata\":{\"name\":\"one\"},\"spec\":%s}",
                            spec);
    assert_int_equal(value_read_json(a, str_of(text), &v, NULL), 0);
    free(text);
    return v;
}

static void set(struct kube_keep *k, const char *spec)
{
    struct arena *a = arena_new(1024);
    kube_keep_set(k, thing(a, spec));
    arena_free(a);
}

static struct kube_keep *start(bool watch)
{
    struct kube_keep_options o = {.client = api.client,
                                  .group_version = "things.example.com/v1",
                                  .plural = "things",
                                  .watch = watch,
                                  .retry_ms = 10,
                                  .on_event = on_event};
    return kube_keep_start(&o);
}

static int set_up(void **state)
{
    static const struct http_route routes[] = {
        {"GET", COLLECTION, on_get},
        {"PATCH", COLLECTION "/one", on_patch},
    };
    signal(SIGPIPE, SIG_IGN);
    memset(&api, 0, sizeof(api));
    strcpy(api.folder, "/tmp/test_keep.XXXXXX");
    if (!mkdtemp(api.folder)) {
        return -1;
    }
    snprintf(api.kubeconfig, sizeof(api.kubeconfig), "%s/config", api.folder);
    api.loop = loop_new();
    struct http_server_options o = {
        .loop = api.loop, .host = "127.0.0.1", .routes = routes, .n_routes = COUNT_OF(routes)};
    if (http_server_start(&o, &api.server, NULL) < 0) {
        return -1;
    }
    FILE *f = fopen(api.kubeconfig, "w");
    fprintf(f,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "clusters: [{name: k, cluster: {server: \"http://127.0.0.1:%u\"}}]\n"
            "users: [{name: u, user: {token: t}}]\n"
            "contexts: [{name: c, context: {cluster: k, user: u}}]\n",
            http_server_port(api.server));
    fclose(f);
    struct kube_config *config;
    struct kube_config_options c = {.kubeconfig = api.kubeconfig};
    if (kube_config_load(&c, &config, NULL) < 0) {
        return -1;
    }
    api.client = kube_client_new(config, api.loop);
    return 0;
}

static int tear_down(void **state)
{
    kube_client_free(api.client);
    if (api.watch) {
        http_reply(api.watch, 200, "application/json", STR(""));
    }
    http_server_free(api.server);
    loop_free(api.loop);
    free(api.spec);
    free(api.event);
    unlink(api.kubeconfig);
    return rmdir(api.folder);
}

/* --- tests --- */

static void made_and_left_alone(void **state)
{
    struct kube_keep *k = start(true);
    assert_true(kube_keep_settled(k));
    set(k, "{\"a\":1}");
    assert_false(kube_keep_settled(k));
    until(is_applied);
    assert_true(kube_keep_settled(k));
    assert_string_equal(api.spec, "{\"a\":1}");
    /* Somebody adds a field of his own: ours are as they were. */
    api.version++;
    tell_event("MODIFIED");
    until(has_seen_event);
    assert_int_equal(api.patches, 1);
    assert_int_equal(api.told[KUBE_KEEP_UPDATED], 0);
    kube_keep_free(k);
}

static void put_back(void **state)
{
    struct kube_keep *k = start(true);
    set(k, "{\"a\":1}");
    until(is_applied);
    free(api.spec);
    api.spec = mem_strdup("{\"a\":2}");
    api.foreign = true;
    api.version++;
    tell_event("MODIFIED");
    until(is_updated);
    assert_string_equal(api.spec, "{\"a\":1}");
    assert_int_equal(api.told[KUBE_KEEP_APPLIED], 1);
    kube_keep_free(k);
}

static void made_again(void **state)
{
    struct kube_keep *k = start(true);
    set(k, "{\"a\":1}");
    until(is_applied);
    api.version++;
    tell_event("DELETED");
    free(api.spec);
    api.spec = NULL;
    api.fails = 2;
    until(is_made_again);
    assert_int_equal(api.failed[KUBE_KEEP_DELETED], 2);
    assert_string_equal(api.spec, "{\"a\":1}");
    kube_keep_free(k);
}

static void tried_until_it_succeeds(void **state)
{
    api.fails = 3;
    struct kube_keep *k = start(true);
    set(k, "{\"a\":1}");
    until(is_applied);
    assert_int_equal(api.failed[KUBE_KEEP_APPLIED], 3);
    assert_non_null(strstr(api.why, "etcd is resting"));
    assert_int_equal(api.patches, 4);
    kube_keep_free(k);
}

static bool has_two(void *arg)
{
    return api.spec && strcmp(api.spec, "{\"a\":2}") == 0;
}

static void set_anew(void **state)
{
    struct kube_keep *k = start(true);
    set(k, "{\"a\":1}");
    until(is_applied);
    set(k, "{\"a\":2}");
    until(is_applied_twice);
    until(has_two);
    kube_keep_free(k);
}

/* What others did while ours was under way is looked at when it is done. */
static void changed_meanwhile(void **state)
{
    struct kube_keep *k = start(true);
    set(k, "{\"a\":1}");
    until(is_applied);
    api.hold = true;
    set(k, "{\"a\":2}");
    until(is_held);
    struct http_request *held = api.held;
    api.hold = false;
    answer_patch(held);
    /* Before the client has read that answer it may hear of a change that came after it. */
    free(api.spec);
    api.spec = mem_strdup("{\"a\":3}");
    api.foreign = true;
    api.version++;
    tell_event("MODIFIED");
    until(has_two);
    kube_keep_free(k);
}

static bool is_applied_unwatched(void *arg)
{
    return api.told[KUBE_KEEP_APPLIED] == 1;
}

static void only_made_when_not_asked_to_keep(void **state)
{
    struct kube_keep *k = start(false);
    set(k, "{\"a\":1}");
    until(is_applied_unwatched);
    assert_null(api.watch);
    assert_true(kube_keep_settled(k));
    kube_keep_free(k);
}

static bool is_asked_for_list(void *arg)
{
    return api.list && api.told[KUBE_KEEP_APPLIED] == 1;
}

/* No event tells of it. */
static void deleted_before_the_watch_began(void **state)
{
    api.hold_list = true;
    struct kube_keep *k = start(true);
    set(k, "{\"a\":1}");
    until(is_asked_for_list);
    free(api.spec);
    api.spec = NULL;
    api.version++;
    free(api.event);
    api.event = NULL;
    answer_list(api.list);
    until(is_made_again);
    assert_string_equal(api.spec, "{\"a\":1}");
    kube_keep_free(k);
}

/* Set anew while the former is under way: only the last counts, and is told once. */
static void the_last_counts(void **state)
{
    struct kube_keep *k = start(false);
    set(k, "{\"a\":1}");
    set(k, "{\"a\":2}");
    until(is_applied_unwatched);
    assert_string_equal(api.spec, "{\"a\":2}");
    kube_keep_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_and_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(put_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tried_until_it_succeeds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(set_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_made_when_not_asked_to_keep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deleted_before_the_watch_began, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
