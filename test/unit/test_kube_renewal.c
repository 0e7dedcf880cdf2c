/* Exec plugins on a loop: it goes on while they run, and one run serves all who wait. */
#include "kube_fixture.h"

#include <sys/wait.h>

#include "kube/internal.h"
#include "kube/watch.h"

struct fixture {
    struct api *api;
    struct kube_watch *watch;
    size_t ticks, done, wanted;
    int status;
    struct err error, watch_error;
    bool live;
};

static const char *path(struct fixture *f, const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *p = paths[next++ % COUNT_OF(paths)];
    snprintf(p, sizeof(paths[0]), "%s/%s", f->api->folder, name);
    return p;
}

static bool exists(struct fixture *f, const char *name)
{
    return access(path(f, name), F_OK) == 0;
}

/* The client's plugin is this script, which runs in the folder. */
static void use_plugin(struct fixture *f, const char *script)
{
    AUTO(free)
    char *text =
        mem_printf("#!/bin/sh\ncd '%s' || exit 9\necho run >> runs\n%s\n", f->api->folder, script);
    AUTO(free)
    char *kubeconfig =
        mem_printf("clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%u/'}}]\n"
                   "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, "
                   "command: ./plugin}}}]\n"
                   "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
                   "current-context: x\n",
                   f->api->port);
    api_write_file(path(f, "plugin"), text);
    assert_int_equal(chmod(path(f, "plugin"), 0700), 0);
    api_write_file(f->api->kubeconfig, kubeconfig);
    kube_client_free(f->api->client);
    f->api->client = api_client(f->api, f->api->loop);
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->api = api_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"plugin", "runs", "go"};
    struct fixture *f = *state;
    kube_watch_free(f->watch);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        unlink(path(f, names[i]));
    }
    api_free(f->api);
    free(f);
    return 0;
}

static size_t runs(struct fixture *f)
{
    struct stat st;
    return stat(path(f, "runs"), &st) == 0 ? (size_t)st.st_size / strlen("run\n") : 0;
}

/* No child of ours is left, running or dead. */
static void assert_no_child(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void on_done(void *arg, int status, struct value *v, const struct err *e)
{
    struct fixture *f = arg;
    f->status = status;
    f->error = *e;
    f->done++;
}

static struct kube_call *ask(struct fixture *f, const char *of)
{
    return kube_start(f->api->client, &(struct kube_request){.path = of}, on_done, f);
}

static bool enough_done(void *arg)
{
    struct fixture *f = arg;
    return f->done >= f->wanted;
}

static void await_done(struct fixture *f, size_t n)
{
    f->wanted = n;
    assert_true(run_until(f->api->loop, enough_done, f));
}

static void tick(void *arg)
{
    ((struct fixture *)arg)->ticks++;
}

static bool ticked_while_it_ran(void *arg)
{
    struct fixture *f = arg;
    return f->ticks >= 5 && exists(f, "runs");
}

#define TOKEN                                                                                      \
    "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","       \
    "\"status\":{\"token\":\"t\"}}'"
#define WHEN_TOLD "while [ ! -e go ]; do sleep 0.01; done\n"

static void on_object(void *arg, const struct value *object)
{
}

static void on_state(void *arg, enum kube_watch_state state, const struct err *e)
{
    struct fixture *f = arg;
    f->live = state == KUBE_WATCH_LIVE;
    f->watch_error = *e;
}

static void start_watch(struct fixture *f)
{
    f->watch = kube_watch_start(&(struct kube_watch_options){.client = f->api->client,
                                                             .path = "/api/v1/pods",
                                                             .on_object = on_object,
                                                             .on_state = on_state,
                                                             .arg = f});
}

static bool is_live(void *arg)
{
    return ((struct fixture *)arg)->live;
}

static void the_loop_goes_on_and_all_share_one_run(void **state)
{
    struct fixture *f = *state;
    use_plugin(f, WHEN_TOLD TOKEN);
    for (size_t i = 0; i < 3; i++) {
        api_tell_of(f->api, "/one", (struct reply){.status = 200, .body = "{}"});
        ask(f, "/one");
    }
    api_tell_of(f->api, "/pods",
                (struct reply){.status = 200,
                               .body = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{"
                                       "\"resourceVersion\":\"1\",\"annotations\":{"
                                       "\"k8s.io/initial-events-end\":\"true\"}}}}\n",
                               .after = AFTER_HOLD});
    start_watch(f);
    struct loop_timer *timer = loop_timer_new(f->api->loop, 1, true, tick, f);
    assert_true(run_until(f->api->loop, ticked_while_it_ran, f));
    assert_int_equal(f->done, 0);
    assert_int_equal(api_count(f->api), 0);
    api_write_file(path(f, "go"), "");
    await_done(f, 3);
    assert_int_equal(f->status, 200);
    assert_true(run_until(f->api->loop, is_live, f));
    assert_int_equal(runs(f), 1);
    for (size_t i = 0; i < api_count(f->api); i++) {
        assert_non_null(strstr(api_request(f->api, i).head, "Authorization: Bearer t\r\n"));
    }
    loop_timer_free(timer);
}

static bool watch_is_told(void *arg)
{
    return ((struct fixture *)arg)->watch_error.text[0];
}

static void one_that_hangs_is_stopped(void **state)
{
    struct fixture *f = *state;
    static const char *const scripts[] = {"exec sleep 600", "exec sleep 600 >&-"};
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        use_plugin(f, scripts[i]);
        ((struct kube_config *)(uintptr_t)kube_client_config(f->api->client))->plugin_ms = 100;
        f->done = 0;
        f->watch_error = ERR_INIT;
        ask(f, "/one");
        ask(f, "/two");
        start_watch(f);
        await_done(f, 2);
        assert_true(run_until(f->api->loop, watch_is_told, f));
        assert_int_equal(f->status, -1);
        assert_string_equal(f->error.text, f->watch_error.text);
        assert_non_null(strstr(f->error.text, "credentials of context \"x\": exec: \""));
        assert_non_null(strstr(f->error.text, "/plugin\" didn't end in time and was stopped"));
        kube_watch_free(TAKE(f->watch));
        kube_client_free(TAKE(f->api->client));
        assert_no_child();
    }
    assert_int_equal(api_count(f->api), 0);
}

static void one_that_gives_nothing_is_asked_again(void **state)
{
    struct fixture *f = *state;
    use_plugin(f, "[ -e go ] || exit 3\n" TOKEN);
    ask(f, "/one");
    await_done(f, 1);
    assert_non_null(strstr(f->error.text, "failed with exit code 3; what it printed says why"));
    api_write_file(path(f, "go"), "");
    api_tell(f->api, (struct reply){.status = 200, .body = "{}"});
    ask(f, "/one");
    await_done(f, 2);
    assert_int_equal(f->status, 200);
    assert_int_equal(runs(f), 2);
}

static void one_that_cannot_be_run(void **state)
{
    struct fixture *f = *state;
    use_plugin(f, TOKEN);
    unlink(path(f, "plugin"));
    ask(f, "/one");
    assert_int_equal(f->done, 0);
    await_done(f, 1);
    assert_non_null(strstr(f->error.text, "can't be run: No such file or directory"));
}

static bool runs_again(void *arg)
{
    return runs(arg) == 2;
}

static void who_no_longer_waits_is_not_told(void **state)
{
    struct fixture *f = *state;
    use_plugin(f, WHEN_TOLD TOKEN);
    kube_cancel(ask(f, "/one"));
    api_tell_of(f->api, "/two", (struct reply){.status = 200, .body = "{}"});
    ask(f, "/two");
    api_write_file(path(f, "go"), "");
    await_done(f, 1);
    assert_int_equal(api_count(f->api), 1);
    kube_client_refused(f->api->client);
    unlink(path(f, "go"));
    ask(f, "/three");
    assert_true(run_until(f->api->loop, runs_again, f));
    kube_client_free(TAKE(f->api->client)); /* stops the plugin */
    assert_no_child();
    assert_int_equal(f->done, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_loop_goes_on_and_all_share_one_run), TEST(one_that_hangs_is_stopped),
        TEST(one_that_gives_nothing_is_asked_again),  TEST(one_that_cannot_be_run),
        TEST(who_no_longer_waits_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
