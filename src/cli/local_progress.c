/* Telling what `osm local up --wait` waits for. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "cli/local.h"

enum { POLL_MS = 200, NEWS_MS = 3000, HOPE_MS = 5000 };

/* What is to be said of a pod: at once when it is ready, else when it stays so for a while. */
struct pod_news {
    char *text, *said;
    int64_t since_ms;
};

struct progress {
    struct map pods; /* "ns/name" -> struct pod_news */
    bool controller;
};

static void news_free(void *p)
{
    struct pod_news *news = p;
    free(news->text);
    free(news->said);
    free(news);
}

static char *describe(const struct value *pod)
{
    struct str reason = value_string_at(pod, "reason"), sidecar = value_string_at(pod, "sidecar");
    if (value_bool_at(pod, "ready")) {
        return str_is(sidecar, "-") ? mem_strdup("ready")
                                    : mem_printf("ready, sidecar %.*s", STR_ARG(sidecar));
    }
    return mem_printf("%.*s", STR_ARG(reason.len > 0 ? reason : STR("not ready")));
}

static bool settled(const struct value *pod)
{
    struct str sidecar = value_string_at(pod, "sidecar");
    return value_bool_at(pod, "ready") && (str_is(sidecar, "-") || str_is(sidecar, "synced"));
}

static void print_news(struct progress *p, const struct value *pod, int64_t now)
{
    AUTO(free)
    char *key = mem_printf("%.*s/%.*s", STR_ARG(value_string_at(pod, "namespace")),
                           STR_ARG(value_string_at(pod, "name")));
    char *text = describe(pod);
    struct pod_news *news = map_find(&p->pods, str_of(key));
    if (!news) {
        news = NEW(struct pod_news);
        map_put(&p->pods, str_of(key), news);
    }
    if (!news->text || strcmp(news->text, text) != 0) {
        free(news->text);
        news->text = text;
        news->since_ms = now;
    } else {
        free(text);
    }
    bool known = news->said && strcmp(news->said, news->text) == 0;
    if (!known && (settled(pod) || now >= news->since_ms + NEWS_MS)) {
        printf("pod %s: %s\n", key, news->text);
        free(news->said);
        news->said = mem_strdup(news->text);
    }
}

static void print_progress(struct progress *p, const struct value *status, bool with_pods)
{
    const struct value *pods = value_at(status, "pods");
    if (!p->controller && value_bool_at(status, "controller.ready")) {
        p->controller = true;
        printf("controller: ready\n");
    }
    for (size_t i = 0; with_pods && i < value_len(pods); i++) {
        print_news(p, &pods->array.at[i], clock_mono_ms());
    }
    fflush(stdout);
}

static int not_ready(const struct value *status, int64_t timeout_s, struct err *e)
{
    const struct value *pods = value_at(status, "pods");
    struct str problem = value_string_at(status, "problem");
    if (!value_bool_at(status, "controller.ready")) {
        problem = value_string_at(status, "controller.problem");
    }
    for (size_t i = 0; problem.len == 0 && i < value_len(pods); i++) {
        const struct value *pod = &pods->array.at[i];
        struct str sidecar = value_string_at(pod, "sidecar");
        bool done = value_bool_at(pod, "done") && !str_is(value_string_at(pod, "phase"), "Failed");
        if (!done && (!value_bool_at(pod, "ready") || str_starts(sidecar, "refused"))) {
            AUTO(free) char *what = describe(pod);
            struct str ns = value_string_at(pod, "namespace"), name = value_string_at(pod, "name");
            return err_set(e,
                           "not ready after %lld s: pod %.*s/%.*s: %s; see: osm local status, and: "
                           "osm local logs %.*s/%.*s",
                           (long long)timeout_s, STR_ARG(ns), STR_ARG(name), what, STR_ARG(ns),
                           STR_ARG(name));
        }
    }
    bool taken = str_ends(problem, "Address already in use");
    return err_set(e, "not ready after %lld s: %.*s%s", (long long)timeout_s,
                   STR_ARG(problem.len > 0 ? problem : STR("see: osm local status")),
                   taken ? "; choose another port with --ads-port" : "");
}

/* A controller that ended is started again and again; when it still isn't there after a while, it
 * won't come. */
static bool hopeless(const struct value *status, int64_t since_ms)
{
    return !value_bool_at(status, "controller.ready") && clock_mono_ms() >= since_ms + HOPE_MS &&
           str_starts(value_string_at(status, "controller.problem"), "osm-controller ended");
}

int local_watch_ready(const struct state *s, int64_t timeout_s, bool pods, struct err *e)
{
    struct progress progress = {0};
    int64_t start = clock_mono_ms(), end = start + timeout_s * 1000;
    int result;
    for (;;) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        const struct value *status;
        result = local_status(s, false, a, &status, e);
        if (result < 0) {
            break;
        }
        print_progress(&progress, status, pods);
        bool ready = value_bool_at(status, pods ? "ready" : "controller.ready");
        if (ready || clock_mono_ms() >= end || hopeless(status, start)) {
            local_print_findings(status, stderr);
            result = ready ? 0 : not_ready(status, (clock_mono_ms() - start) / 1000, e);
            break;
        }
        usleep(POLL_MS * 1000);
    }
    map_done(&progress.pods, news_free);
    return result;
}
