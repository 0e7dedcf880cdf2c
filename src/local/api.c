/* The control socket: what `osm local` asks of the runtime. */
#include <string.h>

#include "base/limits.h"
#include "local/admin.h"
#include "local/internal.h"

/* Config dumps of large meshes take a while. */
enum { PAGE_TIMEOUT_MS = 20000 };

static void on_up(void *arg, struct http_request *q)
{
    struct err e = ERR_INIT;
    if (runtime_configure(arg, http_request_body(q), &e) < 0) {
        http_replyf(q, 400, "%s\n", e.text);
        return;
    }
    http_reply(q, 200, "text/plain", STR("ok\n"));
}

static void reply_status(struct runtime *r, struct http_request *q, const struct value *edges)
{
    struct buf out;
    buf_init(&out, LIMIT_CONTROL_REPLY_BYTES);
    report_write(r, edges, &out);
    http_reply(q, 200, "application/json", buf_str(&out));
    buf_done(&out);
}

struct status_request {
    struct runtime *runtime;
    struct http_request *request;
};

static void on_edges(void *arg, const struct value *edges)
{
    struct status_request *s = arg;
    reply_status(s->runtime, s->request, edges);
    free(s);
}

static void on_status(void *arg, struct http_request *q)
{
    if (http_request_query(q, "edges").len == 0) {
        reply_status(arg, q, NULL);
        return;
    }
    struct status_request *s = NEW(struct status_request);
    *s = (struct status_request){arg, q};
    edges_gather(arg, on_edges, s);
}

static void on_page(void *arg, int status, struct str body, const struct err *e)
{
    if (status < 0) {
        http_replyf(arg, 502, "the pod's sidecar doesn't answer: %s\n", e->text);
        return;
    }
    http_reply(arg, status, "text/plain", body);
}

static void on_proxy(void *arg, struct http_request *q)
{
    struct str pod = http_request_query(q, "pod"), page = http_request_query(q, "path");
    const struct pod_run *p = runtime_pod(arg, pod);
    if (!p) {
        http_replyf(q, 404, "there is no pod %.*s in this mesh\n", STR_ARG(pod));
    } else if (!p->sidecar) {
        http_replyf(q, 404, "pod %.*s has no sidecar\n", STR_ARG(pod));
    } else if (!p->admin) {
        http_replyf(q, 503, "pod %.*s isn't running\n", STR_ARG(pod));
    } else if (page.len == 0 || page.ptr[0] != '/') {
        http_replyf(q, 400, "path: expected a page such as /config_dump, found \"%.*s\"\n",
                    STR_ARG(page));
    } else {
        AUTO(free) char *path = mem_printf("%.*s", STR_ARG(page));
        admin_get(p->admin, path, PAGE_TIMEOUT_MS, on_page, q);
    }
}

static void on_down(void *arg, struct http_request *q)
{
    http_reply(q, 200, "text/plain", STR("ok\n"));
    runtime_end(arg);
}

int api_start(struct runtime *r, struct err *e)
{
    static const struct http_route routes[] = {
        {"POST", "/up", on_up},
        {"GET", "/status", on_status},
        {"GET", "/proxy", on_proxy},
        {"POST", "/down", on_down},
    };
    AUTO(free) char *path = state_path(&r->state, "control.sock");
    struct http_server_options o = {.loop = r->loop,
                                    .unix_path = path,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = r};
    return http_server_start(&o, &r->http, e);
}
