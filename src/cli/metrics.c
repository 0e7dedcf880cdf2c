/* osm metrics: which namespaces' sidecars Prometheus scrapes. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/meshes.h"
#include "inject/inject.h"

static struct texts namespaces;

const struct flag metrics_flags[] = {
    {"namespace", 0, FLAG_LIST, "LIST", "which namespaces", &namespaces, .required = true,
     .complete = complete_namespaces},
    {0},
};

static int check_namespace(struct cluster *c, const char *name, struct err *e)
{
    struct value *namespace = NULL;
    if (check_name("--namespace", name, e) < 0) {
        return -1;
    }
    int found = cluster_find(c, core_path(c, "namespaces", NULL, name, NULL), &namespace, e);
    if (found < 0) {
        return -1;
    }
    if (found == 0) {
        return err_set(e, "there is no namespace \"%s\"", name);
    }
    return label_of(namespace, LABEL_MESH).len > 0
               ? 0
               : err_set(e,
                         "namespace [%s] belongs to no mesh; let it join first with: osm "
                         "namespace add %s",
                         name, name);
}

static int patch_pod(struct cluster *c, const struct value *pod, bool enable, struct err *e)
{
    const char *namespace = arena_str(c->arena, value_string_at(pod, "metadata.namespace")).ptr;
    const char *name = arena_str(c->arena, value_string_at(pod, "metadata.name")).ptr;
    const struct value *annotations =
        inject_metrics_patch(c->arena, value_at(pod, "metadata.annotations"), enable);
    if (!annotations) {
        return 0;
    }
    struct value *patch = value_new(c->arena, VALUE_OBJECT);
    value_set(c->arena, value_ensure(c->arena, patch, "metadata", VALUE_OBJECT), "annotations",
              annotations);
    /* A pod that ended in the meantime needs none. */
    return cluster_patch(c, core_path(c, "pods", namespace, name, NULL), KUBE_MERGE_PATCH, patch,
                         e) < 0
               ? -1
               : 0;
}

/* New pods follow the namespace's annotation; those that run are changed here. */
static int set_metrics(struct cluster *c, const char *namespace, bool enable, struct err *e)
{
    struct value *pods = NULL, *patch = value_new(c->arena, VALUE_OBJECT);
    metadata_patch(c->arena, "annotations", ANNOTATION_METRICS, enable ? "enabled" : NULL, patch);
    int found = cluster_patch(c, core_path(c, "namespaces", NULL, namespace, NULL),
                              KUBE_MERGE_PATCH, patch, e);
    if (found == 0) {
        return err_set(e, "there is no namespace \"%s\"", namespace);
    }
    if (found < 0 ||
        cluster_list(c, core_path(c, "pods", namespace, NULL, label_query(c, LABEL_PROXY)), &pods,
                     e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        if (patch_pod(c, &pods->array.at[i], enable, e) < 0) {
            return -1;
        }
    }
    return 0;
}

static int run(bool enable, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    if (cluster_open(&c, e) < 0) {
        return -1;
    }
    VEC_EACH(namespaces, name) {
        if (check_namespace(&c, *name, e) < 0) {
            return -1;
        }
    }
    VEC_EACH(namespaces, name) {
        if (set_metrics(&c, *name, enable, e) < 0) {
            return -1;
        }
        printf("Metrics successfully %s in namespace [%s]\n", enable ? "enabled" : "disabled",
               *name);
    }
    return EXIT_OK;
}

int metrics_enable_run(const struct args *args, struct err *e)
{
    return run(true, e);
}

int metrics_disable_run(const struct args *args, struct err *e)
{
    return run(false, e);
}
