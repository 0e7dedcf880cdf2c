/* HTTP pages of a daemon: metrics, version, and the health pages that it adds. No page here tells
 * configuration or secrets, so they are served in the clear, on every address. */
#ifndef OSM_OBSERVE_PAGES_H
#define OSM_OBSERVE_PAGES_H

#include "net/http_server.h"

/* As in Open Service Mesh, for all three daemons. */
#define PAGES_PORT 9091

/* Serves /metrics and /version; the routes of options are served too. Requests are counted in the
 * metrics. metrics_init was called before. */
int pages_start(const struct http_server_options *options, struct http_server **ret, struct err *e);

/* "Health OK" with 200; or why not, with 503: then Kubernetes sends no calls, or starts the
 * container anew, after the page that it asked for. */
void pages_reply_health(struct http_request *q, const char *why_not);

/* The kinds of SMI and their versions: for the route /smi/version. */
void pages_on_smi_version(void *arg, struct http_request *q);

/* Counts an answer; for http_server_options.on_reply of other servers. */
void pages_count_reply(void *arg, const struct http_answer *answer);

/* Counts an answer to an admission review; for webhook_options.on_answer. Kinds that aren't ours
 * are counted as "other". */
void pages_count_admission(void *arg, const char *path, struct str kind, int status, bool success,
                           int64_t duration_us);

#endif
