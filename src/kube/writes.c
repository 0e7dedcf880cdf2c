/* A queue of writes. */
#include "kube/writes.h"

#include "base/log.h"
#include "base/map.h"

/* More at once would take the API server's time from others. */
enum { AT_ONCE = 4 };
#define RETRY_MS 5000

struct write {
    struct kube_writes *queue;
    struct arena *arena;
    struct str key;
    struct kube_request request;
    struct kube_call *call; /* NULL: waits */
};

struct kube_writes {
    struct kube_writes_options o;
    struct map waiting; /* key -> write, in order */
    struct map started; /* key -> write */
    struct loop_timer *retry;
};

static void write_free(void *arg)
{
    struct write *x = arg;
    if (x->call) {
        kube_cancel(x->call);
    }
    arena_free_secret(x->arena); /* some of what is written is a key */
    free(x);
}

struct kube_writes *kube_writes_new(const struct kube_writes_options *options)
{
    struct kube_writes *w = NEW(struct kube_writes);
    w->o = *options;
    w->o.retry_ms = options->retry_ms ? options->retry_ms : RETRY_MS;
    return w;
}

void kube_writes_free(struct kube_writes *w)
{
    if (w) {
        loop_timer_free(w->retry);
        map_done(&w->waiting, write_free);
        map_done(&w->started, write_free);
        free(w);
    }
}

static struct write *write_new(struct kube_writes *w, struct str key, const struct kube_request *q)
{
    struct arena *a = arena_new(1024);
    struct write *x = NEW(struct write);
    *x = (struct write){.queue = w, .arena = a, .key = arena_str(a, key), .request = *q};
    x->request.method = q->method ? arena_strz(a, q->method).ptr : NULL;
    x->request.path = arena_strz(a, q->path).ptr;
    x->request.content_type = q->content_type ? arena_strz(a, q->content_type).ptr : NULL;
    x->request.body = q->body ? value_copy(a, q->body) : NULL;
    return x;
}

static void start_some(struct kube_writes *w);

static void on_retry(void *arg)
{
    struct kube_writes *w = arg;
    loop_timer_free(w->retry);
    w->retry = NULL;
    start_some(w);
}

/* The server has trouble, or the object changed in between: neither is for good. */
static bool passes(int status)
{
    return status < 0 || status == 409 || status == 429 || status >= 500;
}

static void wait_again(struct kube_writes *w, struct write *x)
{
    if (map_has(&w->waiting, x->key)) {
        write_free(x); /* something newer is to be written */
    } else {
        map_put(&w->waiting, x->key, x);
    }
    if (!w->retry) {
        w->retry = loop_timer_new(w->o.loop, w->o.retry_ms, false, on_retry, w);
    }
}

static void on_done(void *arg, int status, struct value *object, const struct err *e)
{
    struct write *x = arg;
    struct kube_writes *w = x->queue;
    x->call = NULL;
    map_remove(&w->started, x->key);
    if (passes(status)) {
        log_event(LOG_DEBUG, "a write is tried again", "key", x->key.ptr, "reason", e->text, NULL);
        wait_again(w, x);
    } else {
        if (status >= 400) {
            w->o.on_refused(w->o.arg, x->key, status, e);
        }
        write_free(x);
    }
    start_some(w);
}

/* While a pause lasts, nothing is started: the server has trouble. */
static void start_some(struct kube_writes *w)
{
    size_t started = map_len(&w->started);
    MAP_EACH(&w->waiting, it) {
        struct write *x = it.value;
        if (w->retry || started == AT_ONCE) {
            return;
        }
        if (map_has(&w->started, x->key)) {
            continue; /* one after the other */
        }
        map_remove(&w->waiting, x->key);
        map_put(&w->started, x->key, x);
        started++;
        x->call = kube_start(w->o.client, &x->request, on_done, x);
    }
}

void kube_writes_put(struct kube_writes *w, struct str key, const struct kube_request *q)
{
    struct write *x = write_new(w, key, q);
    struct write *old = map_put(&w->waiting, key, x);
    if (old) {
        write_free(old);
    }
    start_some(w);
}

void kube_writes_clear(struct kube_writes *w)
{
    loop_timer_free(w->retry);
    w->retry = NULL;
    map_done(&w->waiting, write_free);
}

size_t kube_writes_waiting(const struct kube_writes *w)
{
    return map_len(&w->waiting) + map_len(&w->started);
}
