/* Following a collection: what to ask for next, and what to make of the answer. */
#include "kube/watch.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "kube/internal.h"

enum {
    BACKOFF_MIN_MS = 500,
    BACKOFF_MAX_MS = 30000,
    /* A kind or a permission that isn't there is looked for this often. */
    LOOK_AGAIN_MS = 5000,
    /* The server sends a bookmark about every minute. */
    IDLE_MS = 150000,
    /* What lived so long wasn't refused: it is taken up again without waiting. */
    SETTLED_MS = 5000,
    /* So many streams in a row may hold something that we can't read, before all is listed anew. */
    TRIES = 3,
    /* A kind whose objects we have must be missing so often in a row before they are gone: a server
     * that has just started may not know it yet. */
    ABSENCES = 3,
};

enum step {
    STEP_STREAM, /* the first objects as events, then what follows them (WatchList) */
    STEP_PAGES,
    STEP_WATCH,
};

struct kube_watch {
    struct kube_watch_options options;
    char *path; /* with its selectors */
    struct http_transfer *transfer;
    struct loop_timer *timer;
    enum step step;
    bool pages_only; /* the server has no WatchList */
    bool listed;     /* version is a place to go on from */
    bool was_live;
    bool delivered; /* something was, since the start */
    bool sweeping;  /* something was before this list began, so it must look for what is gone */
    bool pending;   /* something was since the last on_batch */
    char *version, *continued;
    struct buf line;  /* the part of an event that came so far */
    struct map known; /* "ns/name" -> generation; unused with each_known */
    struct map seen;  /* the same, of this list */
    uintptr_t generation;
    unsigned failures; /* in a row, since a stream lived for a while */
    unsigned absences; /* in a row */
    unsigned garbage;  /* streams in a row that broke by what they held */
    struct buf key;    /* scratch */
    int64_t sent_ms, retry_after_s;
    enum kube_watch_state state;
    struct err told, broken; /* what on_state was told; why the stream must end, or empty */
    bool expired;            /* broken because the server has forgotten our place */
};

/* --- telling --- */

static void tell(struct kube_watch *w, enum kube_watch_state state, const struct err *e)
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

static void tell_trouble(struct kube_watch *w, const struct err *e)
{
    tell(w, w->was_live ? KUBE_WATCH_BROKEN : KUBE_WATCH_LISTING, e);
}

static void finish_batch(struct kube_watch *w)
{
    w->pending = false;
    if (w->options.on_batch) {
        w->options.on_batch(w->options.arg);
    }
}

static void set_version(struct kube_watch *w, struct str version)
{
    if (version.len > 0 && !str_is(version, w->version)) {
        free(w->version);
        w->version = mem_memdup(version.ptr, version.len);
    }
}

/* --- what is there --- */

static struct str key_of(struct kube_watch *w, struct str namespace, struct str name)
{
    buf_reset(&w->key);
    buf_adds(&w->key, namespace);
    buf_addc(&w->key, '/');
    buf_adds(&w->key, name);
    return buf_str(&w->key);
}

static struct str name_of(const struct value *object)
{
    return value_string_at(object, "metadata.name");
}

static struct str namespace_of(const struct value *object)
{
    return value_string_at(object, "metadata.namespace");
}

/* Names are only kept where they'll be needed. */
static void note(struct kube_watch *w, const struct value *object)
{
    if (!w->options.each_known) {
        map_put(&w->known, key_of(w, namespace_of(object), name_of(object)), (void *)w->generation);
    } else if (w->sweeping && !w->listed) {
        map_put(&w->seen, key_of(w, namespace_of(object), name_of(object)), w);
    }
}

static void deliver(struct kube_watch *w, const struct value *object)
{
    note(w, object);
    w->pending = w->delivered = true;
    w->options.on_object(w->options.arg, object);
}

static void deliver_gone(struct kube_watch *w, struct str namespace, struct str name)
{
    map_remove(&w->known, key_of(w, namespace, name));
    w->pending = true;
    if (w->options.on_gone) {
        w->options.on_gone(w->options.arg, namespace, name);
    }
}

struct missing {
    struct kube_watch *watch;
    struct arena *arena;
    VEC(struct str) names; /* namespace, name, namespace, ... */
};

static void add_if_missing(void *to, struct str namespace, struct str name)
{
    struct missing *m = to;
    if (!map_has(&m->watch->seen, key_of(m->watch, namespace, name))) {
        VEC_PUSH(m->names, arena_str(m->arena, namespace));
        VEC_PUSH(m->names, arena_str(m->arena, name));
    }
}

/* What was delivered and isn't in the list that just ended, or in none. */
static void sweep(struct kube_watch *w)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct missing m = {.watch = w, .arena = a};
    if (w->options.each_known) {
        w->options.each_known(w->options.arg, add_if_missing, &m);
    }
    MAP_EACH(&w->known, it) {
        struct str namespace, name;
        if (it.value != (void *)w->generation && str_cut(it.key, '/', &namespace, &name)) {
            add_if_missing(&m, namespace, name);
        }
    }
    for (size_t i = 0; i < m.names.len; i += 2) {
        deliver_gone(w, m.names.at[i], m.names.at[i + 1]);
    }
    VEC_DONE(m.names);
    map_done(&w->seen, NULL);
}

static void list_complete(struct kube_watch *w)
{
    if (w->sweeping) {
        sweep(w);
    }
    w->listed = true;
    finish_batch(w);
    tell(w, KUBE_WATCH_LIVE, NULL);
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
static void forget_place(struct kube_watch *w)
{
    w->listed = false;
    free(w->continued);
    w->continued = NULL;
    map_done(&w->seen, NULL);
}

static bool has_settled(const struct kube_watch *w)
{
    return clock_mono_ms() - w->sent_ms >= SETTLED_MS;
}

static void retry(struct kube_watch *w)
{
    w->failures = has_settled(w) && w->step != STEP_PAGES ? 1 : w->failures + 1;
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

static void on_data(void *arg, struct str bytes);
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
    tell_trouble(w, e);
    retry(w);
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
        call.on_data = on_data;
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

/* --- events --- */

static void stop_stream(struct kube_watch *w, const char *why)
{
    err_set(&w->broken, "GET %s: %s", w->path, why);
}

static void on_error_event(struct kube_watch *w, const struct value *status)
{
    const struct value *code = value_member(status, "code");
    struct str message = value_string_at(status, "message");
    w->expired = code && code->type == VALUE_INT && code->integer == 410;
    err_set(&w->broken, "GET %s: the API server ended the watch: %.*s", w->path, STR_ARG(message));
}

static void on_bookmark(struct kube_watch *w, const struct value *object)
{
    const struct value *annotations = value_at(object, "metadata.annotations");
    const struct value *end = value_member(annotations, "k8s.io/initial-events-end");
    bool ended = end && end->type == VALUE_STRING && str_is(end->string, "true");
    set_version(w, value_string_at(object, "metadata.resourceVersion"));
    if (w->step == STEP_STREAM && !w->listed && ended) {
        list_complete(w);
    }
}

static void on_event(struct kube_watch *w, const struct value *event)
{
    struct str type = value_string_at(event, "type");
    const struct value *object = value_member(event, "object");
    if (str_is(type, "ERROR")) {
        on_error_event(w, object);
        return;
    }
    if (str_is(type, "BOOKMARK")) {
        on_bookmark(w, object);
        return;
    }
    bool gone = str_is(type, "DELETED");
    if (name_of(object).len == 0 ||
        (!gone && !str_is(type, "ADDED") && !str_is(type, "MODIFIED"))) {
        stop_stream(w, "expected events of a watch, found something else");
        return;
    }
    if (gone) {
        deliver_gone(w, namespace_of(object), name_of(object));
    } else {
        deliver(w, object);
    }
    set_version(w, value_string_at(object, "metadata.resourceVersion"));
}

/* Drops what isn't wanted. ERROR and BOOKMARK are small, and hold other things than the kind. */
static struct str wanted(struct kube_watch *w, struct str line, struct buf *out)
{
    const struct json_keep around[] = {{"type", NULL}, {"object", w->options.keep}, {NULL, NULL}};
    buf_init(out, LIMIT_JSON_BYTES);
    if (!w->options.keep || str_starts(line, "{\"type\":\"ERROR\"") ||
        str_starts(line, "{\"type\":\"BOOKMARK\"")) {
        return line;
    }
    json_select(line, around, out);
    return buf_str(out);
}

static void on_line(struct kube_watch *w, struct str line)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(buf_done) struct buf selected;
    struct value *event = NULL;
    struct err e = ERR_INIT;
    if (value_read_json(a, wanted(w, line, &selected), &event, &e) < 0) {
        stop_stream(w, e.text);
        return;
    }
    on_event(w, event);
}

/* Whole lines of the text; *rest is what remains. */
static void take_lines(struct kube_watch *w, struct str text, struct str *rest)
{
    struct str line;
    *rest = text;
    while (!w->broken.text[0] && str_cut(*rest, '\n', &line, &text)) {
        *rest = text;
        if (str_trim(line).len > 0) {
            on_line(w, line);
        }
    }
}

static void end_broken(struct kube_watch *w)
{
    http_cancel(TAKE(w->transfer));
    w->garbage = has_settled(w) ? 1 : w->garbage + 1;
    if (w->expired || w->garbage >= TRIES) {
        w->garbage = 0;
        forget_place(w);
    }
    tell_trouble(w, &w->broken);
    retry(w);
}

/* First called with nothing, when the stream has begun. */
static void on_data(void *arg, struct str bytes)
{
    struct kube_watch *w = arg;
    struct str rest = bytes;
    if (w->line.len > 0) {
        buf_adds(&w->line, bytes);
        take_lines(w, buf_str(&w->line), &rest);
        buf_consume(&w->line, w->line.len - rest.len);
    } else {
        take_lines(w, bytes, &rest);
        buf_adds(&w->line, rest);
    }
    if (buf_full(&w->line)) {
        stop_stream(w, "an event is too large");
    }
    if (w->pending && w->listed) {
        finish_batch(w);
    }
    if (w->broken.text[0]) {
        end_broken(w);
    } else if (w->listed) {
        tell(w, KUBE_WATCH_LIVE, NULL);
    }
}

/* --- answers --- */

static void each_item(void *arg, struct value *item)
{
    deliver(arg, item);
}

static void on_page(struct kube_watch *w, struct str body)
{
    AUTO(arena_free) struct arena *a = arena_new(1 << 16);
    AUTO(buf_done) struct buf selected;
    struct value *page = NULL;
    struct err e = ERR_INIT;
    if (value_read_json(a, kube_select_items(body, w->options.keep, &selected), &page, &e) < 0) {
        err_wrap(&e, "GET %s", w->path);
        tell_trouble(w, &e);
        retry(w);
        return;
    }
    kube_list_items(a, page, each_item, w);
    struct str next = value_string_at(page, "metadata.continue");
    free(w->continued);
    w->continued = next.len ? mem_memdup(next.ptr, next.len) : NULL;
    if (next.len == 0) {
        set_version(w, value_string_at(page, "metadata.resourceVersion"));
        list_complete(w);
    }
    send_in(w, 0);
}

/* The kind is gone, and with it all its objects. */
static void on_missing(struct kube_watch *w, const struct err *e)
{
    forget_place(w);
    if (w->delivered && ++w->absences < ABSENCES) {
        tell_trouble(w, e);
        send_in(w, jittered(LOOK_AGAIN_MS));
        return;
    }
    if (w->delivered) {
        w->generation++;
        sweep(w);
        finish_batch(w);
    }
    w->delivered = false;
    tell(w, KUBE_WATCH_MISSING, e);
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
        tell(w, KUBE_WATCH_DENIED, e);
        send_in(w, jittered(LOOK_AGAIN_MS));
    } else {
        if (status == 410) {
            forget_place(w);
        }
        if (status == 401) {
            kube_client_refused(w->options.client);
        }
        tell_trouble(w, e);
        retry(w);
    }
}

/* A watch that the server ended, as it does after some minutes, is no failure. */
static void on_end(struct kube_watch *w, int status, const struct err *e)
{
    if (status >= 200 && has_settled(w) && w->listed) {
        w->failures = 0;
        send_in(w, 0);
        return;
    }
    if (status < 0) {
        tell_trouble(w, e);
    }
    retry(w);
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
