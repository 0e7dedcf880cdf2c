/* Who called whom: the statistics of all sidecars, added up by workload and service. */
#include <stdlib.h>
#include <string.h>

#include "inject/build.h"
#include "local/admin.h"
#include "local/internal.h"

/* What the sidecar itself refused, as nothing that its pod may call is there: one call a
 * connection. */
#define REFUSED "http.outbound-refused.downstream_cx_total"
/* Of Envoy's outbound clusters, "<ns>/<service>|<port>"; those to the pod's own containers end in
 * "|local" and aren't asked for. */
#define STATS_PAGE                                                                                 \
    "/stats?format=json&usedonly&filter=%5Ehttp.outbound-refused.downstream_cx_total%24%7C"        \
    "%5Ecluster%5C.%5B%5E.%5D%2B%2F%5B%5E.%5D%2B%5C%7C%5B0-9%5D%2B%28%5C%7Cdialled%29%3F%5C."      \
    "upstream_"                                                                                    \
    "%28rq_total%7Crq_%5B1-5%5Dxx%7Crq_403%7Ccx_total%7Crq_time%29%24"

/* People wait for it; a sidecar that takes longer hangs. */
enum { STATS_TIMEOUT_MS = 2000 };

struct edge {
    int64_t requests, connections, denied;
    int64_t answers[5]; /* 1xx .. 5xx */
    double p50, p99;    /* -1: none */
};

struct gathering {
    struct map edges; /* "source destination" -> struct edge */
    size_t open;
    edges_done_fn *done;
    void *arg;
};

struct question {
    struct gathering *gathering;
    char *source;
};

/* "cluster.ns/service|port.upstream_what" */
static bool cut_name(struct str name, struct str *cluster, struct str *what)
{
    struct str rest;
    return str_cut(name, '.', cluster, &rest) && str_cut(rest, '.', cluster, what);
}

static struct edge *edge_of(struct question *q, struct str cluster)
{
    AUTO(free) char *key = mem_printf("%s %.*s", q->source, STR_ARG(cluster));
    struct edge *edge = map_find(&q->gathering->edges, str_of(key));
    if (!edge) {
        edge = NEW(struct edge);
        edge->p50 = edge->p99 = -1;
        map_put(&q->gathering->edges, str_of(key), edge);
    }
    return edge;
}

static void count(struct edge *edge, struct str what, int64_t n)
{
    if (str_is(what, "upstream_rq_total")) {
        edge->requests += n;
    } else if (str_is(what, "upstream_cx_total")) {
        edge->connections += n;
    } else if (str_is(what, "upstream_rq_403")) {
        edge->denied += n;
    } else if (str_ends(what, "xx")) {
        edge->answers[what.ptr[what.len - 3] - '1'] += n;
    }
}

static double number_of(const struct value *v)
{
    return !v                       ? -1
           : v->type == VALUE_INT   ? (double)v->integer
           : v->type == VALUE_FLOAT ? v->number
                                    : -1;
}

static void max_to(double *to, const struct value *quantile)
{
    double found = number_of(value_member(quantile, "cumulative"));
    *to = found > *to ? found : *to;
}

static void read_histograms(struct question *q, const struct value *histograms)
{
    const struct value *quantiles = value_at(histograms, "supported_quantiles");
    const struct value *computed = value_at(histograms, "computed_quantiles");
    for (size_t i = 0; quantiles && computed && i < computed->array.len; i++) {
        const struct value *values = value_at(&computed->array.at[i], "values");
        struct str cluster, what;
        if (!values || values->array.len != quantiles->array.len ||
            !cut_name(value_string_at(&computed->array.at[i], "name"), &cluster, &what)) {
            continue;
        }
        struct edge *edge = edge_of(q, cluster);
        for (size_t j = 0; j < quantiles->array.len; j++) {
            double quantile = number_of(&quantiles->array.at[j]);
            if (quantile == 50.0) {
                max_to(&edge->p50, &values->array.at[j]);
            } else if (quantile == 99.0) {
                max_to(&edge->p99, &values->array.at[j]);
            }
        }
    }
}

static void read_stats(struct question *q, struct str body)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    struct value *page;
    struct err e = ERR_INIT;
    if (value_read_json(a, body, &page, &e) < 0) {
        log_event(LOG_WARN, "a sidecar's statistics can't be read", "pods of", q->source, "reason",
                  e.text, NULL);
        return;
    }
    const struct value *stats = value_at(page, "stats");
    for (size_t i = 0; stats && stats->type == VALUE_ARRAY && i < stats->array.len; i++) {
        const struct value *stat = &stats->array.at[i];
        const struct value *n = value_member(stat, "value");
        struct str cluster, what;
        if (value_member(stat, "histograms")) {
            read_histograms(q, value_member(stat, "histograms"));
        } else if (n && n->type == VALUE_INT && str_is(value_string_at(stat, "name"), REFUSED)) {
            struct edge *edge = edge_of(q, STR("|"));
            edge->requests = edge->denied += n->integer;
            edge->answers[3] = edge->denied;
        } else if (n && n->type == VALUE_INT &&
                   cut_name(value_string_at(stat, "name"), &cluster, &what)) {
            count(edge_of(q, cluster), what, n->integer);
        }
    }
}

/* Milliseconds, null when there are none. */
static struct value *ms_value(struct arena *a, double ms)
{
    struct value *v = value_new(a, ms < 0 ? VALUE_NULL : VALUE_FLOAT);
    if (ms >= 0) {
        v->number = ms;
    }
    return v;
}

/* Calls that found no endpoint were answered and not sent; TCP connections are sent and not
 * answered.
 */
static int64_t requests_of(const struct edge *edge)
{
    int64_t answers = 0;
    for (size_t i = 0; i < COUNT_OF(edge->answers); i++) {
        answers += edge->answers[i];
    }
    return answers > edge->requests ? answers : edge->requests;
}

static struct value *ratio_value(struct arena *a, const struct edge *edge)
{
    int64_t good = edge->answers[0] + edge->answers[1] + edge->answers[2];
    int64_t all = good + edge->answers[3] + edge->answers[4];
    struct value *v = value_new(a, all == 0 ? VALUE_NULL : VALUE_FLOAT);
    if (all > 0) {
        v->number = (double)good / (double)all;
    }
    return v;
}

static void finish(struct gathering *g)
{
    AUTO(arena_free) struct arena *a = arena_new(16384);
    struct value *list = value_new(a, VALUE_ARRAY);
    AUTO(free) struct str *keys = map_sorted_keys(&g->edges);
    for (size_t i = 0; i < map_len(&g->edges); i++) {
        const struct edge *edge = map_find(&g->edges, keys[i]);
        struct str source, cluster, service, port;
        str_cut(keys[i], ' ', &source, &cluster);
        str_cut(cluster, '|', &service, &port);
        str_cut(port, '|', &port, &cluster);
        if (requests_of(edge) == 0 && edge->connections == 0) {
            continue;
        }
        value_push(a, list,
                   build_object(a, "source", value_new_string(a, source), "destination",
                                value_new_string(a, service), "port", value_new_string(a, port),
                                "requests", value_new_int(a, requests_of(edge)), "connections",
                                value_new_int(a, edge->connections), "success_ratio",
                                ratio_value(a, edge), "denied", value_new_int(a, edge->denied),
                                "p50_ms", ms_value(a, edge->p50), "p99_ms", ms_value(a, edge->p99),
                                NULL));
    }
    g->done(g->arg, list);
    map_done(&g->edges, free);
    free(g);
}

static void close_one(struct gathering *g)
{
    if (--g->open == 0) {
        finish(g);
    }
}

/* A sidecar that doesn't answer is left out. */
static void on_stats(void *arg, int status, struct str body, const struct err *e)
{
    struct question *q = arg;
    if (status == 200) {
        read_stats(q, body);
    }
    close_one(q->gathering);
    free(q->source);
    free(q);
}

/* "ns/name" of the pod's workload ("Deployment/name"). */
static char *source_of(const struct pod_run *p)
{
    const char *slash = strchr(p->workload, '/');
    return mem_printf("%.*s/%s", STR_ARG(p->pod->object.meta.namespace),
                      slash ? slash + 1 : p->workload);
}

void edges_gather(struct runtime *r, edges_done_fn *done, void *arg)
{
    struct gathering *g = NEW(struct gathering);
    *g = (struct gathering){.open = 1, .done = done, .arg = arg};
    VEC_EACH(r->pods, p) {
        if ((*p)->admin && (*p)->sidecar_ready) {
            struct question *q = NEW(struct question);
            *q = (struct question){g, source_of(*p)};
            g->open++;
            admin_get((*p)->admin, STATS_PAGE, STATS_TIMEOUT_MS, on_stats, q);
        }
    }
    close_one(g);
}
