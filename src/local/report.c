/* What `osm local status` shows, gathered from pods, controller and sources. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inject/build.h"
#include "local/internal.h"

static const struct value *text_of(struct arena *a, struct str s)
{
    return value_new_string(a, s);
}

/* A list of the controller's status; NULL when it has said nothing yet. */
static const struct value *told(const struct runtime *r, const char *what)
{
    const struct value *list = r->process ? value_at(controller_status(r->process), what) : NULL;
    return list && list->type == VALUE_ARRAY ? list : NULL;
}

/* The controller's word on the sidecar of a pod; NULL when it doesn't know it. A sidecar that is
 * being replaced is there twice: what is wrong with one counts. */
static const struct value *proxy_of(const struct runtime *r, const char *uuid)
{
    const struct value *list = told(r, "proxies"), *found = NULL;
    for (size_t i = 0; list && i < list->array.len; i++) {
        const struct value *proxy = &list->array.at[i];
        if (str_is(value_string_at(proxy, "uuid"), uuid) &&
            (!found || str_is(value_string_at(proxy, "state"), "refused"))) {
            found = proxy;
        }
    }
    return found;
}

static struct str refusal_of(const struct value *proxy)
{
    const struct value *types = value_at(proxy, "types");
    for (size_t i = 0; types && types->type == VALUE_ARRAY && i < types->array.len; i++) {
        if (str_is(value_string_at(&types->array.at[i], "state"), "refused")) {
            return value_string_at(&types->array.at[i], "error");
        }
    }
    return STR("");
}

static const struct value *sidecar_value(struct arena *a, const struct runtime *r,
                                         const struct pod_run *p)
{
    if (!p->sidecar) {
        return build_text(a, "-");
    }
    const struct value *proxy = proxy_of(r, p->uuid);
    struct str state = value_string_at(proxy, "state");
    if (str_is(state, "refused")) {
        return value_new_stringf(a, "refused: %.*s", STR_ARG(refusal_of(proxy)));
    }
    if (!proxy || (str_is(state, "disconnected") && !p->sidecar_ready)) {
        return build_text(a, "starting");
    }
    return text_of(a, state);
}

static struct value *containers_value(struct arena *a, const struct pod_run *p, int64_t *restarts)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    VEC_EACH(p->init, c) {
        *restarts += (*c)->restarts;
    }
    VEC_EACH(p->containers, c) {
        bool running = (*c)->state == CONTAINER_RUNNING;
        *restarts += (*c)->restarts;
        value_push(a, list,
                   build_object(a, "name", text_of(a, (*c)->spec->name), "pid",
                                value_new_int(a, running ? (*c)->pid : 0), "ready",
                                value_new_bool(a, container_ready(*c)), "restarts",
                                value_new_int(a, (*c)->restarts), NULL));
    }
    return list;
}

/* Has the controller seen what we published, and the files that we read? Its roots are ours after
 * objects/. */
static bool up_to_date(const struct runtime *r)
{
    const struct value *sources = told(r, "sources");
    size_t n = sources ? sources->array.len : 0;
    for (size_t i = 0; i < n; i++) {
        char text[17];
        uint64_t digest = i == 0 ? r->publisher.digest : dir_source_digest(r->source, i - 1);
        snprintf(text, sizeof(text), "%016" PRIx64, digest);
        if (!str_is(sources->array.at[i].string, text)) {
            return false;
        }
    }
    return n == r->options.roots.len + 2;
}

/* Nothing more is to come of it: it is ready, or ran to its end. */
static bool settled(const struct pod_run *p, struct str sidecar)
{
    bool configured = str_is(sidecar, "-") || str_is(sidecar, "synced");
    return (p->ready && configured) || (p->phase == POD_DONE && p->succeeded);
}

static struct value *pod_value(struct arena *a, const struct runtime *r, const struct pod_run *p,
                               bool *all_ready)
{
    char reason[1024];
    int64_t restarts = 0;
    pod_describe(p, reason, sizeof(reason));
    const struct meta *m = &p->pod->object.meta;
    const struct value *sidecar = sidecar_value(a, r, p);
    struct value *containers = containers_value(a, p, &restarts);
    *all_ready = *all_ready && settled(p, sidecar->string);
    return build_object(
        a, "namespace", text_of(a, m->namespace), "name", text_of(a, m->name), "workload",
        build_text(a, p->workload), "ready", value_new_bool(a, p->ready), "done",
        value_new_bool(a, p->phase == POD_DONE), "phase", build_text(a, pod_view(p).phase), "ip",
        build_text(a, p->ip4), "restarts", value_new_int(a, restarts), "sidecar", sidecar, "reason",
        build_text(a, reason), "containers", containers, NULL);
}

void report_write(const struct runtime *r, const struct value *edges, struct buf *out)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    bool ready = r->configured && r->process && controller_ready(r->process) && !r->problem &&
                 !r->changed && !r->rescan && up_to_date(r) && map_len(&r->refusals) == 0;
    const char *problem = r->process ? controller_problem(r->process) : "waits for `osm local up`";
    struct value *pods = value_new(a, VALUE_ARRAY);
    VEC_EACH(r->pods, p) {
        value_push(a, pods, pod_value(a, r, *p, &ready));
    }
    const struct value *controller =
        build_object(a, "ready", value_new_bool(a, r->process && controller_ready(r->process)),
                     "problem", build_text(a, problem), NULL);
    value_write_json(build_object(a, "name", build_text(a, r->state.name), "ready",
                                  value_new_bool(a, ready), "problem",
                                  build_text(a, r->problem ? r->problem : ""), "controller",
                                  controller, "pods", pods, "edges", edges, "findings",
                                  report_findings(a, r, told(r, "findings")), NULL),
                     out);
}
