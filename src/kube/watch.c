/* Following a collection: what to ask for next, and what to make of the answer. */
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"
#include "kube/internal.h"
#include "kube/watch_internal.h"

enum {
    BACKOFF_MIN_MS = 500,
    BACKOFF_MAX_MS = 30000,
    /* A kind or a permission that isn't there is looked for this often. */
    LOOK_AGAIN_MS = 5000,
    /* The server sends a bookmark about every minute. */
    IDLE_MS = 150000,
    /* What lived so long wasn't refused: it is taken up again without waiting. */
    SETTLED_MS = 5000,
    /* A kind whose objects we have must be missing so often in a row before they are gone: a server
     * that has just started may not know it yet. */
    ABSENCES = 3,
};

/* --- telling --- */

void watch_tell(struct kube_watch *w, enum kube_watch_state state, const struct err *e)
{
    static const struct err none;
    const struct err *why = e ? e : &none;
    if (state == KUBE_WATCH_LIVE) {
        w->was_live = true;
        w->absences = 0;
    }
    if (state == w->state && strcmp(why->text, w->told.text) == 0) {
        return;
    }
    w->state = state;
    w->told = *why;
    if (w->options.on_state) {
        w->options.on_state(w->options.arg, state, why);
    }
}

void watch_tell_trouble(struct kube_watch *w, const struct err *e)
{
    watch_tell(w, w->was_live ? KUBE_WATCH_BROKEN : KUBE_WATCH_LISTING, e);
}

void watch_finish_batch(struct kube_watch *w)
{
    w->pending = false;
    if (w->options.on_batch) {
        w->options.on_batch(w->options.arg);
    }
}

void watch_set_version(struct kube_watch *w, struct str version)
{
    if (version.len > 0 && !str_is(version, w->version)) {
        free(w->version);
        w->version = mem_memdup(version.ptr, version.len);
    }
}

/* --- what to ask for --- */

static void send(struct kube_watch *w);

static void on_timer(void *arg)
{
    struct kube_watch *w = arg;
    loop_timer_free(w->timer);
    w->timer = NULL;
    send(w);
}

/* Half to one and a half of it, so that many who broke together don't come back together. */
static int64_t jittered(int64_t ms)
{
    uint32_t r = 0;
    ssize_t got = getrandom(&r, sizeof(r), 0);
    (void)got; /* without it there is just no jitter */
    return ms / 2 + (int64_t)((double)ms * r / UINT32_MAX);
}

static int64_t backoff_ms(unsigned failures)
{
    int64_t ms = BACKOFF_MIN_MS;
    for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void send_in(struct kube_watch *w, int64_t ms)
{
    int64_t asked_ms = w->retry_after_s * 1000;
    asked_ms = asked_ms < 2 * BACKOFF_MAX_MS ? asked_ms : 2 * BACKOFF_MAX_MS;
    w->retry_after_s = 0;
    if (w->options.hurry > 0) {
        ms /= w->options.hurry;
    }
    w->timer = loop_timer_new(kube_client_loop(w->options.client), ms > asked_ms ? ms : asked_ms,
                              false, on_timer, w);
}

/* From the start, not from where we were. */
void watch_forget_place(struct kube_watch *w)
{
    w->listed = false;
    free(w->continued);
    w->continued = NULL;
    map_done(&w->seen, NULL);
}

bool watch_has_settled(const struct kube_watch *w)
{
    return clock_mono_ms() - w->sent_ms >= SETTLED_MS;
}

void watch_retry(struct kube_watch *w)
{
    w->failures = watch_has_settled(w) && w->step != STEP_PAGES ? 1 : w->failures + 1;
    send_in(w, jittered(backoff_ms(w->failures)));
}

static const char *path_of(struct kube_watch *w, struct arena *a)
{
    char mark = strchr(w->path, '?') ? '&' : '?';
    switch (w->step) {
    case STEP_PAGES:
        return kube_page_path(a, w->path, str_of(w->continued));
    case STEP_STREAM:
        return arena_printf(a,
                            "%s%cwatch=true&allowWatchBookmarks=true&sendInitialEvents=true"
                            "&resourceVersionMatch=NotOlderThan",
                            w->path, mark)
            .ptr;
    case STEP_WATCH:
        return arena_printf(a, "%s%cwatch=true&allowWatchBookmarks=true&resourceVersion=%s",
                            w->path, mark, w->version)
            .ptr;
    }
    return NULL;
}

static void on_done(void *arg, int status, struct str body, const struct err *e);

static void start_step(struct kube_watch *w)
{
    w->step = w->listed ? STEP_WATCH : w->pages_only ? STEP_PAGES : STEP_STREAM;
    if (!w->listed && !w->continued) {
        w->generation++;
        w->sweeping = w->delivered;
    }
}

static void send_failed(struct kube_watch *w, const struct err *e)
{
    watch_tell_trouble(w, e);
    watch_retry(w);
}

static void send_now(struct kube_watch *w)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct http_call call;
    struct err e = ERR_INIT;
    start_step(w);
    struct kube_request q = {.path = path_of(w, a)};
    if (kube_http_call(w->options.client, a, &q, (struct str){0}, &call, &e) < 0) {
        send_failed(w, &e);
        return;
    }
    if (w->step != STEP_PAGES) {
        call.timeout_ms = 0;
        call.idle_ms = IDLE_MS;
        call.on_data = watch_on_data;
    }
    call.retry_after_s = &w->retry_after_s;
    buf_reset(&w->line);
    w->broken = ERR_INIT;
    w->expired = false;
    w->sent_ms = clock_mono_ms();
    w->transfer = http_start(kube_client_http(w->options.client), &call, on_done, w);
}

static void on_renewed(void *arg, const struct err *failed)
{
    struct kube_watch *w = arg;
    if (failed) {
        struct err e = *failed;
        kube_explain_credentials(w->options.client, &e);
        send_failed(w, &e);
    } else {
        send_now(w);
    }
}

static void send(struct kube_watch *w)
{
    struct err e = ERR_INIT;
    int good = kube_renewal_await(kube_client_renewal(w->options.client), on_renewed, w, &e);
    if (good > 0) {
        send_now(w);
    } else if (good < 0) {
        kube_explain_credentials(w->options.client, &e);
        send_failed(w, &e);
    }
}

/* --- answers --- */

static void each_item(void *arg, struct value *item)
{
    watch_deliver(arg, item);
}

static void on_page(struct kube_watch *w, struct str body)
{
    AUTO(arena_free) struct arena *a = arena_new(1 << 16);
    AUTO(buf_done) struct buf selected;
    struct value *page = NULL;
    struct err e = ERR_INIT;
    if (value_read_json(a, kube_select_items(body, w->options.keep, &selected), &page, &e) < 0) {
        err_wrap(&e, "GET %s", w->path);
        watch_tell_trouble(w, &e);
        watch_retry(w);
        return;
    }
    kube_list_items(a, page, each_item, w);
    struct str next = value_string_at(page, "metadata.continue");
    free(w->continued);
    w->continued = next.len ? mem_memdup(next.ptr, next.len) : NULL;
    if (next.len == 0) {
        watch_set_version(w, value_string_at(page, "metadata.resourceVersion"));
        watch_list_complete(w);
    }
    send_in(w, 0);
}

/* The kind is gone, and with it all its objects. */
static void on_missing(struct kube_watch *w, const struct err *e)
{
    watch_forget_place(w);
    if (w->delivered && ++w->absences < ABSENCES) {
        watch_tell_trouble(w, e);
        send_in(w, jittered(LOOK_AGAIN_MS));
        return;
    }
    if (w->delivered) {
        w->generation++;
        watch_sweep(w);
        watch_finish_batch(w);
    }
    w->delivered = false;
    watch_tell(w, KUBE_WATCH_MISSING, e);
    send_in(w, jittered(LOOK_AGAIN_MS));
}

static void on_refused(struct kube_watch *w, int status, const struct err *e)
{
    bool early = w->step == STEP_STREAM && !w->listed;
    if (early && (status == 400 || status == 422)) {
        w->pages_only = true;
        send_in(w, 0);
    } else if (status == 404) {
        on_missing(w, e);
    } else if (status == 403) {
        watch_tell(w, KUBE_WATCH_DENIED, e);
        send_in(w, jittered(LOOK_AGAIN_MS));
    } else {
        if (status == 410) {
            watch_forget_place(w);
        }
        if (status == 401) {
            kube_client_refused(w->options.client);
        }
        watch_tell_trouble(w, e);
        watch_retry(w);
    }
}

/* A watch that the server ended, as it does after some minutes, is no failure. */
static void on_end(struct kube_watch *w, int status, const struct err *e)
{
    if (status >= 200 && watch_has_settled(w) && w->listed) {
        w->failures = 0;
        send_in(w, 0);
        return;
    }
    if (status < 0) {
        watch_tell_trouble(w, e);
    }
    watch_retry(w);
}

static void on_done(void *arg, int status, struct str body, const struct err *e)
{
    struct kube_watch *w = arg;
    struct err mine = *e;
    w->transfer = NULL;
    if (status >= 300) {
        kube_explain(w->options.client, &(struct kube_request){.path = w->path}, status, body,
                     &mine);
        on_refused(w, status, &mine);
    } else if (status >= 0 && w->step == STEP_PAGES) {
        on_page(w, body);
    } else {
        if (status < 0) {
            err_wrap(&mine, "GET %s", w->path);
        }
        on_end(w, status, &mine);
    }
}

/* --- start and end --- */

static char *make_path(const struct kube_watch_options *o)
{
    AUTO(free) char *labels = http_encode(o->label_selector ? o->label_selector : "");
    AUTO(free) char *fields = http_encode(o->field_selector ? o->field_selector : "");
    return mem_printf("%s%s%s%s%s%s", o->path, *labels || *fields ? "?" : "",
                      *labels ? "labelSelector=" : "", labels,
                      *fields ? *labels ? "&fieldSelector=" : "fieldSelector=" : "", fields);
}

struct kube_watch *kube_watch_start(const struct kube_watch_options *options)
{
    struct kube_watch *w = NEW(struct kube_watch);
    w->options = *options;
    w->path = make_path(options);
    w->options.path = w->options.label_selector = w->options.field_selector = NULL;
    w->version = mem_strdup("0");
    buf_init(&w->line, LIMIT_KUBE_EVENT_BYTES);
    buf_init(&w->key, 2 * LIMIT_KUBE_EVENT_BYTES);
    send_in(w, 0);
    return w;
}

void kube_watch_free(struct kube_watch *w)
{
    if (!w) {
        return;
    }
    if (w->transfer) {
        http_cancel(w->transfer);
    }
    kube_renewal_forget(kube_client_renewal(w->options.client), w);
    loop_timer_free(w->timer);
    buf_done(&w->line);
    buf_done(&w->key);
    map_done(&w->known, NULL);
    map_done(&w->seen, NULL);
    free(w->version);
    free(w->continued);
    free(w->path);
    free(w);
}
