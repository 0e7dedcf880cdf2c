/* Metrics, version and health over HTTP. */
#include "observe/pages.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/vec.h"
#include "doc/value.h"
#include "kinds/object.h"
#include "observe/build_info.h"
#include "observe/metrics.h"

enum { SMALL_PAGE_BYTES = 4096 };

static void on_metrics(void *arg, struct http_request *q)
{
    struct buf out;
    buf_init(&out, LIMIT_METRICS_BYTES);
    metric_set(METRIC_VERSION_INFO, 1, build_version(), build_date(), build_commit(), NULL);
    metrics_write(&out);
    http_reply(q, buf_full(&out) ? 500 : 200, METRICS_CONTENT_TYPE, buf_str(&out));
    buf_done(&out);
}

static void on_version(void *arg, struct http_request *q)
{
    struct buf out;
    buf_init(&out, SMALL_PAGE_BYTES);
    build_info_write(&out);
    http_reply(q, 200, "application/json", buf_str(&out));
    buf_done(&out);
}

void pages_on_smi_version(void *arg, struct http_request *q)
{
    static const enum kind kinds[] = {KIND_TRAFFIC_TARGET, KIND_HTTP_ROUTE_GROUP, KIND_TCP_ROUTE,
                                      KIND_TRAFFIC_SPLIT};
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct value *v = value_new(a, VALUE_OBJECT);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const struct kind_info *k = kind_info(kinds[i]);
        value_set(a, v, k->name, value_new_stringf(a, "%s/%s", k->group, k->versions[0]));
    }
    struct buf out;
    buf_init(&out, SMALL_PAGE_BYTES);
    value_write_json(v, &out);
    http_reply(q, 200, "application/json", buf_str(&out));
    buf_done(&out);
}

void pages_reply_health(struct http_request *q, const char *why_not)
{
    if (why_not) {
        http_replyf(q, 503, "%s\n", why_not);
    } else {
        http_reply(q, 200, "text/plain", STR("Health OK"));
    }
}

/* Paths are those of our routes: what strangers ask for is counted as "other". */
void pages_count_reply(void *arg, const struct http_answer *answer)
{
    char code[8];
    snprintf(code, sizeof(code), "%d", answer->status);
    const char *path = answer->route ? answer->route : "other";
    const char *method = answer->method[0] ? answer->method : "other";
    metric_add(METRIC_HTTP_RESPONSE_TOTAL, 1, code, method, path, NULL);
    metric_observe_us(METRIC_HTTP_RESPONSE_DURATION, answer->duration_us, code, method, path, NULL);
}

static const char *known_kind(struct str kind)
{
    for (int k = 0; k < KIND_COUNT; k++) {
        const char *name = kind_info((enum kind)k)->name;
        if (str_is(kind, name)) {
            return name;
        }
    }
    return "other";
}

void pages_count_admission(void *arg, const char *path, struct str kind, int status, bool success,
                           int64_t duration_us)
{
    struct http_answer answer = {"POST", path, status, duration_us};
    metric_add(METRIC_ADMISSION_WEBHOOK_RESPONSE_TOTAL, 1, known_kind(kind),
               success ? "true" : "false", NULL);
    pages_count_reply(NULL, &answer);
}

/* Joins our routes with the daemon's; there is one set of pages in a process. */
int pages_start(const struct http_server_options *options, struct http_server **ret, struct err *e)
{
    static const struct http_route ours[] = {
        {"GET", "/metrics", on_metrics},
        {"GET", "/version", on_version},
    };
    static struct http_route all[16];
    ASSERT(options->n_routes + COUNT_OF(ours) <= COUNT_OF(all));
    memcpy(all, ours, sizeof(ours));
    if (options->n_routes > 0) {
        memcpy(all + COUNT_OF(ours), options->routes, options->n_routes * sizeof(*all));
    }
    struct http_server_options o = *options;
    o.routes = all;
    o.n_routes = COUNT_OF(ours) + options->n_routes;
    o.on_reply = pages_count_reply;
    o.max_body_bytes = LIMIT_PAGE_REQUEST_BYTES;
    return http_server_start(&o, ret, e);
}
