/* osm-init, envoy and osm-healthcheck. */
#include "inject/sidecar.h"

#include "inject/build.h"
#include "inject/names.h"

/* How often the kubelet asks whether a sidecar serves: its pod is ready no earlier, also after a
 * restart of the sidecar. One that served stays ready until nothing answered for a minute, for a
 * busy node must not take a pod's endpoints away. */
enum { READY_PERIOD_S = 5, READY_FAILURES = 12 };

static const struct value *field_env(struct arena *a, const char *name, const char *path)
{
    const struct value *ref = build_object(a, "fieldPath", build_text(a, path), NULL);
    return build_object(a, "name", build_text(a, name), "valueFrom",
                        build_object(a, "fieldRef", ref, NULL), NULL);
}

static const struct value *port(struct arena *a, const char *name, int number)
{
    return build_object(a, "name", build_text(a, name), "containerPort", value_new_int(a, number),
                        NULL);
}

static const struct value *image(struct arena *a, struct str configured, const char *otherwise,
                                 const char *last)
{
    return configured.len > 0 ? value_new_string(a, configured)
                              : build_text(a, otherwise ? otherwise : last);
}

static const struct value *pull_policy(struct arena *a, const struct inject_options *o)
{
    return build_text(a, o->pull_policy ? o->pull_policy : "IfNotPresent");
}

static const struct value *restart_policy(struct arena *a, const struct inject_options *o)
{
    return o->native ? build_text(a, "Always") : NULL;
}

/* All that the pod security standard `restricted` asks for. */
static const struct value *restricted(struct arena *a, int user)
{
    return build_object(a, "runAsUser", value_new_int(a, user), "runAsNonRoot",
                        value_new_bool(a, true), "allowPrivilegeEscalation",
                        value_new_bool(a, false), "readOnlyRootFilesystem", value_new_bool(a, true),
                        "capabilities", build_object(a, "drop", build_texts(a, "ALL", NULL), NULL),
                        "seccompProfile",
                        build_object(a, "type", build_text(a, "RuntimeDefault"), NULL), NULL);
}

/* --- osm-init --- */

/* Rules need root and NET_ADMIN; NET_RAW is for the older of the two kinds of iptables. */
static const struct value *init_security(struct arena *a, bool privileged)
{
    const struct value *capabilities =
        build_object(a, "add", build_texts(a, "NET_ADMIN", "NET_RAW", NULL), "drop",
                     build_texts(a, "ALL", NULL), NULL);
    return build_object(a, "privileged", value_new_bool(a, privileged), "capabilities",
                        capabilities, "runAsNonRoot", value_new_bool(a, false), "runAsUser",
                        value_new_int(a, 0), "allowPrivilegeEscalation",
                        value_new_bool(a, privileged), "seccompProfile",
                        build_object(a, "type", build_text(a, "RuntimeDefault"), NULL), NULL);
}

/* The kubelet starts the pod's next container when osm-init has ended, so with this at its end none
 * starts before its proxy serves: Envoy's listeners take no connection earlier. A startup probe of
 * the sidecar would say the same a second or two later, as the kubelet asks once a second.
 *
 * The sidecar serves some tenths of a second after its start, or, with the controller away, when
 * that is back: however long that takes, as a new start of this container wouldn't help. A first
 * process ends by SIGTERM only if it says so. */
static const char wait_for_sidecar[] =
    "if ! command -v nc >/dev/null; then\n"
    "  echo 'osm-init: expected nc in its image, to ask whether the sidecar serves, found '\\\n"
    "'none; take another in the MeshConfig, spec.sidecar.initContainerImage' >&2\n"
    "  exit 1\n"
    "fi\n"
    "trap 'exit 143' TERM\n"
    "tries=0\n"
    "until nc -w 1 127.0.0.1 %d </dev/null >/dev/null 2>&1; do\n"
    "  tries=$((tries + 1))\n"
    "  if [ $tries -lt 100 ]; then sleep 0.05; continue; fi\n"
    "  [ $((tries %% 60)) -ne 40 ] || echo 'osm-init: the pod waits, as its sidecar has no '\\\n"
    "'configuration yet: expected an answer of osm-controller to the container envoy, found '\\\n"
    "'none; look at its log and at osm proxy status'\n"
    "  sleep 1\n"
    "done\n";

static const struct value *init_script(struct arena *a, struct str rules,
                                       const struct inject_options *o)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, rules.len + sizeof(wait_for_sidecar) + 64);
    buf_add(&text, rules.ptr, rules.len);
    if (o->native) {
        buf_printf(&text, wait_for_sidecar, PORT_READY);
    }
    return value_new_string(a, buf_str(&text));
}

const struct value *sidecar_init(struct arena *a, struct str rules, const struct inject_options *o)
{
    const struct mesh_config *c = o->config;
    struct value *command = build_texts(a, "/bin/sh", "-c", NULL);
    value_push(a, command, init_script(a, rules, o));
    return build_object(
        a, "name", build_text(a, INIT_CONTAINER), "image",
        image(a, c->sidecar.init_container_image, o->init_image, INIT_IMAGE_DEFAULT),
        "imagePullPolicy", pull_policy(a, o), "command", command, "env",
        build_array(a, field_env(a, "POD_IP", "status.podIP"), NULL), "securityContext",
        init_security(a, c->sidecar.enable_privileged_init_container), NULL);
}

/* --- envoy --- */

/* Connections of a listener that a policy changed end with their next answer; by default they would
 * go on for minutes under what held before. */
static const struct value *envoy_args(struct arena *a, const struct pod *pod,
                                      const struct mesh_config *c)
{
    struct value *args = build_texts(a, "--log-level", NULL);
    value_push(a, args,
               c->sidecar.log_level.len > 0 ? value_new_string(a, c->sidecar.log_level)
                                            : build_text(a, "error"));
    value_push(a, args, build_text(a, "--config-path"));
    value_push(a, args, build_text(a, BOOTSTRAP_PATH "/bootstrap.yaml"));
    value_push(a, args, build_text(a, "--drain-strategy"));
    value_push(a, args, build_text(a, "immediate"));
    value_push(a, args, build_text(a, "--service-cluster"));
    value_push(a, args,
               value_new_stringf(a, "%.*s.%.*s", STR_ARG(pod->spec->service_account_name),
                                 STR_ARG(pod->object.meta.namespace)));
    return args;
}

static bool listens(const struct probe_plan *plan, int number)
{
    for (size_t i = 0; i < plan->len; i++) {
        if (plan->at[i].listener == number) {
            return true;
        }
    }
    return false;
}

static const struct value *envoy_ports(struct arena *a, const struct probe_plan *plan)
{
    struct value *ports =
        build_array(a, port(a, "proxy-admin", PORT_ADMIN), port(a, "proxy-inbound", PORT_INBOUND),
                    port(a, "proxy-metrics", PORT_METRICS), NULL);
    static const struct {
        const char *name;
        int number;
    } probes[] = {{"liveness-port", PORT_LIVENESS},
                  {"readiness-port", PORT_READINESS},
                  {"startup-port", PORT_STARTUP}};
    for (size_t i = 0; i < COUNT_OF(probes); i++) {
        if (listens(plan, probes[i].number)) {
            value_push(a, ports, port(a, probes[i].name, probes[i].number));
        }
    }
    return ports;
}

/* A pod whose sidecar was started anew gets calls again when that serves. */
static const struct value *ready_probe(struct arena *a)
{
    const struct value *get =
        build_object(a, "path", build_text(a, READY_PATH), "port", value_new_int(a, PORT_READY),
                     "scheme", build_text(a, "HTTP"), NULL);
    return build_object(a, "httpGet", get, "periodSeconds", value_new_int(a, READY_PERIOD_S),
                        "failureThreshold", value_new_int(a, READY_FAILURES), "timeoutSeconds",
                        value_new_int(a, READY_PERIOD_S), NULL);
}

const struct value *sidecar_envoy(struct arena *a, const struct pod *pod,
                                  const struct value *resources, const struct probe_plan *plan,
                                  const struct inject_options *o)
{
    const struct mesh_config *c = o->config;
    const struct value *mount =
        build_object(a, "name", build_text(a, BOOTSTRAP_VOLUME), "mountPath",
                     build_text(a, BOOTSTRAP_PATH), "readOnly", value_new_bool(a, true), NULL);
    const struct value *env = build_array(
        a, field_env(a, "POD_UID", "metadata.uid"), field_env(a, "POD_NAME", "metadata.name"),
        field_env(a, "POD_NAMESPACE", "metadata.namespace"), field_env(a, "POD_IP", "status.podIP"),
        field_env(a, "SERVICE_ACCOUNT", "spec.serviceAccountName"), NULL);
    return build_object(a, "name", build_text(a, SIDECAR_CONTAINER), "image",
                        image(a, c->sidecar.envoy_image, o->envoy_image, ENVOY_IMAGE_DEFAULT),
                        "imagePullPolicy", build_text(a, "IfNotPresent"), "command",
                        build_texts(a, "envoy", NULL), "args", envoy_args(a, pod, c), "env", env,
                        "ports", envoy_ports(a, plan), "resources", resources, "securityContext",
                        restricted(a, SIDECAR_USER), "volumeMounts", build_array(a, mount, NULL),
                        "readinessProbe", o->native ? ready_probe(a) : NULL, "restartPolicy",
                        restart_policy(a, o), NULL);
}

/* --- osm-healthcheck --- */

/* An application that only listens on the pod's own address is asked there. */
const struct value *sidecar_healthcheck(struct arena *a, struct str ports,
                                        const struct inject_options *o)
{
    bool pod_ip = str_is(o->config->sidecar.local_proxy_mode, "PodIP");
    struct value *args = build_texts(a, "--verbosity", NULL);
    struct str level = o->config->observability.log_level;
    value_push(a, args, level.len > 0 ? value_new_string(a, level) : build_text(a, "info"));
    value_push(a, args, build_text(a, "--ports"));
    value_push(a, args, value_new_string(a, ports));
    if (pod_ip) {
        value_push(a, args, build_text(a, "--address"));
        value_push(a, args, build_text(a, "$(POD_IP)"));
    }
    return build_object(
        a, "name", build_text(a, HEALTHCHECK_CONTAINER), "image",
        image(a, (struct str){0}, o->healthcheck_image, HEALTHCHECK_IMAGE_DEFAULT),
        "imagePullPolicy", pull_policy(a, o), "command", build_texts(a, "/osm-healthcheck", NULL),
        "args", args, "env",
        pod_ip ? build_array(a, field_env(a, "POD_IP", "status.podIP"), NULL) : NULL, "ports",
        build_array(a, build_object(a, "containerPort", value_new_int(a, PORT_HEALTHCHECK), NULL),
                    NULL),
        "securityContext", restricted(a, HEALTHCHECK_USER), "restartPolicy", restart_policy(a, o),
        NULL);
}
