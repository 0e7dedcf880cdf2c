/* What is allowed, injected, and probably not what the pod's owner wants. */
#include "inject/build.h"
#include "inject/names.h"
#include "inject/probes.h"
#include "kinds/own_names.h"

struct warner {
    struct arena *arena;
    const struct pod *pod;
    struct value *list;
};

static bool reserved(int64_t port)
{
    return port == PORT_ADMIN || port == PORT_OUTBOUND || port == PORT_INBOUND ||
           port == PORT_METRICS || (port >= PORT_PROBES_FIRST && port <= PORT_PROBES_LAST) ||
           (port >= PORT_GRPC_FIRST && port <= PORT_GRPC_LAST);
}

static void warn(struct warner *w, const struct container *c, const struct value *text)
{
    value_push(w->arena, w->list,
               value_new_stringf(w->arena, "container \"%.*s\": %.*s", STR_ARG(c->name),
                                 STR_ARG(text->string)));
}

static void check_container(struct warner *w, const struct container *c)
{
    struct arena *a = w->arena;
    int64_t user =
        c->security.run_as_user >= 0 ? c->security.run_as_user : w->pod->spec->run_as_user;
    if (user == SIDECAR_USER) {
        warn(w, c,
             value_new_stringf(a,
                               "runs as user %d, which is the sidecar's: its calls bypass the "
                               "mesh; give it another one",
                               SIDECAR_USER));
    }
    for (size_t i = 0; i < c->ports.len; i++) {
        if (reserved(c->ports.at[i].container_port)) {
            warn(w, c,
                 value_new_stringf(a, "port %d is the sidecar's; give it another one",
                                   (int)c->ports.at[i].container_port));
        }
    }
}

/* Beside the others, a sidecar neither starts before them nor ends after them. */
static void check_hooks(struct warner *w, const struct value *pod)
{
    const struct value *containers = value_at(pod, "spec.containers");
    for (size_t i = 0; i < value_len(containers); i++) {
        const struct value *c = &containers->array.at[i];
        if (value_at(c, "lifecycle.postStart.httpGet") ||
            value_at(c, "lifecycle.preStop.httpGet")) {
            value_push(w->arena, w->list,
                       value_new_stringf(w->arena,
                                         "container \"%.*s\": lifecycle: the sidecar may not be "
                                         "there for a hook of httpGet, as it starts and ends with "
                                         "the others; use exec",
                                         STR_ARG(value_string_at(c, "name"))));
        }
    }
}

struct value *inject_warnings(struct arena *a, const struct value *pod, const struct pod *decoded,
                              const struct inject_options *o)
{
    struct warner w = {a, decoded, value_new(a, VALUE_ARRAY)};
    const struct pod_spec *s = decoded->spec;
    if (pod_is_injected(pod)) {
        return NULL;
    }
    for (size_t i = 0; i < s->init_containers.len; i++) {
        check_container(&w, &s->init_containers.at[i]);
    }
    for (size_t i = 0; i < s->containers.len; i++) {
        check_container(&w, &s->containers.at[i]);
    }
    if (!o->native) {
        check_hooks(&w, pod);
    }
    return w.list->array.len > 0 ? w.list : NULL;
}

/* --- names --- */

struct names {
    struct arena *arena;
    struct value *list;
    const struct object *of;
};

static void warn_of_name(void *arg, struct str key, bool label, struct str problem)
{
    const struct names *n = arg;
    value_push(n->arena, n->list,
               value_new_stringf(n->arena, "%.*s: %s %.*s %.*s",
                                 STR_ARG(object_title(n->arena, n->of)),
                                 label ? "label" : "annotation", STR_ARG(key), STR_ARG(problem)));
}

static void check_names(struct arena *a, struct value *list, const struct object *o)
{
    struct names n = {a, list, o};
    own_names_check(a, o->kind, &o->meta, warn_of_name, &n);
}

struct value *inject_warnings_of_names(struct arena *a, const struct pod *pod,
                                       const struct namespace *ns)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    check_names(a, list, &pod->object);
    if (ns) {
        check_names(a, list, &ns->object);
    }
    return list->array.len > 0 ? list : NULL;
}

/* --- pods without a sidecar --- */

/* Who writes one of these means the sidecar. */
static const char *sidecar_annotation(const struct pod *pod)
{
    static const char *const names[] = {ANNOTATION_OUT_PORTS,      ANNOTATION_IN_PORTS,
                                        ANNOTATION_OUT_EXCLUDED,   ANNOTATION_OUT_INCLUDED,
                                        ANNOTATION_CPU_REQUEST,    ANNOTATION_CPU_LIMIT,
                                        ANNOTATION_MEMORY_REQUEST, ANNOTATION_MEMORY_LIMIT};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (pairs_find(&pod->object.meta.annotations, names[i])) {
            return names[i];
        }
    }
    return NULL;
}

struct value *inject_warnings_without(struct arena *a, const struct pod *pod,
                                      const struct namespace *ns, const struct inject_options *o)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    const char *annotation = sidecar_annotation(pod);
    const char *of_pod =
        pairs_find(&pod->object.meta.annotations, ANNOTATION_INJECTION)
            ? "the pod's annotation " ANNOTATION_INJECTION " says so"
            : "neither the pod nor its namespace has the annotation " ANNOTATION_INJECTION
              ": enabled";
    if (pod->spec->host_network && inject_asked_for(pod, ns, o, NULL) == 1) {
        value_push(
            a, list,
            build_text(
                a,
                "the pod uses its node's network, whose traffic can't be "
                "redirected: it gets no sidecar and is outside the mesh; remove "
                "hostNetwork, or say that this is meant with the annotation " ANNOTATION_INJECTION
                ": disabled"));
    } else if (annotation && ns) {
        value_push(a, list,
                   value_new_stringf(a,
                                     "annotation %s has no effect, as the pod gets no sidecar: %s",
                                     annotation, of_pod));
    }
    return list->array.len > 0 ? list : NULL;
}
