/* Leader election: reading the lease, taking it when it is free, renewing it while it is ours.
 *
 * Whether another still holds it is judged by how long the lease hasn't changed while we looked on:
 * the times written in it are by another machine's clock and are only for people. */
#include "kube/lease.h"

#include <string.h>

#include "base/clock.h"
#include "kube/internal.h"

enum {
    DURATION_MS = 15000,
    RENEW_MS = 2000,
    GIVE_UP_MS = 10000, /* without success */
    RELEASE_TIMEOUT_MS = 3000,
};

#define GROUP_VERSION "coordination.k8s.io/v1"
#define PLURAL "leases"

struct kube_lease {
    struct kube_lease_options options;
    char *namespace, *name, *identity;
    struct loop_timer *timer;
    struct kube_call *call;
    bool held;
    bool known;          /* the record below is what the server had last */
    char *holder;        /* empty: free */
    char *version;       /* resourceVersion; NULL: there is no lease yet */
    char *acquired;      /* acquireTime as it was written */
    int64_t transitions; /* of holders */
    int64_t lasts_ms;    /* leaseDurationSeconds of its holder */
    int64_t changed_at;  /* when we saw it change last */
    int64_t asked_at;    /* when the request in flight was sent */
    int64_t renewed_at;  /* when the last successful renewal was sent */
};

static int64_t now_of(const struct kube_lease *l)
{
    return l->options.now_ms ? l->options.now_ms() : clock_boot_ms();
}

static void set_held(struct kube_lease *l, bool held)
{
    if (l->held != held) {
        l->held = held;
        if (l->options.on_change) {
            l->options.on_change(l->options.arg, held);
        }
    }
}

static bool is_ours(const struct kube_lease *l)
{
    return l->holder && strcmp(l->holder, l->identity) == 0;
}

static bool is_free(const struct kube_lease *l)
{
    return !l->holder || !*l->holder || now_of(l) - l->changed_at >= l->lasts_ms;
}

static void set_text(char **to, struct str s)
{
    free(*to);
    *to = mem_memdup(s.ptr ? s.ptr : "", s.len);
}

static int64_t number_at(const struct value *v, const char *path, int64_t otherwise)
{
    const struct value *n = value_at(v, path);
    return n && n->type == VALUE_INT && n->integer >= 0 && n->integer < 1000000 ? n->integer
                                                                                : otherwise;
}

/* What the server has now. */
static void observe(struct kube_lease *l, const struct value *lease)
{
    struct str version = value_string_at(lease, "metadata.resourceVersion");
    if (!l->version || !str_is(version, l->version)) {
        l->changed_at = now_of(l);
    }
    set_text(&l->version, version);
    set_text(&l->holder, value_string_at(lease, "spec.holderIdentity"));
    set_text(&l->acquired, value_string_at(lease, "spec.acquireTime"));
    l->transitions = number_at(lease, "spec.leaseTransitions", 0);
    l->lasts_ms = number_at(lease, "spec.leaseDurationSeconds", DURATION_MS / 1000) * 1000;
    l->known = true;
}

static void forget(struct kube_lease *l)
{
    free(l->version);
    free(l->holder);
    l->version = l->holder = NULL;
    l->transitions = 0;
}

/* --- writing --- */

static struct str time_text(struct arena *a)
{
    char text[32];
    clock_rfc3339(clock_wall_s(), text);
    text[strlen(text) - 1] = '\0'; /* a MicroTime always has six digits */
    return arena_printf(a, "%s.000000Z", text);
}

static struct value *record(struct kube_lease *l, struct arena *a, struct str holder,
                            int64_t duration_ms)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    bool ours = is_ours(l);
    struct str now = time_text(a);
    value_set(a, v, "apiVersion", value_new_string(a, STR(GROUP_VERSION)));
    value_set(a, v, "kind", value_new_string(a, STR("Lease")));
    struct value *meta = value_ensure(a, v, "metadata", VALUE_OBJECT);
    value_set(a, meta, "namespace", value_new_string(a, str_of(l->namespace)));
    value_set(a, meta, "name", value_new_string(a, str_of(l->name)));
    if (l->version) {
        value_set(a, meta, "resourceVersion", value_new_string(a, str_of(l->version)));
    }
    struct value *spec = value_ensure(a, v, "spec", VALUE_OBJECT);
    value_set(a, spec, "holderIdentity", value_new_string(a, holder));
    value_set(a, spec, "leaseDurationSeconds", value_new_int(a, (duration_ms + 999) / 1000));
    value_set(a, spec, "acquireTime",
              value_new_string(a, ours && *l->acquired ? str_of(l->acquired) : now));
    value_set(a, spec, "renewTime", value_new_string(a, now));
    value_set(a, spec, "leaseTransitions",
              value_new_int(a, l->transitions + (l->version && !ours)));
    return v;
}

/* --- the loop of it --- */

static void on_written(void *arg, int status, struct value *v, const struct err *e)
{
    struct kube_lease *l = arg;
    l->call = NULL;
    if (status == 200 || status == 201) {
        observe(l, v);
        l->renewed_at = l->asked_at;
        set_held(l, is_ours(l));
    } else {
        l->known = false; /* someone else wrote, or we don't know */
    }
}

static void on_read(void *arg, int status, struct value *v, const struct err *e)
{
    struct kube_lease *l = arg;
    l->call = NULL;
    if (status == 404) {
        forget(l);
        l->known = true;
    } else if (status == 200) {
        observe(l, v);
    }
    if (l->known && !is_ours(l)) {
        set_held(l, false);
    }
}

static void start(struct kube_lease *l, struct kube_request *q, kube_done_fn *done)
{
    q->timeout_ms = DURATION_MS / 3;
    l->asked_at = now_of(l);
    l->call = kube_start(l->options.client, q, done, l);
}

static void step(struct kube_lease *l)
{
    AUTO(arena_free) struct arena *a = arena_new(2048);
    if (!l->known || (!is_ours(l) && !is_free(l))) {
        struct kube_request q = {.path =
                                     kube_path_of(a, GROUP_VERSION, PLURAL, str_of(l->namespace),
                                                  str_of(l->name), NULL, NULL)};
        start(l, &q, on_read);
        return;
    }
    struct value *v = record(l, a, str_of(l->identity), DURATION_MS);
    struct kube_request q =
        l->version ? kube_replace_request(a, PLURAL, v) : kube_create_request(a, PLURAL, v);
    start(l, &q, on_written);
}

static void on_tick(void *arg)
{
    struct kube_lease *l = arg;
    if (l->held && now_of(l) - l->renewed_at >= GIVE_UP_MS) {
        l->known = false;
        set_held(l, false);
    }
    if (!l->call) {
        step(l);
    }
}

struct kube_lease *kube_lease_start(const struct kube_lease_options *options)
{
    struct kube_lease *l = NEW(struct kube_lease);
    l->options = *options;
    l->namespace = mem_strdup(options->namespace);
    l->name = mem_strdup(options->name);
    l->identity = mem_strdup(options->identity);
    l->timer = loop_timer_new(kube_client_loop(options->client),
                              RENEW_MS / (options->hurry ? options->hurry : 1), true, on_tick, l);
    step(l);
    return l;
}

bool kube_lease_held(const struct kube_lease *l)
{
    return l->held;
}

/* So that another needn't wait until it runs out. */
static void give_back(struct kube_lease *l)
{
    AUTO(arena_free) struct arena *a = arena_new(2048);
    struct kube_request q = kube_replace_request(a, PLURAL, record(l, a, STR(""), 1000));
    q.timeout_ms = RELEASE_TIMEOUT_MS;
    kube_do(l->options.client, &q, a, NULL, NULL);
}

void kube_lease_free(struct kube_lease *l)
{
    if (!l) {
        return;
    }
    if (l->call) {
        kube_cancel(l->call);
    }
    if (l->held) {
        give_back(l);
    }
    loop_timer_free(l->timer);
    free(l->holder);
    free(l->version);
    free(l->acquired);
    free(l->namespace);
    free(l->name);
    free(l->identity);
    free(l);
}
