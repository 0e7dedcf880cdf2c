/* The lines of a watch's stream. */
#include "base/limits.h"
#include "kube/internal.h"
#include "kube/watch_internal.h"

/* So many streams in a row may hold something that we can't read, before all is listed anew. */
enum { TRIES = 3 };

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
    watch_set_version(w, value_string_at(object, "metadata.resourceVersion"));
    if (w->step == STEP_STREAM && !w->listed && ended) {
        watch_list_complete(w);
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
    if (watch_name_of(object).len == 0 ||
        (!gone && !str_is(type, "ADDED") && !str_is(type, "MODIFIED"))) {
        stop_stream(w, "expected events of a watch, found something else");
        return;
    }
    if (gone) {
        watch_deliver_gone(w, watch_namespace_of(object), watch_name_of(object));
    } else {
        watch_deliver(w, object);
    }
    watch_set_version(w, value_string_at(object, "metadata.resourceVersion"));
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
    w->garbage = watch_has_settled(w) ? 1 : w->garbage + 1;
    if (w->expired || w->garbage >= TRIES) {
        w->garbage = 0;
        watch_forget_place(w);
    }
    watch_tell_trouble(w, &w->broken);
    watch_retry(w);
}

void watch_on_data(void *arg, struct str bytes)
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
        watch_finish_batch(w);
    }
    if (w->broken.text[0]) {
        end_broken(w);
    } else if (w->listed) {
        watch_tell(w, KUBE_WATCH_LIVE, NULL);
    }
}
