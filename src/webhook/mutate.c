/* Injection at admission. */
#include "webhook/mutate.h"

#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "inject/build.h"
#include "inject/names.h"
#include "webhook/json_patch.h"

/* Left of the API server's patience for our answer to arrive. */
enum { MARGIN_MS = 100, CALL_MIN_MS = 100 };

/* The API server calls again for the same pod when others have changed it after us, which its own
 * plugins always do. What we injected so shortly before needs no other Secret. */
#define RECENT_MS 10000

struct recent {
    char *uuid, *pod; /* "namespace/name" */
    int64_t until;
    TAILQ_ENTRY(recent) order;
};

struct pending {
    struct mutation *mutation;
    struct webhook_review *review;
    struct object *pod;
    struct str uuid;        /* of its sidecar */
    struct kube_call *call; /* what it waits for; NULL: nothing */
    LIST_ENTRY(pending) all;
};

struct mutation {
    struct mutation_options options;
    struct mesh_config *config;
    struct map namespaces; /* name -> struct namespace */
    size_t waiting;
    LIST_HEAD(, pending) pending;
    struct map recent; /* uuid -> struct recent; each is good for one more call */
    TAILQ_HEAD(, recent) recent_order;
};

struct mutation *mutation_new(const struct mutation_options *options)
{
    struct mutation *m = NEW(struct mutation);
    m->options = *options;
    LIST_INIT(&m->pending);
    TAILQ_INIT(&m->recent_order);
    mutation_set_config(m, mesh_config_default(), false);
    return m;
}

void mutation_set_config(struct mutation *m, struct mesh_config *config, bool native)
{
    struct mesh_config *before = m->config;
    m->config = config;
    if (config != mesh_config_default()) {
        object_ref(&config->object);
    }
    m->options.inject.config = config;
    m->options.inject.native = native;
    if (before && before != mesh_config_default()) {
        object_unref(&before->object);
    }
}

static void unref_namespace(void *ns)
{
    object_unref(ns);
}

void mutation_set_namespace(struct mutation *m, struct namespace *ns)
{
    object_ref(&ns->object);
    object_unref(map_put(&m->namespaces, ns->object.meta.name, ns));
}

void mutation_remove_namespace(struct mutation *m, struct str name)
{
    object_unref(map_remove(&m->namespaces, name));
}

size_t mutation_waiting(const struct mutation *m)
{
    return m->waiting;
}

/* --- reviews of the same pod --- */

static void forget(struct mutation *m, struct recent *r)
{
    map_remove(&m->recent, str_of(r->uuid));
    TAILQ_REMOVE(&m->recent_order, r, order);
    free(r->uuid);
    free(r->pod);
    free(r);
}

static void forget_old(struct mutation *m, int64_t now)
{
    struct recent *r;
    while ((r = TAILQ_FIRST(&m->recent_order)) && r->until <= now) {
        forget(m, r);
    }
}

static char *title(const struct pending *p)
{
    return mem_printf("%.*s/%.*s", STR_ARG(p->pod->meta.namespace), STR_ARG(p->pod->meta.name));
}

static void remember(const struct pending *p, struct str uuid)
{
    struct mutation *m = p->mutation;
    struct recent *r = NEW(struct recent);
    r->uuid = mem_memdup(uuid.ptr, uuid.len);
    r->pod = title(p);
    r->until = clock_mono_ms() + RECENT_MS;
    map_put(&m->recent, uuid, r);
    TAILQ_INSERT_TAIL(&m->recent_order, r, order);
}

/* Did we inject this very pod just now, and is nothing new in it? */
static bool called_again(const struct pending *p)
{
    struct mutation *m = p->mutation;
    struct str uuid;
    forget_old(m, clock_mono_ms());
    if (!inject_is_complete(p->review->arena, p->review->request.object, (const struct pod *)p->pod,
                            &m->options.inject, &uuid)) {
        return false;
    }
    struct recent *r = map_find(&m->recent, uuid);
    AUTO(free) char *pod = title(p);
    bool same = r && strcmp(r->pod, pod) == 0;
    if (r) {
        forget(m, r);
    }
    return same;
}

/* --- a review's end --- */

static void answer(struct pending *p)
{
    LIST_REMOVE(p, all);
    p->mutation->waiting--;
    webhook_answer(p->review);
    object_unref(p->pod);
    free(p);
}

static void deny(struct pending *p, int code, const char *text)
{
    admission_deny(p->review->arena, &p->review->verdict, code, "%s", text);
    answer(p);
}

static void allow(struct pending *p)
{
    p->review->verdict.allowed = true;
    answer(p);
}

void mutation_free(struct mutation *m)
{
    struct pending *p;
    if (!m) {
        return;
    }
    while ((p = LIST_FIRST(&m->pending))) {
        if (p->call) {
            kube_cancel(p->call);
        }
        deny(p, 503, "osm-injector is ending; try again");
    }
    mutation_set_config(m, mesh_config_default(), false);
    map_done(&m->namespaces, unref_namespace);
    forget_old(m, INT64_MAX);
    map_done(&m->recent, NULL);
    free(m);
}

static int64_t patience(const struct pending *p)
{
    int64_t rest = p->review->deadline - clock_mono_ms() - MARGIN_MS;
    return rest > CALL_MIN_MS ? rest : CALL_MIN_MS;
}

/* --- injection --- */

static void on_secret(void *arg, int status, struct value *object, const struct err *e)
{
    struct pending *p = arg;
    p->call = NULL;
    if (status >= 200 && status < 300) {
        const struct mutation_options *o = &p->mutation->options;
        remember(p, p->uuid);
        if (o->on_stored) {
            o->on_stored(o->arg, p->review->caller, p->pod->meta.namespace, p->uuid);
        }
        allow(p);
        return;
    }
    /* A namespace that is going, or a quota, is the caller's affair; the rest is ours. */
    admission_deny(p->review->arena, &p->review->verdict,
                   status == 403 || status == 404 || status == 409 ? 403 : 500,
                   "the sidecar's bootstrap could not be stored: %s", e->text);
    p->review->verdict.patch = NULL;
    answer(p);
}

static int issue(struct pending *p, struct str uuid, struct cert **ret, struct err *e)
{
    const struct mutation_options *o = &p->mutation->options;
    const struct pod *pod = (const struct pod *)p->pod;
    struct identity id = {pod->object.meta.namespace, pod->spec->service_account_name};
    int64_t begun = clock_mono_us();
    if (issuer_issue_proxy(o->issuer, uuid, id, clock_wall_s(), ret, e) < 0) {
        return -1;
    }
    if (o->on_issued) {
        o->on_issued(o->arg, clock_mono_us() - begun);
    }
    return 0;
}

static int create_secret(struct pending *p, struct str uuid, struct err *e)
{
    const struct mutation_options *o = &p->mutation->options;
    const struct admission_request *q = &p->review->request;
    struct arena *a = p->review->arena;
    struct cert *cert = NULL;
    struct value *secret = NULL;
    if (issue(p, uuid, &cert, e) < 0) {
        return -1;
    }
    int rv = inject_bootstrap_secret(a, q->object, (const struct pod *)p->pod, uuid, cert,
                                     &o->inject, &secret, e);
    cert_unref(cert);
    if (rv < 0) {
        return -1;
    }
    struct kube_request request = kube_create_request(a, "secrets", secret);
    request.timeout_ms = patience(p);
    request.brief = true;
    p->uuid = uuid;
    p->call = kube_start(o->client, &request, on_secret, p);
    return 0;
}

static void warn_all(struct pending *p, const struct value *warnings)
{
    for (size_t i = 0; i < value_len(warnings); i++) {
        admission_warn(p->review->arena, &p->review->verdict, "%.*s",
                       STR_ARG(warnings->array.at[i].string));
    }
}

/* Anybody who reaches the port can ask for Secrets, so there is an end to those without a pod. */
static bool may_store(const struct pending *p)
{
    const struct mutation_options *o = &p->mutation->options;
    return !o->may_store || o->may_store(o->arg, p->review->caller);
}

static void inject(struct pending *p, const struct namespace *ns)
{
    const struct inject_options *o = &p->mutation->options.inject;
    const struct admission_request *q = &p->review->request;
    const struct pod *pod = (const struct pod *)p->pod;
    struct arena *a = p->review->arena;
    struct value *injected = NULL;
    struct err e = ERR_INIT;
    char text[37];
    if (called_again(p)) {
        allow(p);
        return;
    }
    inject_uuid(text);
    struct str uuid = arena_strz(a, text);
    if (inject_pod(a, q->object, pod, uuid, inject_metrics_wanted(ns), o, &injected, &e) < 0) {
        deny(p, 422, e.text);
        return;
    }
    warn_all(p, inject_warnings(a, q->object, pod, o));
    p->review->verdict.patch = json_patch_diff(a, q->object, injected);
    if (q->dry_run) {
        remember(p, uuid);
        allow(p);
    } else if (!may_store(p)) {
        deny(p, 429,
             "too many pods that were asked for from the same address haven't come to be; try "
             "again in two minutes");
    } else if (create_secret(p, uuid, &e) < 0) {
        deny(p, 500, e.text);
    }
}

/* A copy of a meshed pod that is to have no sidecar isn't to pass for the pod that it was made
 * from. */
static void pass(struct pending *p)
{
    struct arena *a = p->review->arena;
    const struct value *pod = p->review->request.object;
    struct value *without = inject_without_uuid(a, pod);
    if (without) {
        admission_warn(a, &p->review->verdict,
                       "label " LABEL_PROXY_UUID " was removed: it names the sidecar of another "
                       "pod, and this one gets none");
        p->review->verdict.patch = json_patch_diff(a, pod, without);
    }
    allow(p);
}

static void decide(struct pending *p, const struct namespace *ns)
{
    const struct pod *pod = (const struct pod *)p->pod;
    struct err e = ERR_INIT;
    int wanted = inject_wanted(pod, ns, &p->mutation->options.inject, &e);
    warn_all(p, inject_warnings_of_names(p->review->arena, pod, ns));
    if (wanted < 0) {
        deny(p, 422, e.text);
    } else if (wanted == 0) {
        warn_all(p,
                 inject_warnings_without(p->review->arena, pod, ns, &p->mutation->options.inject));
        pass(p);
    } else if (inject_is_windows(p->review->request.object)) {
        admission_warn(p->review->arena, &p->review->verdict,
                       "the pod is for Windows, which has no traffic redirection: it gets no "
                       "sidecar and is outside the mesh");
        pass(p);
    } else {
        inject(p, ns);
    }
}

/* --- the namespace --- */

static void on_namespace(void *arg, int status, struct value *object, const struct err *e)
{
    struct pending *p = arg;
    p->call = NULL;
    struct err why = ERR_INIT;
    if (status < 200 || status >= 300) {
        admission_deny(p->review->arena, &p->review->verdict, 500,
                       "whether the pod belongs to the mesh could not be found out: %s", e->text);
        answer(p);
        return;
    }
    AUTO(object_unref) struct object *ns = NULL;
    if (object_expect(object, KIND_NAMESPACE, &ns, &why) < 0) {
        deny(p, 500, why.text);
        return;
    }
    decide(p, (const struct namespace *)ns);
}

static void find_namespace(struct pending *p)
{
    struct mutation *m = p->mutation;
    struct arena *a = p->review->arena;
    const struct namespace *ns = map_find(&m->namespaces, p->pod->meta.namespace);
    const struct str *mesh = ns ? pairs_find(&ns->object.meta.labels, LABEL_MONITORED_BY) : NULL;
    if (mesh && str_is(*mesh, m->options.inject.mesh_name)) {
        decide(p, ns);
        return;
    }
    struct kube_request q = {
        .path = kube_path(a, KIND_NAMESPACE, STR(""), p->pod->meta.namespace, NULL),
        .timeout_ms = patience(p)};
    p->call = kube_start(m->options.client, &q, on_namespace, p);
}

/* --- the pod --- */

/* Pods of a workload have no name yet, and those of a request no namespace: both are filled in, so
 * that sentences can say which pod is meant. */
static const struct value *with_names(struct arena *a, const struct admission_request *q)
{
    const struct value *old = value_member(q->object, "metadata");
    struct value *out = value_new(a, VALUE_OBJECT);
    struct value *metadata =
        old && old->type == VALUE_OBJECT ? value_copy(a, old) : value_new(a, VALUE_OBJECT);
    for (size_t i = 0; i < q->object->object.len; i++) {
        const struct member *m = &q->object->object.at[i];
        value_set(a, out, m->key.ptr, &m->value);
    }
    if (value_string_at(metadata, "name").len == 0) {
        struct str name = value_string_at(metadata, "generateName");
        name = name.len > 0 ? name : q->name;
        while (name.len > 0 && (name.ptr[name.len - 1] == '-' || name.ptr[name.len - 1] == '.')) {
            name.len--;
        }
        value_set(a, metadata, "name", value_new_string(a, name.len > 0 ? name : STR("pod")));
    }
    if (q->namespace.len > 0) {
        value_set(a, metadata, "namespace", value_new_string(a, q->namespace));
    }
    value_set(a, out, "metadata", metadata);
    return out;
}

void mutate(void *arg, struct webhook_review *r)
{
    struct mutation *m = arg;
    struct pending *p = NEW(struct pending);
    struct err e = ERR_INIT;
    p->mutation = m;
    p->review = r;
    LIST_INSERT_HEAD(&m->pending, p, all);
    m->waiting++;
    bool pods = r->request.group.len == 0 && str_is(r->request.kind, "Pod") &&
                r->request.subresource.len == 0;
    if (r->request.operation != ADMISSION_CREATE || !pods) {
        admission_deny(r->arena, &r->verdict, 400,
                       "expected the creation of a Pod, found another request about a %.*s; the "
                       "webhook's rules send what isn't for it",
                       STR_ARG(r->request.kind));
        answer(p);
        return;
    }
    if (object_expect(with_names(r->arena, &r->request), KIND_POD, &p->pod, &e) < 0) {
        deny(p, 422, e.text);
        return;
    }
    find_namespace(p);
}
