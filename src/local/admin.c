/* Talks to a sidecar's admin page. */
#include <stdio.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/vec.h"
#include "inject/names.h"
#include "local/admin.h"
#include "local/namespaces.h"

/* Often while it starts, seldom later. */
enum { READY_POLL_MS = 100, READY_CHECK_MS = 2000, READY_TIMEOUT_MS = 2000 };

struct ask {
    struct admin *admin;
    struct http_transfer *transfer;
    http_done_fn *done;
    void *arg;
};

struct admin {
    struct http_client *client;
    int netns_fd;
    bool ready, asking;
    int64_t next_ms;
    VEC(struct ask *) asks;
};

struct admin *admin_new(struct loop *loop, int netns_fd)
{
    struct admin *a = NEW(struct admin);
    a->client = http_client_new(loop);
    a->netns_fd = netns_fd;
    return a;
}

static void forget(struct admin *a, const struct ask *ask)
{
    for (size_t i = 0; i < a->asks.len; i++) {
        if (a->asks.at[i] == ask) {
            VEC_REMOVE(a->asks, i);
            return;
        }
    }
}

void admin_free(struct admin *a)
{
    if (!a) {
        return;
    }
    struct err e = ERR_INIT;
    err_set(&e, "the sidecar ended");
    while (a->asks.len > 0) {
        struct ask *ask = a->asks.at[a->asks.len - 1];
        a->asks.len--;
        http_cancel(ask->transfer);
        ask->done(ask->arg, -1, STR(""), &e);
        free(ask);
    }
    VEC_DONE(a->asks);
    http_client_free(a->client);
    free(a);
}

static int open_inside(void *arg, int family)
{
    struct admin *a = arg;
    return socket_in_netns(a->netns_fd, family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void on_done(void *arg, int status, struct str body, const struct err *e)
{
    struct ask *ask = arg;
    forget(ask->admin, ask);
    ask->done(ask->arg, status, body, e);
    free(ask);
}

void admin_get(struct admin *a, const char *path, int64_t timeout_ms, http_done_fn *done, void *arg)
{
    static const char *const headers[] = {"User-Agent: osm-local", NULL};
    AUTO(free) char *url = mem_printf("http://127.0.0.1:%d%s", PORT_ADMIN, path);
    struct http_call call = {.url = url,
                             .open_socket = open_inside,
                             .open_arg = a,
                             .headers = headers,
                             .timeout_ms = timeout_ms,
                             .max_bytes = LIMIT_ADMIN_PAGE_BYTES};
    struct ask *ask = NEW(struct ask);
    *ask = (struct ask){.admin = a, .done = done, .arg = arg};
    VEC_PUSH(a->asks, ask);
    ask->transfer = http_start(a->client, &call, on_done, ask);
}

static void on_ready(void *arg, int status, struct str body, const struct err *e)
{
    struct admin *a = arg;
    a->asking = false;
    a->ready = status == 200;
}

bool admin_ready(struct admin *a, int64_t now_ms)
{
    if (!a->asking && now_ms >= a->next_ms) {
        a->asking = true;
        a->next_ms = now_ms + (a->ready ? READY_CHECK_MS : READY_POLL_MS);
        admin_get(a, "/ready", READY_TIMEOUT_MS, on_ready, a);
    }
    return a->ready;
}
