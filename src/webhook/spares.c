/* Bootstrap Secrets that no pod came for. */
#include "webhook/spares.h"

#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "inject/names.h"
#include "kube/writes.h"
#include "net/http_client.h"

/* An API server waits half a minute for a webhook and then stores the pod. */
enum { WAIT_MS = 120000, LOOK_MS = 1000, BATCH = 50 };
/* Most pods are there at once: they are looked for first after this part of the wait. */
enum { FIRST_LOOK = 40 };

struct spare {
    char *caller, *namespace, *uuid;
    int64_t due;
    TAILQ_ENTRY(spare) order;
};

struct spares {
    struct spares_options o;
    TAILQ_HEAD(list, spare) fresh; /* not looked for yet; the first to be looked for first */
    struct list old;               /* for the second look, as the first found no pod */
    struct list asked;             /* of one namespace, looked for now */
    bool asked_last;               /* that is the second look */
    size_t n;
    struct map callers; /* caller -> how many */
    struct kube_call *call;
    struct kube_writes *writes;
    struct loop_timer *timer;
};

static void look(void *arg);

static void on_refused(void *arg, struct str key, int status, const struct err *e)
{
    struct spares *s = arg;
    if (status != 404) {
        s->o.on_problem(s->o.arg, e);
    }
}

struct spares *spares_new(const struct spares_options *options)
{
    struct spares *s = NEW(struct spares);
    s->o = *options;
    s->o.wait_ms = options->wait_ms ? options->wait_ms : WAIT_MS;
    TAILQ_INIT(&s->fresh);
    TAILQ_INIT(&s->old);
    TAILQ_INIT(&s->asked);
    struct kube_writes_options w = {
        .loop = s->o.loop, .client = s->o.client, .on_refused = on_refused, .arg = s};
    s->writes = kube_writes_new(&w);
    int64_t every = s->o.wait_ms < LOOK_MS ? s->o.wait_ms : LOOK_MS;
    s->timer = loop_timer_new(s->o.loop, every, true, look, s);
    return s;
}

static size_t of_caller(const struct spares *s, struct str caller)
{
    return (uintptr_t)map_find(&s->callers, caller);
}

static void set_of_caller(struct spares *s, struct str caller, size_t n)
{
    if (n > 0) {
        map_put(&s->callers, caller, (void *)(uintptr_t)n);
    } else {
        map_remove(&s->callers, caller);
    }
}

static void forget(struct spares *s, struct list *from, struct spare *x)
{
    TAILQ_REMOVE(from, x, order);
    s->n--;
    set_of_caller(s, str_of(x->caller), of_caller(s, str_of(x->caller)) - 1);
    free(x->caller);
    free(x->namespace);
    free(x->uuid);
    free(x);
}

void spares_free(struct spares *s)
{
    if (!s) {
        return;
    }
    if (s->call) {
        kube_cancel(s->call);
    }
    struct list *lists[] = {&s->fresh, &s->old, &s->asked};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        while (!TAILQ_EMPTY(lists[i])) {
            forget(s, lists[i], TAILQ_FIRST(lists[i]));
        }
    }
    map_done(&s->callers, NULL);
    loop_timer_free(s->timer);
    kube_writes_free(s->writes);
    free(s);
}

size_t spares_waiting(const struct spares *s)
{
    return s->n;
}

bool spares_full(const struct spares *s, struct str caller)
{
    return s->n >= LIMIT_SPARE_SECRETS || of_caller(s, caller) >= LIMIT_SPARE_SECRETS_OF_CALLER;
}

void spares_add(struct spares *s, struct str caller, struct str namespace, struct str uuid)
{
    struct spare *x = NEW(struct spare);
    x->caller = mem_memdup(caller.ptr ? caller.ptr : "", caller.len);
    x->namespace = mem_memdup(namespace.ptr, namespace.len);
    x->uuid = mem_memdup(uuid.ptr, uuid.len);
    x->due = clock_mono_ms() + s->o.wait_ms / FIRST_LOOK;
    TAILQ_INSERT_TAIL(&s->fresh, x, order);
    s->n++;
    set_of_caller(s, caller, of_caller(s, caller) + 1);
}

static void delete_secret(struct spares *s, const struct spare *x)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct str name = arena_printf(a, BOOTSTRAP_SECRET_PREFIX "%s", x->uuid);
    struct kube_request q = {.method = "DELETE",
                             .path = kube_path(a, KIND_SECRET, str_of(x->namespace), name, NULL),
                             .brief = true};
    kube_writes_put(s->writes, arena_printf(a, "%s/%.*s", x->namespace, STR_ARG(name)), &q);
    s->o.on_deleted(s->o.arg, str_of(x->namespace), str_of(x->uuid));
}

static void on_pods(void *arg, int status, struct value *list, const struct err *e)
{
    struct spares *s = arg;
    struct map borne = {0};
    s->call = NULL;
    bool answered = status >= 200 && status < 300;
    if (!answered) {
        s->o.on_problem(s->o.arg, e);
    }
    const struct value *items = answered ? value_member(list, "items") : NULL;
    for (size_t i = 0; i < value_len(items); i++) {
        const struct value *labels = value_at(&items->array.at[i], "metadata.labels");
        const struct value *uuid = value_member(labels, LABEL_PROXY_UUID);
        if (uuid && uuid->type == VALUE_STRING) {
            map_put(&borne, uuid->string, s);
        }
    }
    while (!TAILQ_EMPTY(&s->asked)) {
        struct spare *x = TAILQ_FIRST(&s->asked);
        bool found = map_has(&borne, str_of(x->uuid));
        if (!answered || (!found && !s->asked_last)) {
            TAILQ_REMOVE(&s->asked, x, order);
            x->due = clock_mono_ms() + s->o.wait_ms;
            TAILQ_INSERT_TAIL(&s->old, x, order);
            continue;
        }
        if (!found) {
            delete_secret(s, x);
        }
        forget(s, &s->asked, x);
    }
    map_done(&borne, NULL);
    look(s);
}

/* Those of one namespace that are due, some at a time. */
static void take_due(struct spares *s, struct list *from, int64_t now, struct buf *uuids)
{
    size_t n = 0;
    for (struct spare *x = TAILQ_FIRST(from), *next; x && n < BATCH && x->due <= now; x = next) {
        next = TAILQ_NEXT(x, order);
        const struct spare *first = TAILQ_FIRST(&s->asked);
        if (!first || strcmp(first->namespace, x->namespace) == 0) {
            TAILQ_REMOVE(from, x, order);
            TAILQ_INSERT_TAIL(&s->asked, x, order);
            buf_printf(uuids, "%s%s", n > 0 ? "," : "", x->uuid);
            n++;
        }
    }
}

static void look(void *arg)
{
    struct spares *s = arg;
    if (s->call) {
        return;
    }
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(buf_done) struct buf uuids;
    buf_init(&uuids, 4096);
    take_due(s, &s->old, clock_mono_ms(), &uuids);
    s->asked_last = !TAILQ_EMPTY(&s->asked);
    if (!s->asked_last) {
        take_due(s, &s->fresh, clock_mono_ms(), &uuids);
    }
    const struct spare *first = TAILQ_FIRST(&s->asked);
    if (!first) {
        return;
    }
    AUTO(free) char *selector = mem_printf(LABEL_PROXY_UUID " in (%.*s)", STR_ARG(buf_str(&uuids)));
    AUTO(free) char *encoded = http_encode(selector);
    /* What the server has at hand will do, until something is to be deleted for it. */
    const char *query =
        arena_printf(a, "labelSelector=%s%s", encoded, s->asked_last ? "" : "&resourceVersion=0")
            .ptr;
    struct kube_request q = {.path =
                                 kube_path(a, KIND_POD, str_of(first->namespace), STR(""), query),
                             .brief_list = true};
    s->call = kube_start(s->o.client, &q, on_pods, s);
}
