/* Which pods get a sidecar, what is added to them, and the rules that redirect their traffic. */
#include "inject_fixture.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UUID_2 "5e1b3c60-2a6a-4f1e-9d3f-3a1f7f6e0002"

#define POD(metadata, spec)                                                                        \
    "apiVersion: v1\nkind: Pod\nmetadata: {namespace: demo, name: web, " metadata                  \
    "}\nspec: {serviceAccountName: bookstore, containers: [{name: app, image: i, ports: "          \
    "[{containerPort: 80}]}], " spec "}\n"
#define ANNOTATED(text) POD("annotations: {openservicemesh.io/" text "}", "")
#define NAMESPACE(name, labels, annotations)                                                       \
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: " name ", labels: {" labels                 \
    "}, annotations: {" annotations "}}\n"
#define MONITORED "openservicemesh.io/monitored-by: osm"
#define INJECTION(value) "openservicemesh.io/sidecar-injection: " value

#define RESTRICTED(user)                                                                           \
    "{\"runAsUser\":" user ",\"runAsNonRoot\":true,\"allowPrivilegeEscalation\":false,"            \
    "\"readOnlyRootFilesystem\":true,\"capabilities\":{\"drop\":[\"ALL\"]},"                       \
    "\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}"

/* --- documents --- */

static void expect(struct arena *a, const struct value *v, const char *path, const char *want)
{
    const char *got = json(a, value_at(v, path));
    if (strcmp(got, want) != 0) {
        fail_msg("%s: want %s, got %s", path, want, got);
    }
}

/* --- who is injected --- */

static void the_decision_follows_namespace_and_annotations(void **state)
{
    static const struct {
        const char *pod, *namespace;
        int want;
    } cases[] = {
        {POD("", ""), NAMESPACE("demo", MONITORED, INJECTION("enabled")), 1},
        {POD("", ""), NAMESPACE("demo", MONITORED, INJECTION("\"YES\"")), 1},
        {POD("", ""), NAMESPACE("demo", MONITORED, INJECTION("\"true\"")), 1},
        {POD("", ""), NAMESPACE("demo", MONITORED, ""), 0},
        {POD("", ""), NAMESPACE("demo", MONITORED, INJECTION("disabled")), 0},
        {POD("", ""), NAMESPACE("demo", "", INJECTION("enabled")), 0},
        {POD("", ""), NULL, 0},
        {POD("", ""),
         NAMESPACE("demo", "openservicemesh.io/monitored-by: other", INJECTION("enabled")), 0},
        {POD("", ""),
         NAMESPACE("demo", MONITORED ", openservicemesh.io/ignore: \"true\"", INJECTION("enabled")),
         0},
        {POD("", ""), NAMESPACE("kube-system", MONITORED, INJECTION("enabled")), 0},
        {POD("", ""), NAMESPACE("kube-public", MONITORED, INJECTION("enabled")), 0},
        {POD("", ""), NAMESPACE("osm-system", MONITORED, INJECTION("enabled")), 0},
        /* The pod's own word goes before its namespace's. */
        {ANNOTATED("sidecar-injection: enabled"), NAMESPACE("demo", MONITORED, ""), 1},
        {ANNOTATED("sidecar-injection: enabled"),
         NAMESPACE("demo", MONITORED, INJECTION("disabled")), 1},
        {ANNOTATED("sidecar-injection: \"No\""), NAMESPACE("demo", MONITORED, INJECTION("enabled")),
         0},
        {ANNOTATED("sidecar-injection: disabled"),
         NAMESPACE("demo", MONITORED, INJECTION("enabled")), 0},
        {ANNOTATED("sidecar-injection: enabled"), NAMESPACE("demo", "", ""), 0},
        {ANNOTATED("sidecar-injection: enabled"), NAMESPACE("kube-system", MONITORED, ""), 0},
        {POD("annotations: {openservicemesh.io/sidecar-injection: enabled}", "hostNetwork: true"),
         NAMESPACE("demo", MONITORED, INJECTION("enabled")), 0},
        /* Nobody can say what was meant. */
        {ANNOTATED("sidecar-injection: maybe"), NAMESPACE("demo", MONITORED, ""), -1},
        {POD("", ""), NAMESPACE("demo", MONITORED, INJECTION("\"\"")), -1},
    };
    struct inject_options o = options_with(NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(object_unref) struct object *pod = read_one(cases[i].pod);
        AUTO(object_unref)
        struct object *ns = cases[i].namespace ? read_one(cases[i].namespace) : NULL;
        struct err e = ERR_INIT;
        int got = inject_wanted((struct pod *)pod, (struct namespace *)ns, &o, &e);
        if (got != cases[i].want) {
            fail_msg("case %zu: want %d, got %d %s", i, cases[i].want, got, e.text);
        }
        assert_int_equal(got == -1, strstr(e.text, "sidecar-injection: expected enabled") != NULL);
    }
}

static void uuids_are_random_and_of_version_4(void **state)
{
    char a[37], b[37];
    inject_uuid(a);
    inject_uuid(b);
    assert_int_equal(strlen(a), 36);
    assert_string_not_equal(a, b);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_true(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
}

/* --- the pod --- */

static void a_pod_gets_its_sidecar(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref) struct object *pod = read_one(POD("labels: {app: web}", ""));
    struct inject_options o = options_with(NULL);
    struct value *out = inject(a, pod, UUID, false, &o);

    expect(a, out, "metadata.labels", "{\"app\":\"web\",\"osm-proxy-uuid\":\"" UUID "\"}");
    expect(a, out, "metadata.annotations", "");
    expect(a, out, "spec.volumes",
           "[{\"name\":\"envoy-bootstrap-config-volume\",\"secret\":{\"secretName\":"
           "\"envoy-bootstrap-config-" UUID "\"}}]");

    const struct value *envoy = named(value_at(out, "spec.containers"), "envoy");
    expect(a, envoy, "command", "[\"envoy\"]");
    expect(a, envoy, "imagePullPolicy", "\"IfNotPresent\"");
    expect(a, envoy, "securityContext", RESTRICTED("1500"));
    expect(a, envoy, "startupProbe", "");
    expect(a, envoy, "restartPolicy", "");
    expect(a, envoy, "volumeMounts",
           "[{\"name\":\"envoy-bootstrap-config-volume\",\"mountPath\":\"/etc/envoy\",\"readOnly\":"
           "true}]");
    static const char *const args[] = {
        "[\"--log-level\",\"error\",\"--config-path\",\"/etc/envoy/bootstrap.yaml\"",
        "\"--service-cluster\",\"bookstore.demo\""};
    for (size_t i = 0; i < COUNT_OF(args); i++) {
        assert_non_null(strstr(json(a, value_member(envoy, "args")), args[i]));
    }
    static const int ports[] = {15000, 15003, 15010};
    const struct value *list = value_member(envoy, "ports");
    assert_int_equal(list->array.len, COUNT_OF(ports));
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        assert_int_equal(value_member(&list->array.at[i], "containerPort")->integer, ports[i]);
    }
    static const char *const env[][2] = {
        {"POD_UID", "metadata.uid"},
        {"POD_NAME", "metadata.name"},
        {"POD_NAMESPACE", "metadata.namespace"},
        {"POD_IP", "status.podIP"},
        {"SERVICE_ACCOUNT", "spec.serviceAccountName"},
    };
    for (size_t i = 0; i < COUNT_OF(env); i++) {
        const struct value *v = named(value_member(envoy, "env"), env[i][0]);
        assert_true(str_is(value_string_at(v, "valueFrom.fieldRef.fieldPath"), env[i][1]));
    }
}

static void a_pod_gets_its_init_container(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *pod = read_one(POD("", "initContainers: [{name: first, image: i}]"));
    struct inject_options o = options_with(NULL);
    struct value *out = inject(a, pod, UUID, false, &o);
    const struct value *list = value_at(out, "spec.initContainers");
    assert_int_equal(list->array.len, 2);
    const struct value *init = named(list, "osm-init");
    expect(a, init, "securityContext",
           "{\"privileged\":false,\"capabilities\":{\"add\":[\"NET_ADMIN\",\"NET_RAW\"],\"drop\":"
           "[\"ALL\"]},\"runAsNonRoot\":false,\"runAsUser\":0,\"allowPrivilegeEscalation\":false,"
           "\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}");
    const struct value *command = value_member(init, "command");
    struct str rules;
    assert_int_equal(inject_redirection(a, (struct pod *)pod, &o, &rules, NULL), 0);
    assert_int_equal(command->array.len, 3);
    assert_true(str_is(command->array.at[0].string, "/bin/sh"));
    assert_true(str_is(command->array.at[1].string, "-c"));
    assert_true(str_eq(command->array.at[2].string, rules));
    assert_true(str_is(
        value_string_at(named(value_member(init, "env"), "POD_IP"), "valueFrom.fieldRef.fieldPath"),
        "status.podIP"));
}

static void what_the_author_wrote_stays(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref)
    struct object *pod = read_one(
        POD("annotations: {x: \"1\"}",
            "volumes: [{name: v, emptyDir: {}}], restartPolicy: Never, nodeSelector: {a: b}"));
    AUTO(free) char *before = mem_strdup(json(a, pod->raw));
    struct inject_options o = options_with(NULL);
    struct value *out = inject(a, pod, UUID, true, &o);
    assert_string_equal(json(a, pod->raw), before); /* the input is shared */
    expect(a, out, "metadata.annotations",
           "{\"x\":\"1\",\"prometheus.io/scrape\":\"true\",\"prometheus.io/port\":\"15010\","
           "\"prometheus.io/path\":\"/stats/prometheus\"}");
    expect(a, out, "spec.restartPolicy", "\"Never\"");
    expect(a, out, "spec.nodeSelector", "{\"a\":\"b\"}");
    assert_int_equal(value_at(out, "spec.volumes")->array.len, 2);
    const struct value *app = named(value_at(out, "spec.containers"), "app");
    assert_true(value_equal(app, named(value_at(pod->raw, "spec.containers"), "app")));
}

/* However many members a spec has, all containers arrive: adding one may move the others. */
static void a_spec_of_any_size_gets_all_containers(void **state)
{
    static const char *const members[] = {
        "hostname: a",
        "subdomain: b",
        "priority: 1",
        "schedulerName: c",
        "enableServiceLinks: true",
        "shareProcessNamespace: true",
        "preemptionPolicy: d",
        "runtimeClassName: e",
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(buf_done) struct buf spec;
    buf_init(&spec, 1024);
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        buf_printf(&spec, "%s%s", i ? ", " : "", members[i]);
        AUTO(free) char *text = mem_printf(POD("", "%s"), spec.data);
        AUTO(object_unref) struct object *pod = read_one(text);
        for (int native = 0; native <= 1; native++) {
            struct inject_options o = options_with(NULL);
            o.native = native;
            struct value *out = inject(a, pod, UUID, true, &o);
            const struct value *containers = value_at(out, "spec.containers");
            const struct value *init = value_at(out, "spec.initContainers");
            assert_int_equal(value_len(containers), native ? 1 : 2);
            assert_int_equal(value_len(init), native ? 2 : 1);
            assert_non_null(named(native ? init : containers, "envoy"));
            assert_non_null(named(value_at(out, "spec.volumes"), "envoy-bootstrap-config-volume"));
        }
    }
}

/* A pod that went through an injector before only gets another sidecar's name. */
static void injection_is_idempotent(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref) struct object *pod = read_one(POD("labels: {app: web}", ""));
    struct inject_options o = options_with(NULL);
    struct value *once = inject(a, pod, UUID, true, &o);
    AUTO(buf_done) struct buf text;
    buf_init(&text, TEXT_MAX);
    value_write_yaml(once, &text);
    AUTO(object_unref) struct object *injected = read_one(text.data);

    struct value *again = inject(a, injected, UUID, true, &o);
    assert_true(value_equal(once, again));
    struct value *other = inject(a, injected, UUID_2, true, &o);
    expect(a, other, "metadata.labels.osm-proxy-uuid", "\"" UUID_2 "\"");
    assert_string_equal(json(a, inject(a, pod, UUID_2, true, &o)), json(a, other));
}

static void the_sidecars_names_are_taken(void **state)
{
    static const char *const pods[] = {
        "apiVersion: v1\nkind: Pod\nmetadata: {namespace: demo, name: web}\n"
        "spec: {containers: [{name: envoy, image: i}]}\n",
        POD("", "initContainers: [{name: osm-init, image: i}]"),
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct inject_options o = options_with(NULL);
    for (size_t i = 0; i < COUNT_OF(pods); i++) {
        AUTO(object_unref) struct object *pod = read_one(pods[i]);
        struct value *out = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(inject_pod(a, pod->raw, (struct pod *)pod, STR(UUID), false, &o, &out, &e),
                         -1);
        assert_null(out);
        assert_non_null(strstr(e.text, "Pod demo/web: container"));
        assert_non_null(strstr(e.text, "expected another name"));
    }
}

static void mesh_config_is_followed(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref) struct object *pod = read_one(POD("", ""));
    AUTO(object_unref)
    struct object *config = read_one(
        CONFIG("sidecar: {enablePrivilegedInitContainer: true, logLevel: trace, envoyImage: e:1, "
               "initContainerImage: i:1, resources: {limits: {cpu: 100m}}}"));
    struct inject_options o = options_with(config);
    struct value *out = inject(a, pod, UUID, false, &o);
    const struct value *envoy = named(value_at(out, "spec.containers"), "envoy");
    const struct value *init = named(value_at(out, "spec.initContainers"), "osm-init");
    expect(a, envoy, "image", "\"e:1\"");
    expect(a, envoy, "resources", "{\"limits\":{\"cpu\":\"100m\"}}");
    assert_true(str_is(value_member(envoy, "args")->array.at[1].string, "trace"));
    expect(a, init, "image", "\"i:1\"");
    expect(a, init, "securityContext.privileged", "true");
}

/* --- redirection --- */

static const char *rules_of(struct arena *a, const char *pod_text, const char *config_text,
                            bool ipv6)
{
    AUTO(object_unref) struct object *pod = read_one(pod_text);
    AUTO(object_unref) struct object *config = config_text ? read_one(config_text) : NULL;
    struct inject_options o = options_with(config);
    struct str rules;
    struct err e = ERR_INIT;
    o.ipv6 = ipv6;
    if (inject_redirection(a, (struct pod *)pod, &o, &rules, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return rules.ptr;
}

/* Lines that must be there, in this order. */
static void expect_lines(const char *text, const char *const *lines)
{
    const char *at = text;
    for (size_t i = 0; lines[i]; i++) {
        AUTO(free) char *line = mem_printf("\n%s\n", lines[i]);
        const char *found = strstr(at, line);
        if (!found) {
            fail_msg("not in order: %s\n%s", lines[i], text);
        }
        at = found + 1;
    }
}

static void the_default_rules_are_the_contracts(void **state)
{
    static const char *const lines[] = {
        "# OSM sidecar interception rules",
        "*nat",
        ":OSM_PROXY_INBOUND - [0:0]",
        ":OSM_PROXY_IN_REDIRECT - [0:0]",
        ":OSM_PROXY_OUTBOUND - [0:0]",
        ":OSM_PROXY_OUT_REDIRECT - [0:0]",
        "-A OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-port 15003",
        "-A OSM_PROXY_INBOUND -p tcp --dport 15010 -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp --dport 15901 -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp --dport 15902 -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp --dport 15903 -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp --dport 15904 -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp --dport 15905 -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT",
        "-A OSM_PROXY_OUT_REDIRECT -p tcp -j REDIRECT --to-port 15001",
        "-A OSM_PROXY_OUTBOUND -o lo ! -d 127.0.0.1/32 -m owner --uid-owner 1500 -j "
        "OSM_PROXY_IN_REDIRECT",
        "-A OSM_PROXY_OUTBOUND -o lo -m owner ! --uid-owner 1500 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -m owner --uid-owner 1500 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -d 127.0.0.1/32 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -j OSM_PROXY_OUT_REDIRECT",
        "COMMIT",
        NULL,
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    const char *rules = rules_of(a, POD("", ""), NULL, false);
    expect_lines(rules, lines);
    assert_null(strstr(rules, "ip6tables"));
    assert_null(strstr(rules, "multiport"));
    assert_null(strstr(rules, "DNAT"));
}

static void exclusions_come_before_the_redirection(void **state)
{
    static const char *const lines[] = {
        "-A OSM_PROXY_INBOUND -i eth1 -j RETURN",
        "-A OSM_PROXY_INBOUND -i veth+ -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp --match multiport --dports 22,80,8080 -j RETURN",
        "-A OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT",
        "-A OSM_PROXY_OUTBOUND -o eth1 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -o veth+ -j RETURN",
        "-A OSM_PROXY_OUTBOUND -d 10.1.0.0/16 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -d 10.2.0.0/16 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -p tcp --match multiport --dports 25,3306,6379 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -j OSM_PROXY_OUT_REDIRECT",
        NULL,
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    const char *rules = rules_of(
        a,
        POD("annotations: {openservicemesh.io/inbound-port-exclusion-list: \"80, 22\","
            "openservicemesh.io/outbound-port-exclusion-list: \"6379,3306\","
            "openservicemesh.io/outbound-ip-range-exclusion-list: \"10.1.0.0/16\"}",
            ""),
        CONFIG("traffic: {inboundPortExclusionList: [8080, 80], outboundPortExclusionList: [25], "
               "outboundIPRangeExclusionList: [10.2.0.0/16, 10.1.0.0/16], "
               "networkInterfaceExclusionList: [eth1, veth+]}"),
        false);
    expect_lines(rules, lines);
    const char *first = strstr(rules, "10.1.0.0/16"); /* named twice, excluded once */
    assert_null(strstr(first + 1, "10.1.0.0/16"));
}

static void with_inclusions_all_else_goes_by(void **state)
{
    static const char *const lines[] = {
        "-A OSM_PROXY_OUTBOUND -d 10.1.2.0/24 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -d 10.1.0.0/16 -j OSM_PROXY_OUT_REDIRECT",
        "-A OSM_PROXY_OUTBOUND -d 10.2.0.0/16 -j OSM_PROXY_OUT_REDIRECT",
        "-A OSM_PROXY_OUTBOUND -j RETURN",
        NULL,
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    const char *rules = rules_of(
        a,
        POD("annotations: {openservicemesh.io/outbound-ip-range-inclusion-list: \"10.1.0.0/16\","
            "openservicemesh.io/outbound-ip-range-exclusion-list: \"10.1.2.0/24\"}",
            ""),
        CONFIG("traffic: {outboundIPRangeInclusionList: [10.2.0.0/16]}"), false);
    expect_lines(rules, lines);
    assert_null(strstr(rules, "-A OSM_PROXY_OUTBOUND -j OSM_PROXY_OUT_REDIRECT"));
}

/* iptables takes 15 ports in one rule. */
static void many_ports_make_several_rules(void **state)
{
    static const char *const lines[] = {
        "-A OSM_PROXY_OUTBOUND -p tcp --match multiport --dports "
        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15 "
        "-j RETURN",
        "-A OSM_PROXY_OUTBOUND -p tcp --match multiport --dports 16 -j RETURN",
        NULL,
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    expect_lines(rules_of(a,
                          ANNOTATED("outbound-port-exclusion-list: "
                                    "\"16,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\""),
                          NULL, false),
                 lines);
}

static void pod_ip_mode_adds_one_rule(void **state)
{
    static const char *const lines[] = {
        "-A OSM_PROXY_OUTBOUND -p tcp -o lo -d 127.0.0.1/32 --dport 15000 -m owner --uid-owner "
        "1500 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -p tcp -o lo -d 127.0.0.1/32 -m owner --uid-owner 1500 -j DNAT "
        "--to-destination $POD_IP",
        "-A OSM_PROXY_OUTBOUND -m owner --uid-owner 1500 -j RETURN",
        NULL,
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    expect_lines(rules_of(a, POD("", ""), CONFIG("sidecar: {localProxyMode: PodIP}"), false),
                 lines);
}

static void ipv6_has_rules_of_its_own(void **state)
{
    static const char *const lines[] = {
        "-A OSM_PROXY_OUTBOUND -d 127.0.0.1/32 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -d 10.0.0.0/8 -j RETURN",
        "ip6tables-restore --noflush <<EOF",
        "-A OSM_PROXY_OUTBOUND -o lo ! -d ::1/128 -m owner --uid-owner 1500 -j "
        "OSM_PROXY_IN_REDIRECT",
        "-A OSM_PROXY_OUTBOUND -d ::1/128 -j RETURN",
        "-A OSM_PROXY_OUTBOUND -d fd00::/8 -j RETURN",
        "COMMIT",
        NULL,
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    const char *rules = rules_of(
        a, ANNOTATED("outbound-ip-range-exclusion-list: \"FD00:0::/8,10.0.0.0/8\""), NULL, true);
    expect_lines(rules, lines);
    const char *v6 = strstr(rules, "ip6tables-restore");
    assert_null(strstr(v6, "10.0.0.0/8"));
    assert_true(strstr(rules, "fd00::/8") > v6);
}

/* What can't be understood is refused, and never reaches the shell. */
static void bad_annotations_are_refused_by_name(void **state)
{
    static const struct {
        const char *annotation, *value;
    } cases[] = {
        {"inbound-port-exclusion-list", "0"},
        {"inbound-port-exclusion-list", "65536"},
        {"inbound-port-exclusion-list", "-1"},
        {"inbound-port-exclusion-list", "80,,81"},
        {"outbound-port-exclusion-list", "http"},
        {"outbound-port-exclusion-list", "80;reboot"},
        {"outbound-port-exclusion-list", "80 81"},
        {"outbound-port-exclusion-list", "80-90"},
        {"outbound-ip-range-exclusion-list", "10.0.0.1"},
        {"outbound-ip-range-exclusion-list", "10.0.0.0/33"},
        {"outbound-ip-range-exclusion-list", "10.0.0/8"},
        {"outbound-ip-range-exclusion-list", "$(reboot)/8"},
        {"outbound-ip-range-inclusion-list", "10.0.0.0/8 -j ACCEPT"},
        {"outbound-ip-range-inclusion-list", "fd00::/129"},
        {"outbound-ip-range-inclusion-list", "`reboot`"},
    };
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct inject_options o = options_with(NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(free)
        char *text = mem_printf("apiVersion: v1\nkind: Pod\nmetadata: {namespace: demo, name: web, "
                                "annotations: {openservicemesh.io/%s: \"%s\"}}\n"
                                "spec: {containers: [{name: app, image: i}]}\n",
                                cases[i].annotation, cases[i].value);
        AUTO(object_unref) struct object *pod = read_one(text);
        struct value *out = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(inject_pod(a, pod->raw, (struct pod *)pod, STR(UUID), false, &o, &out, &e),
                         -1);
        assert_null(out);
        AUTO(free)
        char *want =
            mem_printf("Pod demo/web: annotation openservicemesh.io/%s: expected a comma-separated "
                       "list",
                       cases[i].annotation);
        if (!strstr(e.text, want)) {
            fail_msg("%s isn't in: %s", want, e.text);
        }
    }
}

/* Nobody's list may end the injector. */
static void too_many_interfaces_are_refused(void **state)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    buf_addz(&text, "apiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n"
                    "metadata: {namespace: osm-system, name: osm-mesh-config}\n"
                    "spec: {traffic: {networkInterfaceExclusionList: [");
    for (int i = 0; i < 50000; i++) {
        buf_printf(&text, "veth%d, ", i);
    }
    buf_addz(&text, "lo]}}\n");
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(object_unref) struct object *config = read_one(text.data);
    AUTO(object_unref) struct object *pod = read_one(POD("", ""));
    struct inject_options o = options_with(config);
    struct str rules;
    struct err e = ERR_INIT;
    assert_int_equal(inject_redirection(a, (struct pod *)pod, &o, &rules, &e), -1);
    assert_string_equal(e.text, "MeshConfig: spec.traffic.networkInterfaceExclusionList: expected "
                                "at most 256 network interfaces, found 50001");
}

/* The shell runs the text with tools that write down what they get. */
static char *run_script(const char *script, const char *folder)
{
    static const char *const tools[] = {"iptables-restore", "iptables"};
    for (size_t i = 0; i < COUNT_OF(tools); i++) {
        AUTO(free) char *path = mem_printf("%s/%s", folder, tools[i]);
        FILE *f = fopen(path, "w");
        fprintf(f, i == 0 ? "#!/bin/sh\n/bin/cat\n"
                          : "#!/bin/sh\n"
                            "rule=\"$4 $5 $6 $7 $8 $9\"\n"
                            "case $3 in\n"
                            "-C) [ -f \"$0.$4\" ] ;;\n"
                            "-A) : >\"$0.$4\"; echo \"added $rule\" ;;\n"
                            "esac\n");
        fclose(f);
        chmod(path, 0700);
    }
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        setenv("PATH", folder, 1);
        setenv("POD_IP", "10.9.8.7", 1);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    AUTO(buf_done) struct buf text;
    buf_init(&text, TEXT_MAX);
    char chunk[4096];
    for (ssize_t n; (n = read(out[0], chunk, sizeof(chunk))) > 0;) {
        buf_add(&text, chunk, (size_t)n);
    }
    close(out[0]);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    return mem_strdup(text.data);
}

static void the_rules_may_be_applied_twice(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    const char *rules = rules_of(a, POD("", ""), CONFIG("sidecar: {localProxyMode: PodIP}"), false);
    char folder[] = "/tmp/test_inject.XXXXXX";
    assert_non_null(mkdtemp(folder));
    AUTO(free) char *first = run_script(rules, folder);
    AUTO(free) char *second = run_script(rules, folder);
    static const char *const names[] = {"iptables-restore", "iptables", "iptables.PREROUTING",
                                        "iptables.OUTPUT"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO(free) char *path = mem_printf("%s/%s", folder, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);

    assert_non_null(strstr(first, "-j DNAT --to-destination 10.9.8.7\n"));
    char *added = strstr(first, "added ");
    assert_non_null(added);
    assert_string_equal(added, "added PREROUTING -p tcp --syn -j OSM_PROXY_INBOUND\n"
                               "added OUTPUT -p tcp --syn -j OSM_PROXY_OUTBOUND\n");
    /* The second run declares the same chains, which empties them, and adds no jump. */
    *added = '\0';
    assert_string_equal(first, second);
}

/* --- the bootstrap --- */

static const struct value *document(struct arena *a, const struct value *secret, const char *key)
{
    struct value *doc = NULL;
    struct err e = ERR_INIT;
    const struct value *text = value_member(value_member(secret, "stringData"), key);
    assert_non_null(text);
    if (value_read_yaml(a, text->string, 1, &doc, NULL, &e) < 0) {
        fail_msg("%s: %s", key, e.text);
    }
    return doc;
}

static struct cert *make_cert(struct issuer **i)
{
    static const struct issuer_options options = {"cluster.local", CERT_KEY_ECDSA_P256, 0};
    struct identity id = {STR("demo"), STR("bookstore")};
    struct cert *c = NULL;
    assert_int_equal(issuer_new(&options, NOW, i, NULL), 0);
    assert_int_equal(issuer_issue_proxy(*i, STR(UUID), id, NOW, &c, NULL), 0);
    return c;
}

static struct value *bootstrap_secret(struct arena *a, const struct cert *c,
                                      const struct inject_options *o)
{
    AUTO(object_unref) struct object *pod = read_one(POD("", ""));
    struct value *out = NULL;
    struct err e = ERR_INIT;
    if (inject_bootstrap_secret(a, pod->raw, (struct pod *)pod, STR(UUID), c, o, &out, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return value_copy(a, out);
}

static void the_bootstrap_secret_has_all_files(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct issuer *issuer;
    struct cert *c = make_cert(&issuer);
    struct inject_options o = options_with(NULL);
    struct value *secret = bootstrap_secret(a, c, &o);
    expect(a, secret, "kind", "\"Secret\"");
    expect(a, secret, "metadata.name", "\"envoy-bootstrap-config-" UUID "\"");
    expect(a, secret, "metadata.namespace", "\"demo\"");
    const struct value *labels = value_at(secret, "metadata.labels");
    assert_true(
        str_is(value_member(labels, "app.kubernetes.io/name")->string, "openservicemesh.io"));
    assert_true(str_is(value_member(labels, "app.kubernetes.io/instance")->string, "osm"));

    const struct value *files = value_member(secret, "stringData");
    assert_int_equal(files->object.len, 8);
    assert_true(str_eq(value_member(files, "cacert.pem")->string, blob_str(c->ca)));
    assert_true(str_eq(value_member(files, "sds_cert.pem")->string, blob_str(c->chain)));
    assert_true(str_eq(value_member(files, "sds_key.pem")->string, blob_str(c->private_key)));
    assert_true(str_eq(value_member(files, "signing_issuer_id")->string, issuer_id(issuer)));
    assert_true(str_eq(value_member(files, "validating_issuer_id")->string, issuer_id(issuer)));

    const char *own = json(a, document(a, secret, "tls_certificate_sds_secret.yaml"));
    assert_non_null(strstr(own, "\"name\":\"tls_sds\""));
    assert_non_null(
        strstr(own, "\"certificate_chain\":{\"filename\":\"/etc/envoy/sds_cert.pem\"}"));
    assert_non_null(strstr(own, "\"private_key\":{\"filename\":\"/etc/envoy/sds_key.pem\"}"));
    const char *peer = json(a, document(a, secret, "validation_context_sds_secret.yaml"));
    assert_non_null(strstr(peer, "\"name\":\"validation_context_sds\""));
    assert_non_null(strstr(peer, "\"trusted_ca\":{\"filename\":\"/etc/envoy/cacert.pem\"}"));
    assert_non_null(strstr(peer, "{\"exact\":\"ads.cluster.local\"}"));
    cert_unref(c);
    issuer_free(issuer);
}

static void the_bootstrap_leads_to_the_controller(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct issuer *issuer;
    struct cert *c = make_cert(&issuer);
    struct inject_options o = options_with(NULL);
    struct value *secret = bootstrap_secret(a, c, &o);
    const struct value *b = document(a, secret, "bootstrap.yaml");
    expect(a, b, "node", "{\"id\":\"" UUID "\"}");
    expect(a, b, "admin.address",
           "{\"socket_address\":{\"address\":\"127.0.0.1\",\"port_value\":15000}}");
    expect(a, b, "deferred_stat_options", "{\"enable_deferred_creation_stats\":true}");
    expect(a, b, "cluster_manager", "{\"enable_deferred_cluster_creation\":true}");
    expect(a, b, "dynamic_resources.ads_config",
           "{\"api_type\":\"GRPC\",\"transport_api_version\":\"V3\","
           "\"set_node_on_first_message_only\":true,"
           "\"grpc_services\":[{\"envoy_grpc\":{\"cluster_name\":\"osm-controller\"}}]}");
    expect(a, b, "dynamic_resources.cds_config", "{\"ads\":{},\"resource_api_version\":\"V3\"}");
    expect(a, b, "dynamic_resources.lds_config", "{\"ads\":{},\"resource_api_version\":\"V3\"}");
    const struct value *cluster = named(value_at(b, "static_resources.clusters"), "osm-controller");
    expect(a, cluster, "type", "\"LOGICAL_DNS\"");
    expect(a, cluster, "upstream_connection_options.tcp_keepalive",
           "{\"keepalive_probes\":5,\"keepalive_time\":60,\"keepalive_interval\":5}");
    const char *text = json(a, cluster);
    static const char *const parts[] = {
        "\"address\":\"osm-controller.osm-system.svc.cluster.local\",\"port_value\":15128",
        "\"http2_protocol_options\":{}",
        "\"name\":\"envoy.transport_sockets.tls\"",
        "\"alpn_protocols\":[\"h2\"]",
        "\"tls_minimum_protocol_version\":\"TLSv1_2\"",
        "\"tls_maximum_protocol_version\":\"TLSv1_3\"",
        "\"name\":\"tls_sds\"",
        "\"path\":\"/etc/envoy/tls_certificate_sds_secret.yaml\"",
        "\"name\":\"validation_context_sds\"",
        "\"path\":\"/etc/envoy/validation_context_sds_secret.yaml\"",
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (!strstr(text, parts[i])) {
            fail_msg("%s isn't in %s", parts[i], text);
        }
    }

    o.delta = true;
    o.ads_host = "10.0.0.1";
    b = document(a, bootstrap_secret(a, c, &o), "bootstrap.yaml");
    expect(a, b, "dynamic_resources.ads_config.api_type", "\"DELTA_GRPC\"");
    cluster = named(value_at(b, "static_resources.clusters"), "osm-controller");
    expect(a, cluster, "type", "\"STATIC\"");
    cert_unref(c);
    issuer_free(issuer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_decision_follows_namespace_and_annotations),
        cmocka_unit_test(uuids_are_random_and_of_version_4),
        cmocka_unit_test(a_pod_gets_its_sidecar),
        cmocka_unit_test(a_pod_gets_its_init_container),
        cmocka_unit_test(what_the_author_wrote_stays),
        cmocka_unit_test(a_spec_of_any_size_gets_all_containers),
        cmocka_unit_test(injection_is_idempotent),
        cmocka_unit_test(the_sidecars_names_are_taken),
        cmocka_unit_test(mesh_config_is_followed),
        cmocka_unit_test(the_default_rules_are_the_contracts),
        cmocka_unit_test(exclusions_come_before_the_redirection),
        cmocka_unit_test(with_inclusions_all_else_goes_by),
        cmocka_unit_test(many_ports_make_several_rules),
        cmocka_unit_test(pod_ip_mode_adds_one_rule),
        cmocka_unit_test(ipv6_has_rules_of_its_own),
        cmocka_unit_test(bad_annotations_are_refused_by_name),
        cmocka_unit_test(too_many_interfaces_are_refused),
        cmocka_unit_test(the_rules_may_be_applied_twice),
        cmocka_unit_test(the_bootstrap_secret_has_all_files),
        cmocka_unit_test(the_bootstrap_leads_to_the_controller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
