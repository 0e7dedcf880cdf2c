/* What a pod's fields must agree on, and what is derived from several of them. */
#include "kinds/core.h"
#include "base/map.h"
#include "kinds/row.h"

/* A pod's spec in its document: `prefix` is "spec" or "spec.template.spec". */
struct rules {
    struct decode *d;
    const struct value *doc;
    const char *prefix;
    const struct pod_spec *spec;
    struct map volumes, containers; /* names that there are */
};

static const char *path_of(const struct rules *r, const char *list, size_t i, const char *member)
{
    return arena_printf(r->d->arena, "%s.%s[%zu]%s", r->prefix, list, i, member).ptr;
}

/* The names that mounts may use. A StatefulSet makes volumes of its claims. */
static void collect_volumes(struct rules *r)
{
    for (size_t i = 0; i < r->spec->volumes.len; i++) {
        map_put(&r->volumes, r->spec->volumes.at[i].name, r);
    }
    const struct value *claims = value_at(r->doc, "spec.volumeClaimTemplates");
    for (size_t i = 0; claims && claims->type == VALUE_ARRAY && i < claims->array.len; i++) {
        map_put(&r->volumes, value_string_at(&claims->array.at[i], "metadata.name"), r);
    }
}

static void check_mounts(const struct rules *r, const char *list, size_t at,
                         const struct container *c)
{
    for (size_t i = 0; i < c->volume_mounts.len; i++) {
        struct str name = c->volume_mounts.at[i].name;
        if (name.len && !map_has(&r->volumes, name)) {
            decode_error(
                r->d, r->doc,
                path_of(r, list, at, arena_printf(r->d->arena, ".volumeMounts[%zu].name", i).ptr),
                "expected the name of one of the pod's volumes, found \"%.*s\"", STR_ARG(name));
        }
    }
}

static bool has_port(const struct container *c, struct str name)
{
    for (size_t i = 0; i < c->ports.len; i++) {
        if (str_eq(c->ports.at[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void check_probe(const struct rules *r, const char *list, size_t at,
                        const struct container *c, const struct probe *p, const char *name)
{
    if (!p) {
        return;
    }
    int n = p->http_get + p->tcp_socket + p->exec + p->grpc;
    const char *path = path_of(r, list, at, name);
    if (n != 1) {
        decode_error(r->d, r->doc, path,
                     "expected exactly one of httpGet, tcpSocket, exec and grpc, found %d", n);
    } else if (p->port.name.len && !has_port(c, p->port.name)) {
        decode_warning(r->d, r->doc, path,
                       "expected the name of one of the container's ports, found \"%.*s\"; the "
                       "probe will fail",
                       STR_ARG(p->port.name));
    }
}

static void check_containers(struct rules *r, const char *list, const struct container *at,
                             size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const struct container *c = &at[i];
        check_mounts(r, list, i, c);
        check_probe(r, list, i, c, c->liveness, ".livenessProbe");
        check_probe(r, list, i, c, c->readiness, ".readinessProbe");
        check_probe(r, list, i, c, c->startup, ".startupProbe");
        const char *other = map_put(&r->containers, c->name, (void *)list);
        if (c->name.len && other && other != list) {
            decode_error(
                r->d, r->doc, path_of(r, list, i, ".name"),
                "expected a name that no other container has, found \"%.*s\", which one of "
                "%s has too",
                STR_ARG(c->name), other);
        }
    }
}

static void spec_finish(struct decode *d, const struct value *doc, const char *prefix,
                        struct pod_spec *spec)
{
    struct rules r = {.d = d, .doc = doc, .prefix = prefix, .spec = spec};
    if (spec->service_account_name.len == 0) {
        spec->service_account_name = STR("default");
    }
    collect_volumes(&r);
    check_containers(&r, "initContainers", spec->init_containers.at, spec->init_containers.len);
    check_containers(&r, "containers", spec->containers.at, spec->containers.len);
    map_done(&r.volumes, NULL);
    map_done(&r.containers, NULL);
}

/* What a mesh reads, from the whole. */
static void take_spec(struct decode *d, struct pod *pod)
{
    const struct pod_spec *spec = pod->spec;
    pod->service_account = spec->service_account_name;
    pod->host_network = spec->host_network;
    pod->containers.len = spec->containers.len;
    pod->containers.at = arena_array(d->arena, spec->containers.len, sizeof(*pod->containers.at));
    for (size_t i = 0; i < spec->containers.len; i++) {
        pod->containers.at[i].ports.at = spec->containers.at[i].ports.at;
        pod->containers.at[i].ports.len = spec->containers.at[i].ports.len;
    }
}

void pod_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct pod *pod = (struct pod *)o;
    if (pod->spec) {
        spec_finish(d, doc, "spec", pod->spec);
        take_spec(d, pod);
    }
    const struct value *conditions = value_at(doc, "status.conditions");
    for (size_t i = 0; conditions && conditions->type == VALUE_ARRAY && i < conditions->array.len;
         i++) {
        const struct value *c = &conditions->array.at[i];
        if (str_is(value_string_at(c, "type"), "Ready")) {
            pod->ready = str_is(value_string_at(c, "status"), "True");
        }
    }
    o->hash = pod->ready; /* it is in no table; object.c mixes it in */
}

static void check_selector(struct decode *d, const struct value *doc, const struct pairs *labels,
                           const struct pairs *selector)
{
    for (size_t i = 0; i < selector->len; i++) {
        const struct str *label = pairs_find(labels, selector->at[i].key.ptr);
        if (!label || !str_eq(*label, selector->at[i].value)) {
            decode_error(
                d, doc,
                arena_printf(d->arena, "spec.selector.matchLabels[\"%s\"]", selector->at[i].key.ptr)
                    .ptr,
                "expected the template's label to be the same, found \"%.*s\" there; a "
                "workload must select its own pods",
                STR_ARG(label ? *label : STR("")));
        }
    }
}

void deployment_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct deployment *w = (struct deployment *)o;
    spec_finish(d, doc, "spec.template.spec", &w->template.spec);
    check_selector(d, doc, &w->template.meta.labels, &w->match_labels);
}

void stateful_set_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct stateful_set *w = (struct stateful_set *)o;
    spec_finish(d, doc, "spec.template.spec", &w->template.spec);
    check_selector(d, doc, &w->template.meta.labels, &w->match_labels);
}

void job_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct job *w = (struct job *)o;
    spec_finish(d, doc, "spec.template.spec", &w->template.spec);
    if (clean && str_is(w->template.spec.restart_policy, "Always")) {
        decode_error(
            d, doc, "spec.template.spec.restartPolicy",
            "expected \"OnFailure\" or \"Never\" for a Job, found \"Always\", which is also "
            "the default; set it");
    }
}
