/* What the holder of the lease writes: owners, statuses, events; and that nobody else does. */
#include "kube_fixture.h"

#include "base/log.h"
#include "daemon/duties.h"
#include "mesh_fixture.h"

#define UUID "6a3c2c1e-0b7a-4c2f-9d64-0f6a4f3c1b11"
#define SECRET_PATH "/api/v1/namespaces/shop/secrets/envoy-bootstrap-config-" UUID
#define INGRESS_PATH                                                                               \
    "/apis/policy.openservicemesh.io/v1alpha1/namespaces/shop/ingressbackends/web/status"

static const char shop[] =
    "apiVersion: v1\nkind: Namespace\n"
    "metadata: {name: shop, labels: {openservicemesh.io/monitored-by: osm}}\n"
    "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
    "spec: {ports: [{port: 80}]}\n";
static const char pod[] =
    "apiVersion: v1\nkind: Pod\n"
    "metadata: {name: web-1, namespace: shop, uid: pod-uid-1, labels: {app: web, osm-proxy-uuid: "
    "\"" UUID "\"}}\n"
    "spec: {serviceAccountName: web, containers: [{name: web, image: web}]}\n";
static const char ingress[] =
    "apiVersion: policy.openservicemesh.io/v1alpha1\nkind: IngressBackend\n"
    "metadata: {name: web, namespace: shop, uid: ingress-uid}\n"
    "spec:\n  backends: [{name: web, port: {number: 80, protocol: http}}]\n"
    "  sources: [{kind: IPRange, name: 10.0.0.0/8}]\n";
static const char from_gateway[] =
    "apiVersion: policy.openservicemesh.io/v1alpha1\nkind: IngressBackend\n"
    "metadata: {name: web, namespace: shop, uid: ingress-uid}\n"
    "spec:\n  backends: [{name: web, port: {number: 80, protocol: http}}]\n"
    "  sources: [{kind: Service, name: gateway, namespace: shop}]\n";
/* To an account that isn't there. */
static const char target[] =
    "apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\n"
    "metadata: {name: open, namespace: shop, uid: target-uid}\n"
    "spec:\n  destination: {kind: ServiceAccount, name: nobody, namespace: shop}\n"
    "  sources: [{kind: ServiceAccount, name: web, namespace: shop}]\n"
    "  rules: [{kind: TCPRoute, name: any}]\n"
    "---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\n"
    "metadata: {name: any, namespace: shop}\nspec: {}\n";

static struct {
    struct api *api;
    struct kube_events *events;
    struct fixture mesh;
    struct findings found; /* of the source */
    struct duties *duties;
    size_t want_events;
} f;

static bool answer(void *arg, const struct api_request *q, struct reply *ret)
{
    *ret = (struct reply){.status = 404, .body = "{}"};
    if (!api_is(q, "GET", "")) {
        *ret = (struct reply){.status = api_is(q, "POST", "") ? 201 : 200,
                              .owned = mem_strdup(q->body)};
        ret->body = ret->owned;
    }
    return true;
}

static int set_up(void **state)
{
    log_set_level(LOG_OFF);
    memset(&f, 0, sizeof(f));
    f.api = api_new();
    f.api->otherwise = answer;
    f.events = kube_events_new(f.api->client, "osm-controller");
    fixture_init(&f.mesh);
    struct duties_options o = {.loop = f.api->loop,
                               .client = f.api->client,
                               .events = f.events,
                               .store = f.mesh.store,
                               .mesh = f.mesh.mesh,
                               .delay_ms = 1};
    f.duties = duties_new(&o);
    return 0;
}

static int tear_down(void **state)
{
    duties_free(f.duties);
    kube_events_free(f.events);
    fixture_done(&f.mesh);
    findings_done(&f.found);
    api_free(f.api);
    return 0;
}

static bool is_done(void *arg)
{
    return duties_done(f.duties) && api_count_of(f.api, "POST", "/events") >= f.want_events;
}

/* Until all is written and so many events were made in all. */
static void finish(size_t want_events)
{
    f.want_events = want_events;
    assert_true(run_until(f.api->loop, is_done, NULL));
    assert_int_equal(api_count_of(f.api, "POST", "/events"), want_events);
}

static void change(const char *yaml)
{
    if (yaml) {
        fixture_put(&f.mesh, yaml);
    }
    fixture_update(&f.mesh);
    duties_changed(f.duties, &f.mesh.delta, &f.found);
}

static const char *last_body(const char *path)
{
    const char *body = NULL;
    pthread_mutex_lock(&f.api->lock);
    VEC_EACH(f.api->requests, q) {
        body = api_is(q, NULL, path) ? q->body : body;
    }
    pthread_mutex_unlock(&f.api->lock);
    return body ? body : "";
}

static void who_doesnt_hold_the_lease_writes_nothing(void **state)
{
    change(shop);
    change(pod);
    change(ingress);
    finish(0);
    assert_int_equal(api_count_of(f.api, NULL, ""), 0);
}

static void a_bootstrap_secret_gets_its_pod_as_owner(void **state)
{
    duties_hold(f.duties, true);
    change(shop);
    change(pod);
    finish(0);
    assert_int_equal(api_count_of(f.api, "PATCH", SECRET_PATH), 1);
    assert_string_equal(last_body(SECRET_PATH),
                        "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":"
                        "\"Pod\",\"name\":\"web-1\",\"uid\":\"pod-uid-1\"}]}}");
    /* Not for the Secret in the answer, with the sidecar's private key. */
    assert_non_null(
        strstr(api_request(f.api, 0).head, "Accept: application/json;as=PartialObjectMetadata;"));
}

static void who_gets_the_lease_looks_at_what_is_there(void **state)
{
    change(shop);
    change(pod);
    change(ingress);
    duties_hold(f.duties, true);
    finish(0);
    assert_int_equal(api_count_of(f.api, "PATCH", SECRET_PATH), 1);
    assert_int_equal(api_count_of(f.api, "PATCH", INGRESS_PATH), 1);
    duties_hold(f.duties, false);
    change("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: other, namespace: shop}\n");
    finish(0);
    assert_int_equal(api_count_of(f.api, NULL, ""), 2);
}

static void a_status_is_written_when_it_changes_and_not_else(void **state)
{
    duties_hold(f.duties, true);
    change(shop);
    change(ingress);
    finish(0);
    assert_int_equal(api_count_of(f.api, "PATCH", INGRESS_PATH), 1);
    assert_string_equal(last_body(INGRESS_PATH),
                        "{\"status\":{\"currentStatus\":\"committed\",\"reason\":\"successfully "
                        "committed by the system\"}}");
    change(pod);
    finish(0);
    assert_int_equal(api_count_of(f.api, "PATCH", INGRESS_PATH), 1);
    findings_add(&f.found, FINDING_ERROR, NULL, 0, "IngressBackend shop/web",
                 "spec.sources: expected at least one");
    change(NULL);
    finish(1);
    assert_int_equal(api_count_of(f.api, "PATCH", INGRESS_PATH), 2);
    assert_string_equal(last_body(INGRESS_PATH),
                        "{\"status\":{\"currentStatus\":\"error\",\"reason\":\"spec.sources: "
                        "expected at least one\"}}");
}

static void a_status_says_why_it_is_not_in_force(void **state)
{
    duties_hold(f.duties, true);
    change(shop);
    change(from_gateway);
    finish(1);
    assert_non_null(
        strstr(last_body(INGRESS_PATH),
               "\"currentStatus\":\"error\",\"reason\":\"spec.sources[0]: endpoints not "
               "found for service shop/gateway: there is no such service"));
    change("apiVersion: v1\nkind: Service\nmetadata: {name: gateway, namespace: shop}\n"
           "spec: {ports: [{port: 443}]}\n");
    finish(2);
    assert_non_null(strstr(last_body(INGRESS_PATH), "none of its pods is ready"));
    change("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: gateway-1, "
           "namespace: shop, labels: {kubernetes.io/service-name: gateway}}\naddressType: IPv4\n"
           "endpoints: [{addresses: [10.0.0.7]}]\nports: [{port: 443}]\n");
    finish(2);
    assert_non_null(strstr(last_body(INGRESS_PATH), "committed"));
}

static void what_cant_be_as_meant_is_told_once_as_an_event_on_it(void **state)
{
    duties_hold(f.duties, true);
    change(shop);
    change(target);
    finish(1);
    const char *event = last_body("/api/v1/namespaces/shop/events");
    assert_non_null(strstr(event, "\"kind\":\"TrafficTarget\""));
    assert_non_null(strstr(event, "\"apiVersion\":\"access.smi-spec.io/"));
    assert_non_null(strstr(event, "\"name\":\"open\""));
    assert_non_null(strstr(event, "\"uid\":\"target-uid\""));
    assert_non_null(strstr(event, "\"type\":\"Warning\""));
    assert_non_null(strstr(event, "\"reason\":\"NotAsMeant\""));
    change(pod);
    finish(1);
}

static void what_the_source_refused_is_told_though_nobody_has_it(void **state)
{
    duties_hold(f.duties, true);
    findings_add(&f.found, FINDING_ERROR, NULL, 0, "TrafficSplit shop/split",
                 "spec.backends: expected at least one");
    findings_add(&f.found, FINDING_ERROR, NULL, 0, NULL, "about nothing");
    change(shop);
    finish(1);
    const char *event = last_body("/api/v1/namespaces/shop/events");
    assert_non_null(strstr(event, "\"kind\":\"TrafficSplit\""));
    assert_non_null(strstr(event, "\"reason\":\"NotUnderstood\""));
    assert_non_null(strstr(event, "spec.backends: expected at least one"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_doesnt_hold_the_lease_writes_nothing),
        TEST(a_bootstrap_secret_gets_its_pod_as_owner),
        TEST(who_gets_the_lease_looks_at_what_is_there),
        TEST(a_status_is_written_when_it_changes_and_not_else),
        TEST(a_status_says_why_it_is_not_in_force),
        TEST(what_cant_be_as_meant_is_told_once_as_an_event_on_it),
        TEST(what_the_source_refused_is_told_though_nobody_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
