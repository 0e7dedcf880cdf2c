/* Injection at admission: against a small API server, over HTTPS. */
#include "kube_fixture.h"

#include "base/limits.h"
#include "doc/base64.h"
#include "https_client.h"
#include "inject/build.h"
#include "inject/names.h"
#include "webhook/json_patch.h"
#include "webhook/mutate.h"

#define PATH "/mutate-pod-creation"
#define SECRETS "/api/v1/namespaces/demo/secrets"

struct fixture {
    struct api *api;
    struct loop_thread thread;
    struct issuer *issuer;
    struct cert *cert;
    struct mutation *mutation;
    struct webhook_route route;
    struct webhook_server *server;
    struct client c;
    int secret_status;     /* of creations; set before a call */
    const char *namespace; /* what the API server has; NULL: nothing */
    int issued;
    bool full; /* no more Secrets for anybody */
    char caller[64], stored[37];
};

static bool answer(void *arg, const struct api_request *q, struct reply *ret)
{
    struct fixture *f = arg;
    if (api_is(q, "POST", "")) {
        *ret = (struct reply){.status = f->secret_status,
                              .body =
                                  f->secret_status == 201
                                      ? "{\"kind\":\"PartialObjectMetadata\"}"
                                      : "{\"kind\":\"Status\",\"message\":\"the server says no\"}"};
    } else {
        *ret = (struct reply){.status = f->namespace ? 200 : 404,
                              .body = f->namespace ? f->namespace : "{}"};
    }
    return true;
}

#define NAMESPACE(name, labels, annotations)                                                       \
    "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" name                 \
    "\",\"labels\":{" labels "},\"annotations\":{" annotations "}}}"
#define IN_MESH "\"openservicemesh.io/monitored-by\":\"osm\""
#define ENABLED "\"openservicemesh.io/sidecar-injection\":\"enabled\""
#define METRICS "\"openservicemesh.io/metrics\":\"enabled\""

static void take(void *arg, struct object *o)
{
    *(struct object **)arg = o;
}

struct known {
    struct fixture *f;
    const char *namespace;
};

static void know(void *arg)
{
    struct known *k = arg;
    AUTO(findings_done) struct findings found = {0};
    AUTO(object_unref) struct object *ns = NULL;
    objects_read(str_of(k->namespace), NULL, take, &ns, &found);
    mutation_set_namespace(k->f->mutation, (struct namespace *)ns);
}

static void on_issued(void *arg, int64_t us)
{
    ((struct fixture *)arg)->issued++;
}

static bool may_store(void *arg, struct str caller)
{
    struct fixture *f = arg;
    snprintf(f->caller, sizeof(f->caller), "%.*s", STR_ARG(caller));
    return !f->full;
}

static void on_stored(void *arg, struct str caller, struct str namespace, struct str uuid)
{
    struct fixture *f = arg;
    assert_true(str_is(caller, f->caller) && namespace.len > 0);
    snprintf(f->stored, sizeof(f->stored), "%.*s", STR_ARG(uuid));
}

static void start_webhook(struct fixture *f)
{
    struct mutation_options o = {
        .client = f->api->client,
        .issuer = f->issuer,
        .inject = {.mesh_name = "osm",
                   .osm_namespace = "osm-system",
                   .trust_domain = "cluster.local",
                   .ads_host = "osm-controller.osm-system.svc.cluster.local",
                   .ads_port = 15128,
                   .probes = true},
        .on_issued = on_issued,
        .may_store = may_store,
        .on_stored = on_stored,
        .arg = f};
    struct err e = ERR_INIT;
    f->mutation = mutation_new(&o);
    mutation_set_config(f->mutation, mesh_config_default(), true);
    f->route = (struct webhook_route){.path = PATH, .begin = mutate, .arg = f->mutation};
    struct webhook_options wo = {.loop = f->thread.loop,
                                 .host = "127.0.0.1",
                                 .routes = &f->route,
                                 .n_routes = 1,
                                 .cert = f->cert};
    if (webhook_start(&wo, &f->server, &e) < 0) {
        fail_msg("%s", e.text);
    }
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    struct issuer_options io = {.trust_domain = "cluster.local"};
    *state = f;
    f->secret_status = 201;
    f->api = api_new();
    f->api->otherwise = answer;
    f->api->arg = f;
    f->thread.loop = f->api->loop;
    assert_int_equal(issuer_new(&io, clock_wall_s(), &f->issuer, NULL), 0);
    assert_int_equal(issuer_issue_server(f->issuer, STR("osm-injector.osm-system.svc"),
                                         clock_wall_s(), &f->cert, NULL),
                     0);
    start_webhook(f);
    loop_thread_start(&f->thread);
    struct known k = {f, NAMESPACE("demo", IN_MESH, ENABLED)};
    loop_thread_call(&f->thread, know, &k);
    client_open_or_fail(&f->c, webhook_port(f->server));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    client_close(&f->c);
    loop_thread_stop(&f->thread);
    mutation_free(f->mutation);
    webhook_free(f->server);
    cert_unref(f->cert);
    issuer_free(f->issuer);
    api_free(f->api);
    free(f);
    return 0;
}

/* --- calls --- */

#define SPEC(more) "\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"i\"}]" more "}"
#define POD_OF(metadata, spec)                                                                     \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"generateName\":\"web-5d8-\"" metadata \
    "}," spec "}"

static char *review(const char *namespace, const char *pod, const char *more)
{
    return mem_printf("{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\","
                      "\"request\":{\"uid\":\"u\",\"kind\":{\"group\":\"\",\"version\":\"v1\","
                      "\"kind\":\"Pod\"},\"resource\":{\"group\":\"\",\"version\":\"v1\","
                      "\"resource\":\"pods\"},\"operation\":\"CREATE\",\"namespace\":\"%s\","
                      "\"object\":%s%s}}",
                      namespace, pod, more);
}

/* The answer's `response`, in `a`. */
static const struct value *ask(struct fixture *f, struct arena *a, const char *namespace,
                               const char *pod, const char *more)
{
    AUTO(free) char *body = review(namespace, pod, more);
    AUTO(buf_done) struct buf text;
    struct value *v = NULL;
    int status = client_post(&f->c, PATH "?timeout=5s", "application/json", str_of(body), &text);
    assert_int_equal(status, 200);
    assert_int_equal(value_read_json(a, client_body(&text), &v, NULL), 0);
    const struct value *response = value_member(v, "response");
    assert_true(str_is(value_string_at(response, "uid"), "u"));
    return response;
}

static void expect(const struct value *response, bool allowed, int code, const char *says)
{
    struct str message = value_string_at(response, "status.message");
    assert_int_equal(value_bool_at(response, "allowed"), allowed);
    if (!allowed) {
        assert_int_equal(value_at(response, "status.code")->integer, code);
    }
    if (says && (message.len == 0 || !strstr(message.ptr, says))) {
        fail_msg("%s isn't in %.*s", says, STR_ARG(message));
    }
}

/* The pod as the patch makes it; NULL: there is none. */
static struct value *patched(struct arena *a, const struct value *response, const char *pod)
{
    struct str text = value_string_at(response, "patch"), raw;
    struct value *patch, *before, *after = NULL;
    struct err e = ERR_INIT;
    if (text.len == 0) {
        return NULL;
    }
    assert_true(str_is(value_string_at(response, "patchType"), "JSONPatch"));
    assert_true(base64_decode(a, text, &raw));
    assert_int_equal(value_read_json(a, raw, &patch, NULL), 0);
    assert_int_equal(value_read_json(a, str_of(pod), &before, NULL), 0);
    if (json_patch_apply(a, before, patch, &after, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return after;
}

static struct str uuid_of(const struct value *pod)
{
    return value_member(value_at(pod, "metadata.labels"), LABEL_PROXY_UUID)->string;
}

static size_t secrets_made(struct fixture *f)
{
    return api_count_of(f->api, "POST", SECRETS);
}

static void a_pod_is_admitted_with_its_sidecar_and_secret(void **state)
{
    struct fixture *f = *state;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const char *pod = POD_OF(",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":"
                             "\"ReplicaSet\",\"name\":\"web-5d8\",\"uid\":\"r\",\"controller\":"
                             "true,\"blockOwnerDeletion\":true}]",
                             SPEC(""));
    const struct value *response = ask(f, a, "demo", pod, "");
    expect(response, true, 0, NULL);
    struct value *after = patched(a, response, pod), *secret = NULL;
    assert_non_null(after);
    assert_int_equal(value_len(value_at(after, "spec.initContainers")), 2);
    assert_null(value_at(after, "metadata.name")); /* the API server's affair */
    assert_null(value_at(after, "metadata.namespace"));
    assert_null(value_at(after, "metadata.annotations"));
    assert_int_equal(secrets_made(f), 1);
    assert_int_equal(f->issued, 1);
    assert_int_equal(value_read_json(a, str_of(api_request(f->api, 0).body), &secret, NULL), 0);
    struct str name = value_string_at(secret, "metadata.name");
    assert_true(str_starts(name, BOOTSTRAP_SECRET_PREFIX));
    assert_true(str_ends(name, arena_str(a, uuid_of(after)).ptr));
    assert_true(str_is(value_string_at(secret, "metadata.namespace"), "demo"));
    const struct value *owner = &value_at(secret, "metadata.ownerReferences")->array.at[0];
    assert_true(str_is(value_string_at(owner, "uid"), "r"));
    assert_null(value_member(owner, "controller"));
    assert_null(value_member(owner, "blockOwnerDeletion"));
}

static void a_dry_run_writes_nothing(void **state)
{
    struct fixture *f = *state;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const char *pod = POD_OF("", SPEC(""));
    const struct value *response = ask(f, a, "demo", pod, ",\"dryRun\":true");
    expect(response, true, 0, NULL);
    assert_non_null(patched(a, response, pod));
    assert_int_equal(api_count(f->api), 0);
    assert_int_equal(f->issued, 0);
}

/* Who asks for pods that never come must come to an end somewhere. */
static void a_caller_who_has_had_enough_is_refused(void **state)
{
    struct fixture *f = *state;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const char *pod = POD_OF("", SPEC(""));
    expect(ask(f, a, "demo", pod, ""), true, 0, NULL);
    assert_string_equal(f->caller, "127.0.0.1");
    assert_int_equal(strlen(f->stored), 36);
    f->full = true;
    const struct value *response = ask(f, a, "demo", pod, "");
    expect(response, false, 429, "too many pods that were asked for from the same address");
    assert_true(str_is(value_string_at(response, "status.reason"), "TooManyRequests"));
    assert_null(value_member(response, "patch"));
    assert_int_equal(secrets_made(f), 1);
    expect(ask(f, a, "demo", pod, ",\"dryRun\":true"), true, 0, NULL);
}

/* The API server shows a pod again when others have changed it after us. */
static void a_second_call_for_a_pod_makes_no_second_secret(void **state)
{
    struct fixture *f = *state;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const char *pod = POD_OF("", SPEC(""));
    struct value *after = patched(a, ask(f, a, "demo", pod, ""), pod);
    AUTO(buf_done) struct buf text;
    buf_init(&text, LIMIT_JSON_BYTES);
    value_write_json(after, &text);
    const struct value *again = ask(f, a, "demo", text.data, "");
    expect(again, true, 0, NULL);
    assert_null(patched(a, again, text.data));
    assert_int_equal(secrets_made(f), 1);
    /* Once more can't be the same creation: somebody made a pod from a pod. */
    const struct value *copy = ask(f, a, "demo", text.data, "");
    struct value *other = patched(a, copy, text.data);
    assert_non_null(other);
    assert_false(str_eq(uuid_of(other), uuid_of(after)));
    assert_int_equal(secrets_made(f), 2);
}

static void without_a_secret_no_pod(void **state)
{
    static const struct {
        int status, code;
    } cases[] = {{403, 403}, {404, 403}, {409, 403}, {422, 500}, {500, 500}};
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        f->secret_status = cases[i].status;
        const char *pod = POD_OF("", SPEC(""));
        const struct value *response = ask(f, a, "demo", pod, "");
        expect(response, false, cases[i].code, "the sidecar's bootstrap could not be stored: ");
        expect(response, false, cases[i].code, "the server says no");
        assert_null(patched(a, response, pod));
    }
}

static void namespaces_that_are_not_known_are_asked_for(void **state)
{
    static const struct {
        const char *namespace;
        bool allowed, injected;
    } cases[] = {
        {NAMESPACE("other", IN_MESH, ENABLED), true, true},
        {NAMESPACE("other", IN_MESH, ""), true, false},
        {NAMESPACE("other", "", ENABLED), true, false},
        {NULL, false, false},
        {"{\"kind\":\"Namespace\"}", false, false},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        f->namespace = cases[i].namespace;
        const char *pod = POD_OF("", SPEC(""));
        const struct value *response = ask(f, a, "other", pod, "");
        expect(response, cases[i].allowed, 500, NULL);
        assert_int_equal(patched(a, response, pod) != NULL, cases[i].injected);
        assert_int_equal(api_count_of(f->api, "GET", "/api/v1/namespaces/other"), i + 1);
    }
}

static void what_is_not_to_be_injected_passes(void **state)
{
    static const struct {
        const char *pod, *warning;
    } cases[] = {
        {POD_OF(",\"annotations\":{\"openservicemesh.io/sidecar-injection\":\"no\"}", SPEC("")),
         ""},
        {POD_OF("", SPEC(",\"hostNetwork\":true")), "the pod uses its node's network"},
        {POD_OF(",\"annotations\":{\"openservicemesh.io/sidecar-injection\":\"no\"}",
                SPEC(",\"hostNetwork\":true")),
         ""},
        {POD_OF(",\"annotations\":{\"openservicemesh.io/sidecar-injection\":\"no\","
                "\"openservicemesh.io/outbound-port-exclusion-list\":\"80\"}",
                SPEC("")),
         "annotation openservicemesh.io/outbound-port-exclusion-list has no effect, as the pod "
         "gets no sidecar: the pod's annotation openservicemesh.io/sidecar-injection says so"},
        {POD_OF("", SPEC(",\"nodeSelector\":{\"kubernetes.io/os\":\"windows\"}")),
         "the pod is for Windows"},
        {POD_OF("", SPEC(",\"os\":{\"name\":\"windows\"}")), "the pod is for Windows"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        const struct value *response = ask(f, a, "demo", cases[i].pod, "");
        const struct value *warnings = value_member(response, "warnings");
        expect(response, true, 0, NULL);
        assert_null(patched(a, response, cases[i].pod));
        assert_int_equal(value_len(warnings), cases[i].warning[0] ? 1 : 0);
        assert_true(value_len(warnings) == 0 ||
                    strstr(warnings->array.at[0].string.ptr, cases[i].warning));
    }
    assert_int_equal(api_count(f->api), 0);
}

static void misspelt_names_are_warned_of(void **state)
{
    struct fixture *f = *state;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    struct known k = {
        f, NAMESPACE("demo", IN_MESH ",\"openservicemesh.io/metrics\":\"enabled\"", ENABLED)};
    loop_thread_call(&f->thread, know, &k);
    const char *pod = POD_OF(",\"annotations\":{\"openservicemesh.io/sidecar-cpu-limits\":\"1\","
                             "\"openservicemesh.io/about\":\"x\",\"example.com/any\":\"y\"},"
                             "\"labels\":{\"openservicemesh.io/sidecar-injection\":\"no\"}",
                             SPEC(""));
    const char *const want[] = {
        "Pod demo/web-5d8: annotation openservicemesh.io/about isn't known and has no effect",
        "Pod demo/web-5d8: annotation openservicemesh.io/sidecar-cpu-limits isn't known and has no "
        "effect; did you mean \"openservicemesh.io/sidecar-cpu-limit\"?",
        "Pod demo/web-5d8: label openservicemesh.io/sidecar-injection is an annotation and has no "
        "effect as a label here",
        "Namespace demo: label openservicemesh.io/metrics is an annotation of namespaces and has "
        "no "
        "effect as a label here"};
    const struct value *response = ask(f, a, "demo", pod, "");
    const struct value *warnings = value_member(response, "warnings");
    expect(response, true, 0, NULL);
    assert_non_null(patched(a, response, pod));
    assert_int_equal(value_len(warnings), COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        assert_string_equal(warnings->array.at[i].string.ptr, want[i]);
    }
}

static void a_copied_uuid_goes_from_a_pod_without_sidecar(void **state)
{
#define COPIED ",\"labels\":{\"app\":\"web\",\"osm-proxy-uuid\":\"of-another\"}"
    static const struct {
        const char *pod;
        size_t warnings;
    } cases[] = {
        {POD_OF(",\"annotations\":{\"openservicemesh.io/sidecar-injection\":\"no\"}" COPIED,
                SPEC("")),
         1},
        {POD_OF(COPIED, SPEC(",\"nodeSelector\":{\"kubernetes.io/os\":\"windows\"}")), 2},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        const struct value *response = ask(f, a, "demo", cases[i].pod, "");
        const struct value *warnings = value_member(response, "warnings");
        struct value *after = patched(a, response, cases[i].pod);
        expect(response, true, 0, NULL);
        assert_non_null(after);
        const struct value *labels = value_at(after, "metadata.labels");
        assert_int_equal(labels->object.len, 1);
        assert_true(str_is(value_string_at(labels, "app"), "web"));
        assert_int_equal(value_len(warnings), cases[i].warnings);
        assert_non_null(strstr(warnings->array.at[cases[i].warnings - 1].string.ptr,
                               "label osm-proxy-uuid was removed"));
    }
    assert_int_equal(secrets_made(f), 0);
#undef COPIED
}

static void bad_pods_are_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *pod, *says;
    } cases[] = {
        {POD_OF(",\"annotations\":{\"openservicemesh.io/sidecar-injection\":\"maybe\"}", SPEC("")),
         "Pod demo/web-5d8: annotation openservicemesh.io/sidecar-injection: expected enabled, "
         "yes"},
        {POD_OF(",\"annotations\":{\"openservicemesh.io/outbound-port-exclusion-list\":\"80;id\"}",
                SPEC("")),
         "Pod demo/web-5d8: annotation openservicemesh.io/outbound-port-exclusion-list: expected"},
        {POD_OF("", "\"spec\":{\"containers\":[{\"name\":\"envoy\",\"image\":\"i\"}]}"),
         "container \"envoy\": expected another name"},
        {POD_OF("", "\"spec\":{}"), "spec.containers"},
        {POD_OF("", "\"spec\":7"), "spec"},
        {"{}", "kind"},
        {"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\"}}",
         "kind: expected \"Pod\", found \"Secret\""},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        expect(ask(f, a, "demo", cases[i].pod, ""), false, 422, cases[i].says);
    }
    assert_int_equal(api_count(f->api), 0);
}

static void other_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const char *pod = POD_OF("", SPEC(""));
    expect(ask(f, a, "demo", pod, ",\"subResource\":\"ephemeralcontainers\""), false, 400,
           "expected the creation of a Pod");
}

static void metrics_and_warnings_of_the_namespace(void **state)
{
    struct fixture *f = *state;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    struct known k = {f, NAMESPACE("demo", IN_MESH, ENABLED "," METRICS)};
    loop_thread_call(&f->thread, know, &k);
    const char *pod = POD_OF("", SPEC(",\"securityContext\":{\"runAsUser\":1500}"));
    const struct value *response = ask(f, a, "demo", pod, "");
    struct value *after = patched(a, response, pod);
    const struct value *port =
        value_member(value_at(after, "metadata.annotations"), ANNOTATION_SCRAPE_PORT);
    assert_true(port && str_is(port->string, "15010"));
    assert_non_null(
        strstr(value_member(response, "warnings")->array.at[0].string.ptr, "user 1500"));
}

struct caller {
    struct fixture *f;
    pthread_t thread;
    int ok;
};

static void *call_many(void *arg)
{
    struct caller *c = arg;
    struct client client;
    AUTO(free) char *body = review("demo", POD_OF("", SPEC("")), "");
    if (!client_open(&client, webhook_port(c->f->server), 0)) {
        return NULL;
    }
    for (int i = 0; i < 20; i++) {
        AUTO(buf_done) struct buf text;
        c->ok += client_post(&client, PATH, "application/json", str_of(body), &text) == 200 &&
                 strstr(text.data, "\"allowed\":true,\"patchType\"") != NULL;
    }
    client_close(&client);
    return NULL;
}

static void many_reviews_are_under_way_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct caller callers[8];
    for (size_t i = 0; i < COUNT_OF(callers); i++) {
        callers[i] = (struct caller){.f = f};
        pthread_create(&callers[i].thread, NULL, call_many, &callers[i]);
    }
    for (size_t i = 0; i < COUNT_OF(callers); i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].ok, 20);
    }
    assert_int_equal(secrets_made(f), 160);
}

static void free_mutation(void *arg)
{
    struct fixture *f = arg;
    if (mutation_waiting(f->mutation) > 0) {
        mutation_free(f->mutation);
        f->mutation = NULL;
    }
}

static void *ask_once(void *arg)
{
    struct caller *c = arg;
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const struct value *response = ask(c->f, a, "demo", POD_OF("", SPEC("")), "");
    expect(response, false, 503, "osm-injector is ending");
    return NULL;
}

/* The API server is silent while we end. */
static void reviews_that_wait_are_refused_at_the_end(void **state)
{
    struct fixture *f = *state;
    struct caller c = {.f = f};
    pthread_mutex_lock(&f->api->lock);
    pthread_create(&c.thread, NULL, ask_once, &c);
    while (f->mutation) {
        usleep(1000);
        loop_thread_call(&f->thread, free_mutation, f);
    }
    pthread_join(c.thread, NULL);
    pthread_mutex_unlock(&f->api->lock);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pod_is_admitted_with_its_sidecar_and_secret),
        TEST(a_dry_run_writes_nothing),
        TEST(a_caller_who_has_had_enough_is_refused),
        TEST(a_second_call_for_a_pod_makes_no_second_secret),
        TEST(without_a_secret_no_pod),
        TEST(namespaces_that_are_not_known_are_asked_for),
        TEST(what_is_not_to_be_injected_passes),
        TEST(misspelt_names_are_warned_of),
        TEST(a_copied_uuid_goes_from_a_pod_without_sidecar),
        TEST(bad_pods_are_refused_with_a_sentence),
        TEST(other_requests_are_refused),
        TEST(metrics_and_warnings_of_the_namespace),
        TEST(many_reviews_are_under_way_at_a_time),
        TEST(reviews_that_wait_are_refused_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
