/* What a pod's patch is, whole: probes and hooks of all kinds, native and beside the others, and a
 * second injection. */
#include "inject_fixture.h"

#include <stdio.h>

#include "webhook/json_patch.h"

#define POD(annotations, containers, more)                                                         \
    "apiVersion: v1\nkind: Pod\nmetadata: {namespace: demo, name: web, annotations: {" annotations \
    "}}\nspec: {serviceAccountName: bookstore, containers: [" containers "]" more "}\n"
#define APP(more) "{name: app, image: i, ports: [{name: http, containerPort: 8080}]" more "}"

static struct inject_options options(bool native)
{
    struct inject_options o = options_with(NULL);
    o.probes = true;
    o.native = native;
    return o;
}

static const struct value *bootstrap(struct arena *a, const struct object *pod,
                                     const struct inject_options *o)
{
    static const struct issuer_options io = {.trust_domain = "cluster.local"};
    struct identity id = {STR("demo"), STR("bookstore")};
    struct issuer *issuer = NULL;
    struct cert *cert = NULL;
    struct value *secret = NULL, *document = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(issuer_new(&io, NOW, &issuer, NULL), 0);
    assert_int_equal(issuer_issue_proxy(issuer, STR(UUID), id, NOW, &cert, NULL), 0);
    if (inject_bootstrap_secret(a, pod->raw, (const struct pod *)pod, STR(UUID), cert, o, &secret,
                                &e) < 0) {
        fail_msg("%s", e.text);
    }
    struct str text = value_member(value_member(secret, "stringData"), "bootstrap.yaml")->string;
    assert_int_equal(value_read_yaml(a, text, 1, &document, NULL, NULL), 0);
    cert_unref(cert);
    issuer_free(issuer);
    return value_member(document, "static_resources");
}

/* --- probes --- */

/* A container's probe or hook, what becomes of it, and of which cluster and route it is (NULL: no
 * part of the sidecar). */
static const struct {
    const char *member, *at, *before, *after, *port, *route, *cluster;
} cases[] = {
    {"livenessProbe", "livenessProbe",
     "{httpGet: {path: /live, port: http}, timeoutSeconds: 3, periodSeconds: 7}",
     "{\"httpGet\":{\"path\":\"/osm-liveness-probe/app\",\"port\":15901,\"scheme\":\"HTTP\"},"
     "\"timeoutSeconds\":3,\"periodSeconds\":7}",
     "liveness_listener",
     "{\"match\":{\"path\":\"/osm-liveness-probe/app\"},\"route\":{\"cluster\":"
     "\"app_liveness_cluster\",\"prefix_rewrite\":\"/live\",\"timeout\":\"3s\"},"
     "\"response_headers_to_remove\":[\"location\"]}",
     "app_liveness_cluster"},
    {"readinessProbe", "readinessProbe",
     "{httpGet: {port: 9000, httpHeaders: [{name: Host, value: a.b}]}}",
     "{\"httpGet\":{\"port\":15902,\"httpHeaders\":[{\"name\":\"Host\",\"value\":\"a.b\"}],"
     "\"path\":\"/osm-readiness-probe/app\",\"scheme\":\"HTTP\"}}",
     "readiness_listener",
     "{\"match\":{\"path\":\"/osm-readiness-probe/app\"},\"route\":{\"cluster\":"
     "\"app_readiness_cluster\",\"prefix_rewrite\":\"/\",\"timeout\":\"1s\"},"
     "\"response_headers_to_remove\":[\"location\"]}",
     "app_readiness_cluster"},
    {"startupProbe", "startupProbe",
     "{httpGet: {path: \"a b?x=\\u00e9|1#top\", port: 8443, scheme: HTTPS}}",
     "{\"httpGet\":{\"path\":\"/osm-startup-probe/app\",\"port\":15903,\"scheme\":\"HTTP\"}}",
     "startup_listener",
     "{\"match\":{\"path\":\"/osm-startup-probe/app\"},\"route\":{\"cluster\":"
     "\"app_startup_cluster\",\"prefix_rewrite\":\"/a%20b?x=%C3%A9%7C1\",\"timeout\":\"1s\"},"
     "\"response_headers_to_remove\":[\"location\"]}",
     "app_startup_cluster"},
    {"livenessProbe", "livenessProbe", "{tcpSocket: {port: http}, failureThreshold: 9}",
     "{\"httpGet\":{\"path\":\"/osm-healthcheck\",\"port\":15904,\"scheme\":\"HTTP\","
     "\"httpHeaders\":[{\"name\":\"Original-Tcp-Port\",\"value\":\"8080\"}]},"
     "\"failureThreshold\":9}",
     NULL, NULL, NULL},
    {"readinessProbe", "readinessProbe", "{grpc: {port: 9000, service: books}}",
     "{\"grpc\":{\"port\":15910,\"service\":\"books\"}}", "grpc_probe_listener_15910", NULL,
     "grpc_probe_9000_cluster"},
    {"lifecycle", "lifecycle.preStop", "{preStop: {httpGet: {path: /bye, port: http}}}",
     "{\"httpGet\":{\"path\":\"/osm-prestop-hook/app\",\"port\":15905,\"scheme\":\"HTTP\"}}",
     "ready_listener",
     "{\"match\":{\"path\":\"/osm-prestop-hook/app\"},\"route\":{\"cluster\":"
     "\"app_prestop_cluster\",\"prefix_rewrite\":\"/bye\",\"timeout\":\"0s\"},"
     "\"response_headers_to_remove\":[\"location\"]}",
     "app_prestop_cluster"},
    {"lifecycle", "lifecycle.postStart", "{postStart: {httpGet: {port: 8443, scheme: HTTPS}}}",
     "{\"httpGet\":{\"port\":15905,\"scheme\":\"HTTP\",\"path\":\"/osm-poststart-hook/app\"}}",
     "ready_listener",
     "{\"match\":{\"path\":\"/osm-poststart-hook/app\"},\"route\":{\"cluster\":"
     "\"app_poststart_cluster\",\"prefix_rewrite\":\"/\",\"timeout\":\"0s\"},"
     "\"response_headers_to_remove\":[\"location\"]}",
     "app_poststart_cluster"},
    /* None of the sidecar's affair. */
    {"livenessProbe", "livenessProbe", "{exec: {command: [x]}}", "{\"exec\":{\"command\":[\"x\"]}}",
     NULL, NULL, NULL},
    {"livenessProbe", "livenessProbe", "{httpGet: {port: http, host: 10.0.0.1}}",
     "{\"httpGet\":{\"port\":\"http\",\"host\":\"10.0.0.1\"}}", NULL, NULL, NULL},
    {"livenessProbe", "livenessProbe", "{tcpSocket: {port: 80, host: elsewhere}}",
     "{\"tcpSocket\":{\"port\":80,\"host\":\"elsewhere\"}}", NULL, NULL, NULL},
    {"lifecycle", "lifecycle.preStop", "{preStop: {exec: {command: [x]}}}",
     "{\"exec\":{\"command\":[\"x\"]}}", NULL, NULL, NULL},
    {"lifecycle", "lifecycle.preStop", "{preStop: {httpGet: {port: nobody}}}",
     "{\"httpGet\":{\"port\":\"nobody\"}}", NULL, NULL, NULL},
};

static void each_probe_is_led_through_the_sidecar(void **state)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(8192);
        AUTO(free) char *more = mem_printf(", %s: %s", cases[i].member, cases[i].before);
        AUTO(free) char *text = mem_printf(POD("", APP("%s"), ""), more);
        AUTO(object_unref) struct object *pod = read_one(text);
        struct inject_options o = options(false);
        struct value *out = inject(a, pod, UUID, false, &o);
        const struct value *app = named(value_at(out, "spec.containers"), "app");
        assert_string_equal(json(a, value_at(app, cases[i].at)), cases[i].after);
        const struct value *envoy = bootstrap(a, pod, &o);
        const struct value *listeners = value_member(envoy, "listeners");
        assert_int_equal(value_len(listeners), cases[i].port ? 1 : 0);
        if (cases[i].port) {
            assert_non_null(named(listeners, cases[i].port));
        }
        if (cases[i].route && !strstr(json(a, listeners), cases[i].route)) {
            fail_msg("%s isn't in %s", cases[i].route, json(a, listeners));
        }
        assert_int_equal(value_len(value_member(envoy, "clusters")), cases[i].cluster ? 2 : 1);
        if (cases[i].cluster) {
            const struct value *c = named(value_member(envoy, "clusters"), cases[i].cluster);
            bool tls = strstr(cases[i].before, "HTTPS") != NULL;
            assert_non_null(c);
            assert_int_equal(value_member(c, "transport_socket") != NULL, tls);
        }
        bool tcp = strstr(cases[i].after, "osm-healthcheck") != NULL;
        assert_int_equal(named(value_at(out, "spec.containers"), "osm-healthcheck") != NULL, tcp);
    }
}

/* Many containers, also those that go on running from the beginning. */
static void containers_keep_their_probes_apart(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *pod = read_one(
        POD("",
            "{name: a, image: i, livenessProbe: {httpGet: {port: 1, path: /a}}, readinessProbe: "
            "{grpc: {port: 7}}}, {name: b, image: i, livenessProbe: {httpGet: {port: 2, path: /b}},"
            " readinessProbe: {grpc: {port: 7}}, startupProbe: {grpc: {port: 8}}}",
            ", initContainers: [{name: s, image: i, restartPolicy: Always, livenessProbe: {httpGet:"
            " {port: 3, path: /s}}}, {name: t, image: i}]"));
    struct inject_options o = options(true);
    struct value *out = inject(a, pod, UUID, false, &o);
    const struct value *list = value_at(out, "spec.containers");
    assert_string_equal(json(a, value_at(named(list, "a"), "livenessProbe.httpGet.path")),
                        "\"/osm-liveness-probe/a\"");
    assert_string_equal(json(a, value_at(named(list, "b"), "livenessProbe.httpGet.path")),
                        "\"/osm-liveness-probe/b\"");
    assert_string_equal(json(a, value_at(named(list, "a"), "readinessProbe.grpc.port")), "15910");
    assert_string_equal(json(a, value_at(named(list, "b"), "readinessProbe.grpc.port")), "15910");
    assert_string_equal(json(a, value_at(named(list, "b"), "startupProbe.grpc.port")), "15911");
    const struct value *init = value_at(out, "spec.initContainers");
    assert_string_equal(json(a, value_at(named(init, "s"), "livenessProbe.httpGet.path")),
                        "\"/osm-liveness-probe/s\"");
    const struct value *listeners = value_member(bootstrap(a, pod, &o), "listeners");
    assert_int_equal(value_len(listeners), 4); /* liveness, ready, two of gRPC */
    struct str rules;
    assert_int_equal(inject_redirection(a, (struct pod *)pod, &o, &rules, NULL), 0);
    assert_non_null(strstr(rules.ptr, "\n-A OSM_PROXY_INBOUND -p tcp --dport 15910:15925 -j "
                                      "RETURN\n"));
}

static void more_grpc_ports_than_listeners_are_refused(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(buf_done) struct buf text;
    buf_init(&text, 65536);
    for (int i = 0; i < 17; i++) {
        buf_printf(&text, "%s{name: c%d, image: i, livenessProbe: {grpc: {port: %d}}}",
                   i ? ", " : "", i, 9000 + i);
    }
    AUTO(free) char *all = mem_printf(POD("", "%s", ""), text.data);
    AUTO(object_unref) struct object *pod = read_one(all);
    struct inject_options o = options(true);
    struct value *out = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(inject_pod(a, pod->raw, (struct pod *)pod, STR(UUID), false, &o, &out, &e),
                     -1);
    assert_non_null(strstr(e.text, "Pod demo/web: expected gRPC probes of at most 16 ports"));
}

/* --- native sidecars --- */

static void native_sidecars_come_first_and_others_wait_for_them(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *pod = read_one(POD("", APP(", livenessProbe: {tcpSocket: {port: http}}"),
                                      ", initContainers: [{name: first, image: i}]"));
    struct inject_options o = options(true);
    struct value *out = inject(a, pod, UUID, false, &o);
    static const char *const names[] = {"envoy", "osm-healthcheck", "osm-init", "first"};
    const struct value *init = value_at(out, "spec.initContainers");
    assert_int_equal(value_len(init), COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_true(str_is(value_string_at(&init->array.at[i], "name"), names[i]));
    }
    assert_int_equal(value_len(value_at(out, "spec.containers")), 1);
    assert_string_equal(json(a, value_member(named(init, "osm-init"), "restartPolicy")), "");
    assert_string_equal(json(a, value_member(named(init, "osm-healthcheck"), "restartPolicy")),
                        "\"Always\"");
    const struct value *envoy = named(init, "envoy");
    assert_string_equal(json(a, value_member(envoy, "restartPolicy")), "\"Always\"");
    /* A startup probe would keep the kubelet from starting osm-init, which is what waits. */
    assert_null(value_member(envoy, "startupProbe"));
    assert_string_equal(json(a, value_member(envoy, "readinessProbe")),
                        "{\"httpGet\":{\"path\":\"/ready\",\"port\":15905,\"scheme\":\"HTTP\"},"
                        "\"periodSeconds\":5,\"failureThreshold\":12,\"timeoutSeconds\":5}");
    const struct value *ready =
        named(value_member(bootstrap(a, pod, &o), "listeners"), "ready_listener");
    assert_non_null(strstr(json(a, ready), "{\"match\":{\"path\":\"/ready\"},\"direct_response\":{"
                                           "\"status\":200}}"));
}

static void without_a_probe_of_tcp_osm_init_follows_the_sidecar(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref) struct object *pod = read_one(POD("", APP(""), ""));
    for (int native = 0; native <= 1; native++) {
        struct inject_options o = options(native);
        struct value *out = inject(a, pod, UUID, false, &o);
        const struct value *init = value_at(out, "spec.initContainers");
        assert_int_equal(value_len(init), native ? 2 : 1);
        assert_true(str_is(value_string_at(&init->array.at[native], "name"), "osm-init"));
        struct str script = value_member(named(init, "osm-init"), "command")->array.at[2].string;
        assert_int_equal(memmem(script.ptr, script.len, "127.0.0.1 15905", 15) != NULL, native);
    }
}

/* --- a second injection --- */

static struct object *read_value(struct arena *a, const struct value *v)
{
    return read_one(json(a, v));
}

static void a_second_injection_changes_nothing(void **state)
{
    static const char *const pods[] = {
        POD("", APP(""), ""),
        POD("prometheus.io/scrape: \"true\", prometheus.io/port: \"8080\"", APP(""), ""),
        POD("",
            APP(", livenessProbe: {httpGet: {port: http, path: /x}}, readinessProbe: {tcpSocket: "
                "{port: 8080}}, startupProbe: {grpc: {port: 9000}}, lifecycle: {preStop: {httpGet:"
                " {port: http}}}"),
            ", initContainers: [{name: first, image: i}], volumes: [{name: v, emptyDir: {}}]"),
    };
    for (size_t i = 0; i < COUNT_OF(pods); i++) {
        for (int native = 0; native <= 1; native++) {
            AUTO(arena_free) struct arena *a = arena_new(8192);
            AUTO(object_unref) struct object *pod = read_one(pods[i]);
            struct inject_options o = options(native);
            struct value *once = inject(a, pod, UUID, true, &o);
            AUTO(object_unref) struct object *injected = read_value(a, once);
            struct str uuid = {0};
            assert_true(inject_is_complete(a, injected->raw, (struct pod *)injected, &o, &uuid));
            assert_true(str_is(uuid, UUID));
            assert_false(inject_is_complete(a, pod->raw, (struct pod *)pod, &o, &uuid));
            struct value *again = inject(a, injected, UUID, true, &o);
            assert_string_equal(json(a, json_patch_diff(a, once, again)), "[]");
            assert_string_equal(json(a, bootstrap(a, pod, &o)),
                                json(a, bootstrap(a, injected, &o)));
        }
    }
}

/* Another webhook has put a container in, with probes that must work too. */
static void what_came_in_between_is_injected_too(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *pod = read_one(POD("",
                                      APP(", livenessProbe: {httpGet: {port: http, path: /x}}"
                                          ", readinessProbe: {tcpSocket: {port: 7}}"
                                          ", startupProbe: {tcpSocket: {port: 7}}"),
                                      ""));
    struct inject_options o = options(true);
    struct value *once = inject(a, pod, UUID, false, &o), *late = NULL;
    assert_int_equal(value_read_yaml(a,
                                     STR("{name: late, image: i, livenessProbe: {httpGet: {port: "
                                         "9, path: /y}}, readinessProbe: {tcpSocket: {port: 9}}}"),
                                     1, &late, NULL, NULL),
                     0);
    value_push(
        a, value_ensure(a, value_ensure(a, once, "spec", VALUE_OBJECT), "containers", VALUE_ARRAY),
        late);
    AUTO(object_unref) struct object *changed = read_value(a, once);
    struct str uuid;
    assert_false(inject_is_complete(a, changed->raw, (struct pod *)changed, &o, &uuid));
    struct value *again = inject(a, changed, UUID, false, &o);
    const struct value *containers = value_at(again, "spec.containers");
    assert_string_equal(json(a, value_at(named(containers, "late"), "livenessProbe.httpGet.path")),
                        "\"/osm-liveness-probe/late\"");
    assert_string_equal(json(a, value_at(named(containers, "app"), "livenessProbe.httpGet.path")),
                        "\"/osm-liveness-probe/app\"");
    const struct value *check = named(value_at(again, "spec.initContainers"), "osm-healthcheck");
    assert_non_null(strstr(json(a, value_member(check, "args")), "\"--ports\",\"7,9\""));
    const char *listeners = json(a, value_member(bootstrap(a, changed, &o), "listeners"));
    assert_non_null(strstr(listeners, "\"prefix_rewrite\":\"/x\""));
    assert_non_null(strstr(listeners, "\"prefix_rewrite\":\"/y\""));
}

static void a_pod_whose_first_injection_is_unknown_is_refused(void **state)
{
    static const char *const notes[] = {
        "",
        "x: \"1\"",
        "openservicemesh.io/original-probes: \"[\"",
        "openservicemesh.io/original-probes: \"{}\"",
        "openservicemesh.io/original-probes: '[{\"probe\":\"liveness\",\"container\":\"app\","
        "\"scheme\":\"HTTP\",\"port\":0,\"path\":\"/\",\"timeoutSeconds\":1}]'",
        "openservicemesh.io/original-probes: '[{\"probe\":\"liveness\",\"container\":\"other\","
        "\"scheme\":\"HTTP\",\"port\":80,\"path\":\"/\",\"timeoutSeconds\":1}]'",
        "openservicemesh.io/original-probes: '[{\"probe\":\"liveness\",\"container\":\"$(x)\","
        "\"scheme\":\"HTTP\",\"port\":80,\"path\":\"/\",\"timeoutSeconds\":1}]'",
        "openservicemesh.io/original-probes: '[{\"probe\":\"liveness\",\"container\":\"app\","
        "\"scheme\":\"GRPC\",\"port\":80,\"timeoutSeconds\":1,\"listener\":22}]'",
    };
    for (size_t i = 0; i < COUNT_OF(notes); i++) {
        AUTO(arena_free) struct arena *a = arena_new(8192);
        AUTO(free)
        char *text =
            mem_printf(POD("%s",
                           APP(", livenessProbe: {httpGet: {port: 15901, path: "
                               "/osm-liveness-probe/app}}"),
                           ", volumes: [{name: envoy-bootstrap-config-volume, secret: {secretName: "
                           "envoy-bootstrap-config-x}}]"),
                       notes[i]);
        AUTO(object_unref) struct object *pod = read_one(text);
        struct inject_options o = options(true);
        struct value *out = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(inject_pod(a, pod->raw, (struct pod *)pod, STR(UUID), false, &o, &out, &e),
                         -1);
        if (!strstr(e.text, "Pod demo/web: annotation openservicemesh.io/original-probes: "
                            "expected what its first injection wrote there")) {
            fail_msg("case %zu: %s", i, e.text);
        }
    }
}

/* --- annotations --- */

#define MESH(name) "openservicemesh.io/" name

static void resources_of_a_pod_go_before_the_meshs(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *config = read_one(
        CONFIG("sidecar: {resources: {limits: {cpu: 100m, memory: 1Gi}, requests: {cpu: 10m}}}"));
    AUTO(object_unref)
    struct object *pod = read_one(POD(
        MESH("sidecar-cpu-limit: \"1.5\", ") MESH("sidecar-memory-request: 64Mi"), APP(""), ""));
    AUTO(object_unref) struct object *plain = read_one(POD("", APP(""), ""));
    struct inject_options o = options(false);
    o.config = (struct mesh_config *)config;
    const struct value *envoy =
        named(value_at(inject(a, pod, UUID, false, &o), "spec.containers"), "envoy");
    assert_string_equal(json(a, value_member(envoy, "resources")),
                        "{\"limits\":{\"cpu\":\"1.5\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":"
                        "\"10m\",\"memory\":\"64Mi\"}}");
    /* The mesh's own stay what they were. */
    envoy = named(value_at(inject(a, plain, UUID, false, &o), "spec.containers"), "envoy");
    assert_string_equal(json(a, value_at(envoy, "resources.limits.cpu")), "\"100m\"");
}

static void quantities_are_read_strictly(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } quantities[] = {
        {"1", true},      {"100m", true},   {"0.5", true},
        {".5", true},     {"1.", true},     {"64Mi", true},
        {"1e3", true},    {"1E3", true},    {"1e+3", true},
        {"1e-3", true},   {"1E", true},     {"12Ei", true},
        {"", false},      {".", false},     {"m", false},
        {"-1", false},    {"+1", false},    {"1 ", false},
        {"1mi", false},   {"1KiB", false},  {"1e", false},
        {"1e3m", false},  {"0x10", false},  {"1,5", false},
        {"$(id)", false}, {"1e+", false},   {"1e99", false},
        {"1Mi;", false},  {"1\\n2", false}, {"111111111111111111111111111111111", false},
    };
    for (size_t i = 0; i < COUNT_OF(quantities); i++) {
        AUTO(arena_free) struct arena *a = arena_new(8192);
        AUTO(free)
        char *text =
            mem_printf(POD(MESH("sidecar-memory-limit: \"%s\""), APP(""), ""), quantities[i].text);
        AUTO(object_unref) struct object *pod = read_one(text);
        struct inject_options o = options(false);
        struct value *out = NULL;
        struct err e = ERR_INIT;
        int rv = inject_pod(a, pod->raw, (struct pod *)pod, STR(UUID), false, &o, &out, &e);
        if (rv != (quantities[i].ok ? 0 : -1)) {
            fail_msg("\"%s\": %d %s", quantities[i].text, rv, e.text);
        }
        assert_true(rv == 0 || strstr(e.text, "annotation openservicemesh.io/sidecar-memory-limit: "
                                              "expected a quantity such as 128Mi, found"));
    }
}

static void metrics_of_the_application_are_kept_aside(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *pod =
        read_one(POD("prometheus.io/scrape: \"true\", prometheus.io/port: \"8080\"", APP(""), ""));
    struct inject_options o = options(false);
    assert_string_equal(json(a, value_at(inject(a, pod, UUID, true, &o), "metadata.annotations")),
                        "{\"prometheus.io/scrape\":\"true\",\"prometheus.io/port\":\"15010\","
                        "\"openservicemesh.io/app-prometheus-scrape\":\"true\","
                        "\"openservicemesh.io/app-prometheus-port\":\"8080\","
                        "\"prometheus.io/path\":\"/stats/prometheus\"}");
    assert_string_equal(json(a, value_at(inject(a, pod, UUID, false, &o), "metadata.annotations")),
                        "{\"prometheus.io/scrape\":\"true\",\"prometheus.io/port\":\"8080\"}");
}

static void running_pods_get_and_give_back_their_metrics(void **state)
{
#define OWN "\"prometheus.io/scrape\":\"true\",\"prometheus.io/port\":\"8080\""
#define SIDECARS                                                                                   \
    "\"prometheus.io/scrape\":\"true\",\"prometheus.io/port\":\"15010\","                          \
    "\"prometheus.io/path\":\"/stats/prometheus\""
#define ASIDE "openservicemesh.io/app-prometheus-"
    static const struct {
        const char *annotations;
        bool sidecars;
        const char *want; /* NULL: no patch */
    } patches[] = {
        {"{}", true, "{" SIDECARS "}"},
        {"{" SIDECARS "}", true, "{" SIDECARS "}"},
        {"{" OWN "}", true,
         "{\"" ASIDE "scrape\":\"true\",\"prometheus.io/scrape\":\"true\","
         "\"" ASIDE "port\":\"8080\",\"prometheus.io/port\":\"15010\","
         "\"prometheus.io/path\":\"/stats/prometheus\"}"},
        {"{}", false, NULL},
        {"{" OWN "}", false, NULL},
        {"{" SIDECARS ",\"" ASIDE "scrape\":\"true\",\"" ASIDE "port\":\"8080\"}", false,
         "{\"prometheus.io/scrape\":\"true\",\"" ASIDE "scrape\":null,"
         "\"prometheus.io/port\":\"8080\",\"" ASIDE "port\":null,"
         "\"prometheus.io/path\":null,\"" ASIDE "path\":null}"},
    };
    for (size_t i = 0; i < COUNT_OF(patches); i++) {
        AUTO(arena_free) struct arena *a = arena_new(8192);
        struct value *annotations = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(value_read_json(a, str_of(patches[i].annotations), &annotations, &e), 0);
        const struct value *patch = inject_metrics_patch(a, annotations, patches[i].sidecars);
        if (patches[i].want) {
            assert_string_equal(json(a, patch), patches[i].want);
        } else {
            assert_null(patch);
        }
    }
    AUTO(arena_free) struct arena *a = arena_new(8192);
    assert_string_equal(json(a, inject_metrics_patch(a, NULL, true)), "{" SIDECARS "}");
#undef OWN
#undef SIDECARS
#undef ASIDE
}

/* --- what is said --- */

static void owners_are_warned(void **state)
{
    static const struct {
        const char *containers, *more, *native, *beside;
    } warned[] = {
        {APP(""), "", "", ""},
        {APP(", securityContext: {runAsUser: 1500}"), "",
         "[\"container \\\"app\\\": runs as user 1500, which is the sidecar's: its calls bypass "
         "the "
         "mesh; give it another one\"]",
         NULL},
        {APP(""), ", securityContext: {runAsUser: 1500}",
         "[\"container \\\"app\\\": runs as user 1500, which is the sidecar's: its calls bypass "
         "the "
         "mesh; give it another one\"]",
         NULL},
        {APP(", securityContext: {runAsUser: 1}"), ", securityContext: {runAsUser: 1500}", "", ""},
        {"{name: app, image: i, ports: [{containerPort: 15003}, {containerPort: 80}]}", "",
         "[\"container \\\"app\\\": port 15003 is the sidecar's; give it another one\"]", NULL},
        {APP(", lifecycle: {preStop: {httpGet: {port: 80}}}"), "", "",
         "[\"container \\\"app\\\": lifecycle: the sidecar may not be there for a hook of httpGet, "
         "as it starts and ends with the others; use exec\"]"},
    };
    for (size_t i = 0; i < COUNT_OF(warned); i++) {
        AUTO(arena_free) struct arena *a = arena_new(8192);
        AUTO(free)
        char *text = mem_printf(POD("", "%s", "%s"), warned[i].containers, warned[i].more);
        AUTO(object_unref) struct object *pod = read_one(text);
        struct inject_options native = options(true), beside = options(false);
        assert_string_equal(json(a, inject_warnings(a, pod->raw, (struct pod *)pod, &native)),
                            warned[i].native);
        assert_string_equal(json(a, inject_warnings(a, pod->raw, (struct pod *)pod, &beside)),
                            warned[i].beside ? warned[i].beside : warned[i].native);
    }
}

static void windows_is_found(void **state)
{
    static const struct {
        const char *more;
        bool windows;
    } pods[] = {{"", false},
                {", nodeSelector: {kubernetes.io/os: windows}", true},
                {", nodeSelector: {kubernetes.io/os: linux}", false},
                {", os: {name: windows}", true},
                {", os: {name: linux}", false}};
    for (size_t i = 0; i < COUNT_OF(pods); i++) {
        AUTO(free) char *text = mem_printf(POD("", APP(""), "%s"), pods[i].more);
        AUTO(object_unref) struct object *pod = read_one(text);
        assert_int_equal(inject_is_windows(pod->raw), pods[i].windows);
    }
}

/* --- images and local mode --- */

static void images_and_policies_come_from_the_injector(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *config = read_one(CONFIG("sidecar: {localProxyMode: PodIP}"));
    AUTO(object_unref)
    struct object *pod = read_one(POD("", APP(", livenessProbe: {tcpSocket: {port: 1}}"), ""));
    struct inject_options o = options(false);
    o.config = (struct mesh_config *)config;
    o.envoy_image = "e:1";
    o.init_image = "i:1";
    o.healthcheck_image = "h:1";
    o.pull_policy = "Never";
    struct value *out = inject(a, pod, UUID, false, &o);
    const struct value *envoy = named(value_at(out, "spec.containers"), "envoy");
    const struct value *check = named(value_at(out, "spec.containers"), "osm-healthcheck");
    const struct value *init = named(value_at(out, "spec.initContainers"), "osm-init");
    assert_string_equal(json(a, value_member(envoy, "image")), "\"e:1\"");
    assert_string_equal(json(a, value_member(envoy, "imagePullPolicy")), "\"IfNotPresent\"");
    assert_string_equal(json(a, value_member(init, "image")), "\"i:1\"");
    assert_string_equal(json(a, value_member(init, "imagePullPolicy")), "\"Never\"");
    assert_string_equal(json(a, value_member(check, "image")), "\"h:1\"");
    assert_string_equal(json(a, value_member(check, "command")), "[\"/osm-healthcheck\"]");
    assert_string_equal(json(a, value_member(check, "args")),
                        "[\"--verbosity\",\"info\",\"--ports\",\"1\",\"--address\",\"$(POD_IP)\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_probe_is_led_through_the_sidecar),
        cmocka_unit_test(containers_keep_their_probes_apart),
        cmocka_unit_test(more_grpc_ports_than_listeners_are_refused),
        cmocka_unit_test(native_sidecars_come_first_and_others_wait_for_them),
        cmocka_unit_test(without_a_probe_of_tcp_osm_init_follows_the_sidecar),
        cmocka_unit_test(a_second_injection_changes_nothing),
        cmocka_unit_test(what_came_in_between_is_injected_too),
        cmocka_unit_test(a_pod_whose_first_injection_is_unknown_is_refused),
        cmocka_unit_test(resources_of_a_pod_go_before_the_meshs),
        cmocka_unit_test(quantities_are_read_strictly),
        cmocka_unit_test(metrics_of_the_application_are_kept_aside),
        cmocka_unit_test(running_pods_get_and_give_back_their_metrics),
        cmocka_unit_test(owners_are_warned),
        cmocka_unit_test(windows_is_found),
        cmocka_unit_test(images_and_policies_come_from_the_injector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
