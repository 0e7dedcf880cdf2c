/* A pod's document with its sidecar. */
#include "inject/build.h"
#include "inject/inject.h"
#include "inject/names.h"
#include "inject/resources.h"
#include "inject/sidecar.h"

bool inject_is_windows(const struct value *pod)
{
    const struct value *selector = value_at(pod, "spec.nodeSelector");
    const struct value *os = value_member(selector, "kubernetes.io/os");
    return str_is(value_string_at(pod, "spec.os.name"), "windows") ||
           (os && os->type == VALUE_STRING && str_is(os->string, "windows"));
}

static const struct value *bootstrap_volume(struct arena *a, struct str uuid)
{
    const struct value *name = value_new_stringf(a, BOOTSTRAP_SECRET_PREFIX "%.*s", STR_ARG(uuid));
    return build_object(a, "name", build_text(a, BOOTSTRAP_VOLUME), "secret",
                        build_object(a, "secretName", name, NULL), NULL);
}

static void set_volume(struct arena *a, struct value *spec, struct str uuid)
{
    struct value *volumes = value_ensure(a, spec, "volumes", VALUE_ARRAY);
    for (size_t i = 0; i < volumes->array.len; i++) {
        if (str_is(value_string_at(&volumes->array.at[i], "name"), BOOTSTRAP_VOLUME)) {
            volumes->array.at[i] = *bootstrap_volume(a, uuid);
            return;
        }
    }
    value_push(a, volumes, bootstrap_volume(a, uuid));
}

static int container_names_free(const struct pod *pod, struct err *e)
{
    for (size_t i = 0; i < pod->spec->containers.len + pod->spec->init_containers.len; i++) {
        const struct container *c =
            i < pod->spec->containers.len
                ? &pod->spec->containers.at[i]
                : &pod->spec->init_containers.at[i - pod->spec->containers.len];
        if (sidecar_owns(c->name)) {
            return err_set(e,
                           "Pod %.*s/%.*s: container \"%.*s\": expected another name, this one is "
                           "the sidecar's",
                           STR_ARG(pod->object.meta.namespace), STR_ARG(pod->object.meta.name),
                           STR_ARG(c->name));
        }
    }
    return 0;
}

/* Native sidecars come first, so that the pod's own init containers are in the mesh already, and
 * before osm-init, which waits for them; others come last, as their rules would cut those off. */
static void add_containers(struct arena *a, struct value *spec, const struct value *init,
                           const struct value *envoy, const struct value *healthcheck, bool native)
{
    if (!native) {
        value_push(a, value_ensure(a, spec, "initContainers", VALUE_ARRAY), init);
        struct value *running = value_ensure(a, spec, "containers", VALUE_ARRAY);
        if (healthcheck) {
            value_push(a, running, healthcheck);
        }
        value_push(a, running, envoy);
        return;
    }
    struct value *all = build_array(a, envoy, healthcheck, NULL);
    value_push(a, all, init);
    const struct value *own = value_member(spec, "initContainers");
    for (size_t i = 0; i < value_len(own); i++) {
        value_push(a, all, &own->array.at[i]);
    }
    value_set(a, spec, "initContainers", all);
}

/* What an injection before has added; it is added anew. */
static void remove_containers(struct arena *a, struct value *spec, const char *list)
{
    const struct value *all = value_member(spec, list);
    struct value *kept = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < value_len(all); i++) {
        if (!sidecar_owns(value_string_at(&all->array.at[i], "name"))) {
            value_push(a, kept, &all->array.at[i]);
        }
    }
    if (all) {
        value_set(a, spec, list, kept);
    }
}

static int add_sidecar(struct arena *a, struct value *pod, const struct pod *decoded, bool again,
                       const struct inject_options *o, struct err *e)
{
    struct str rules;
    struct probe_plan plan;
    const struct value *resources;
    if ((!again && container_names_free(decoded, e) < 0) ||
        inject_redirection(a, decoded, o, &rules, e) < 0 ||
        resources_of(a, decoded, o->config, &resources, e) < 0 ||
        probes_plan(a, pod, decoded, o, &plan, e) < 0) {
        return -1;
    }
    probes_rewrite(a, pod, &plan);
    struct value *spec = value_ensure(a, pod, "spec", VALUE_OBJECT);
    if (again) {
        remove_containers(a, spec, "containers");
        remove_containers(a, spec, "initContainers");
    }
    add_containers(
        a, spec, sidecar_init(a, rules, o), sidecar_envoy(a, decoded, resources, &plan, o),
        probes_have(&plan, PROBE_TCP) ? sidecar_healthcheck(a, probes_tcp_ports(a, pod), o) : NULL,
        o->native);
    return 0;
}

static bool has_container(const struct pod *pod, const char *name)
{
    const struct pod_spec *s = pod->spec;
    for (size_t i = 0; i < s->containers.len; i++) {
        if (str_is(s->containers.at[i].name, name)) {
            return true;
        }
    }
    for (size_t i = 0; i < s->init_containers.len; i++) {
        if (str_is(s->init_containers.at[i].name, name)) {
            return true;
        }
    }
    return false;
}

bool inject_is_complete(struct arena *a, const struct value *pod, const struct pod *decoded,
                        const struct inject_options *o, struct str *ret_uuid)
{
    const struct str *uuid = pairs_find(&decoded->object.meta.labels, LABEL_PROXY_UUID);
    struct probe_plan plan;
    if (!uuid || !pod_is_injected(pod) || !has_container(decoded, SIDECAR_CONTAINER) ||
        !has_container(decoded, INIT_CONTAINER) ||
        probes_plan(a, pod, decoded, o, &plan, NULL) < 0) {
        return false;
    }
    for (size_t i = 0; i < plan.len; i++) {
        if (!plan.at[i].done) {
            return false;
        }
    }
    *ret_uuid = *uuid;
    return true;
}

int inject_pod(struct arena *a, const struct value *pod, const struct pod *decoded, struct str uuid,
               bool metrics, const struct inject_options *o, struct value **ret, struct err *e)
{
    struct value *out = value_copy(a, pod);
    bool again = pod_is_injected(pod);
    if (add_sidecar(a, out, decoded, again, o, e) < 0) {
        return -1;
    }
    set_volume(a, value_ensure(a, out, "spec", VALUE_OBJECT), uuid);
    struct value *metadata = value_ensure(a, out, "metadata", VALUE_OBJECT);
    value_set(a, value_ensure(a, metadata, "labels", VALUE_OBJECT), LABEL_PROXY_UUID,
              value_new_string(a, uuid));
    if (metrics && !again) {
        struct value *annotations = value_ensure(a, metadata, "annotations", VALUE_OBJECT);
        const struct value *patch = inject_metrics_patch(a, annotations, true);
        for (size_t i = 0; i < patch->object.len; i++) {
            value_set(a, annotations, patch->object.at[i].key.ptr, &patch->object.at[i].value);
        }
    }
    *ret = out;
    return 0;
}

struct value *inject_without_uuid(struct arena *a, const struct value *pod)
{
    const struct value *labels = value_at(pod, "metadata.labels");
    if (!value_member(labels, LABEL_PROXY_UUID)) {
        return NULL;
    }
    struct value *out = value_copy(a, pod), *kept = value_new(a, VALUE_OBJECT);
    for (size_t i = 0; i < labels->object.len; i++) {
        const struct member *m = &labels->object.at[i];
        if (!str_is(m->key, LABEL_PROXY_UUID)) {
            value_set(a, kept, m->key.ptr, &m->value);
        }
    }
    value_set(a, value_ensure(a, out, "metadata", VALUE_OBJECT), "labels", kept);
    return out;
}
