/* A pod's document with its sidecar. */
#include "inject/build.h"
#include "inject/inject.h"
#include "inject/names.h"

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

static const struct value *image(struct arena *a, struct str configured, const char *otherwise)
{
    return configured.len > 0 ? value_new_string(a, configured) : build_text(a, otherwise);
}

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
               value_new_stringf(a, "%.*s.%.*s", STR_ARG(pod->spec.service_account_name),
                                 STR_ARG(pod->object.meta.namespace)));
    return args;
}

static const struct value *envoy_container(struct arena *a, const struct pod *pod,
                                           const struct mesh_config *c)
{
    const struct value *security =
        build_object(a, "runAsUser", value_new_int(a, SIDECAR_USER), "allowPrivilegeEscalation",
                     value_new_bool(a, false), NULL);
    const struct value *mount =
        build_object(a, "name", build_text(a, BOOTSTRAP_VOLUME), "mountPath",
                     build_text(a, BOOTSTRAP_PATH), "readOnly", value_new_bool(a, true), NULL);
    const struct value *env = build_array(
        a, field_env(a, "POD_UID", "metadata.uid"), field_env(a, "POD_NAME", "metadata.name"),
        field_env(a, "POD_NAMESPACE", "metadata.namespace"), field_env(a, "POD_IP", "status.podIP"),
        field_env(a, "SERVICE_ACCOUNT", "spec.serviceAccountName"), NULL);
    const struct value *ports =
        build_array(a, port(a, "proxy-admin", PORT_ADMIN), port(a, "proxy-inbound", PORT_INBOUND),
                    port(a, "proxy-metrics", PORT_METRICS), NULL);
    return build_object(a, "name", build_text(a, SIDECAR_CONTAINER), "image",
                        image(a, c->sidecar.envoy_image, ENVOY_IMAGE_DEFAULT), "imagePullPolicy",
                        build_text(a, "IfNotPresent"), "command", build_texts(a, "envoy", NULL),
                        "args", envoy_args(a, pod, c), "env", env, "ports", ports, "resources",
                        c->sidecar.resources, "securityContext", security, "volumeMounts",
                        build_array(a, mount, NULL), NULL);
}

static const struct value *init_container(struct arena *a, struct str rules,
                                          const struct mesh_config *c)
{
    struct value *command = build_texts(a, "/bin/sh", "-c", NULL);
    value_push(a, command, value_new_string(a, rules));
    const struct value *capabilities =
        build_object(a, "add", build_texts(a, "NET_ADMIN", NULL), NULL);
    const struct value *security = build_object(
        a, "privileged", value_new_bool(a, c->sidecar.enable_privileged_init_container),
        "capabilities", capabilities, "runAsNonRoot", value_new_bool(a, false), "runAsUser",
        value_new_int(a, 0), NULL);
    return build_object(a, "name", build_text(a, INIT_CONTAINER), "image",
                        image(a, c->sidecar.init_container_image, INIT_IMAGE_DEFAULT),
                        "imagePullPolicy", build_text(a, "IfNotPresent"), "command", command, "env",
                        build_array(a, field_env(a, "POD_IP", "status.podIP"), NULL),
                        "securityContext", security, NULL);
}

static const struct value *bootstrap_volume(struct arena *a, struct str uuid)
{
    const struct value *name = value_new_stringf(a, BOOTSTRAP_SECRET_PREFIX "%.*s", STR_ARG(uuid));
    return build_object(a, "name", build_text(a, BOOTSTRAP_VOLUME), "secret",
                        build_object(a, "secretName", name, NULL), NULL);
}

/* A pod that came through here before only changes its sidecar's name: then true. */
static bool volume_replace(struct arena *a, struct value *spec, struct str uuid)
{
    struct value *volumes = value_ensure(a, spec, "volumes", VALUE_ARRAY);
    for (size_t i = 0; i < volumes->array.len; i++) {
        if (str_is(value_string_at(&volumes->array.at[i], "name"), BOOTSTRAP_VOLUME)) {
            volumes->array.at[i] = *bootstrap_volume(a, uuid);
            return true;
        }
    }
    value_push(a, volumes, bootstrap_volume(a, uuid));
    return false;
}

static int container_names_free(const struct pod *pod, struct err *e)
{
    for (size_t i = 0; i < pod->spec.containers.len + pod->spec.init_containers.len; i++) {
        const struct container *c =
            i < pod->spec.containers.len
                ? &pod->spec.containers.at[i]
                : &pod->spec.init_containers.at[i - pod->spec.containers.len];
        if (str_is(c->name, SIDECAR_CONTAINER) || str_is(c->name, INIT_CONTAINER)) {
            return err_set(e,
                           "Pod %.*s/%.*s: container \"%.*s\": expected another name, this one is "
                           "the sidecar's",
                           STR_ARG(pod->object.meta.namespace), STR_ARG(pod->object.meta.name),
                           STR_ARG(c->name));
        }
    }
    return 0;
}

int inject_pod(struct arena *a, const struct value *pod, const struct pod *decoded, struct str uuid,
               bool metrics, const struct inject_options *o, struct value **ret, struct err *e)
{
    struct str rules;
    if (inject_redirection(a, decoded, o, &rules, e) < 0) {
        return -1;
    }
    struct value *out = value_copy(a, pod);
    struct value *spec = value_ensure(a, out, "spec", VALUE_OBJECT);
    if (!volume_replace(a, spec, uuid)) {
        if (container_names_free(decoded, e) < 0) {
            return -1;
        }
        value_push(a, value_ensure(a, spec, "initContainers", VALUE_ARRAY),
                   init_container(a, rules, o->config));
        value_push(a, value_ensure(a, spec, "containers", VALUE_ARRAY),
                   envoy_container(a, decoded, o->config));
    }
    struct value *metadata = value_ensure(a, out, "metadata", VALUE_OBJECT);
    value_set(a, value_ensure(a, metadata, "labels", VALUE_OBJECT), LABEL_PROXY_UUID,
              value_new_string(a, uuid));
    if (metrics) {
        struct value *annotations = value_ensure(a, metadata, "annotations", VALUE_OBJECT);
        value_set(a, annotations, "prometheus.io/scrape", build_text(a, "true"));
        value_set(a, annotations, "prometheus.io/port", value_new_stringf(a, "%d", PORT_METRICS));
        value_set(a, annotations, "prometheus.io/path", build_text(a, "/stats/prometheus"));
    }
    *ret = out;
    return 0;
}
