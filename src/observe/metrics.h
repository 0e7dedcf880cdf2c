/* What Prometheus reads: counters, gauges and histograms by name and labels, the names being those
 * of Open Service Mesh. One table (metrics.c) holds them all. A process says once which program it
 * is; the metrics of the others are then neither kept nor shown.
 *
 * Any thread may count: known label sets cost a lookup and an atomic addition. The label sets of
 * one metric are bounded (LIMIT_METRIC_SERIES): past that, what is new is counted with the value
 * "other" in each label, so that nobody fills our memory by making up names. For the same reason no
 * metric is labelled with a proxy's uuid, which every new pod has anew: what one proxy does is in
 * the status document. */
#ifndef OSM_OBSERVE_METRICS_H
#define OSM_OBSERVE_METRICS_H

#include <stdint.h>

#include "base/buf.h"

enum metric {
    METRIC_K8S_API_EVENT_COUNT,      /* type, namespace */
    METRIC_RESOURCE_NAMESPACE_COUNT, /* gauge */
    METRIC_EVENTS_QUEUED,            /* gauge */
    METRIC_PROXY_CONNECT_COUNT,      /* gauge */
    METRIC_PROXY_RECONNECT_COUNT,
    METRIC_PROXY_MAX_CONNECTIONS_REJECTED,
    METRIC_PROXY_BROADCAST_EVENT_COUNT,
    METRIC_PROXY_CONFIG_UPDATE_TIME,          /* histogram; resource_type, success */
    METRIC_PROXY_XDS_REQUEST_COUNT,           /* type */
    METRIC_PROXY_RESPONSE_SEND_SUCCESS_COUNT, /* type */
    METRIC_PROXY_RESPONSE_SEND_ERROR_COUNT,   /* type */
    METRIC_PROXY_RESPONSE_REFUSED_COUNT,      /* type */
    METRIC_ADMISSION_WEBHOOK_RESPONSE_TOTAL,  /* kind, success */
    METRIC_CERT_ISSUED_COUNT,
    METRIC_CERT_ISSUED_TIME,       /* histogram */
    METRIC_ERROR_ERR_CODE_COUNT,   /* err_code */
    METRIC_HTTP_RESPONSE_TOTAL,    /* code, method, path */
    METRIC_HTTP_RESPONSE_DURATION, /* histogram; code, method, path */
    METRIC_FEATURE_FLAG_ENABLED,   /* gauge; feature_flag */
    METRIC_VERSION_INFO,           /* gauge, always 1; version, build_date, git_commit */
    METRIC_LEASE_HELD,             /* gauge */
    METRIC_RECONCILIATION_TOTAL,   /* kind */
    METRIC_COUNT,
};

enum metrics_program {
    METRICS_CONTROLLER = 1,
    METRICS_INJECTOR = 2,
    METRICS_BOOTSTRAP = 4,
};

/* Once, before other threads count. From here on logged error codes are counted too. */
void metrics_init(enum metrics_program program);
/* Forgets everything; for a clean end when no other thread counts any more. */
void metrics_done(void);

/* Labels follow as C strings in the order above, ended by NULL:
 *   metric_add(METRIC_HTTP_RESPONSE_TOTAL, 1, "200", "GET", "/metrics", NULL); */
void metric_add(enum metric m, uint64_t n, ...) __attribute__((sentinel));
void metric_set(enum metric m, int64_t value, ...) __attribute__((sentinel));     /* gauges */
void metric_observe_us(enum metric m, int64_t us, ...) __attribute__((sentinel)); /* histograms */

/* fn(arg) is called before each metrics_write, on its thread: for what is looked up and not
 * counted. One; NULL: none. */
void metrics_on_collect(void (*fn)(void *arg), void *arg);

/* The text format of Prometheus, version 0.0.4; in the order of the table, series sorted. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metrics_write(struct buf *out);

#endif
