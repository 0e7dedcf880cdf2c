/* Health probes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "local/namespaces.h"
#include "local/probe.h"

/* Only the status line is read. */
enum { ANSWER_MAX = 256 };

struct prober {
    const struct probe *spec;
    struct probe_target target;
    struct probe_count count;
    char detail[256];
    int64_t next_ms, deadline_ms;
    bool busy;
    int fd; /* of a connection; -1: none */
    struct loop_watch *watch;
    bool sent;
    char answer[ANSWER_MAX];
    size_t answered;
    pid_t pid; /* of a command; 0: none */
};

void probe_count_add(struct probe_count *c, const struct probe *spec, bool success)
{
    c->successes = success ? c->successes + 1 : 0;
    c->failures = success ? 0 : c->failures + 1;
    if (c->successes >= spec->success_threshold) {
        c->good = c->decided = true;
    } else if (c->failures >= spec->failure_threshold) {
        c->good = false;
        c->decided = true;
    }
}

struct prober *prober_new(const struct probe *spec, const struct probe_target *target,
                          int64_t now_ms)
{
    struct prober *p = NEW(struct prober);
    p->spec = spec;
    p->target = *target;
    p->next_ms = now_ms + spec->initial_delay_s * 1000;
    p->fd = -1;
    return p;
}

static void stop_attempt(struct prober *p)
{
    if (p->fd >= 0) {
        loop_watch_free(p->watch);
        close(p->fd);
        p->watch = NULL;
        p->fd = -1;
    }
    if (p->pid > 0) {
        children_forget(p->target.children, p);
        kill(p->pid, SIGKILL);
        p->pid = 0;
    }
    p->busy = false;
}

void prober_free(struct prober *p)
{
    if (p) {
        stop_attempt(p);
        free(p);
    }
}

static void result(struct prober *p, bool success, const char *detail)
{
    stop_attempt(p);
    snprintf(p->detail, sizeof(p->detail), "%s", success ? "" : detail);
    probe_count_add(&p->count, p->spec, success);
}

static int64_t port_of(const struct prober *p)
{
    const struct int_or_string *port = &p->spec->port;
    const struct container *c = p->target.container;
    for (size_t i = 0; port->name.len > 0 && i < c->ports.len; i++) {
        if (str_eq(c->ports.at[i].name, port->name)) {
            return c->ports.at[i].container_port;
        }
    }
    return port->number;
}

static void failed(struct prober *p, const char *what)
{
    char text[200];
    const struct probe *s = p->spec;
    if (s->http_get) {
        snprintf(text, sizeof(text), "GET %.*s on port %d: %s", STR_ARG(s->path), (int)port_of(p),
                 what);
    } else {
        snprintf(text, sizeof(text), "port %d: %s", (int)port_of(p), what);
    }
    result(p, false, text);
}

static bool send_request(struct prober *p)
{
    struct buf out;
    buf_init(&out, 16384);
    buf_printf(&out, "GET %.*s%.*s HTTP/1.1\r\n", p->spec->path.len == 0, "/",
               STR_ARG(p->spec->path));
    bool host = false;
    for (size_t i = 0; i < p->spec->headers.len; i++) {
        const struct http_header *h = &p->spec->headers.at[i];
        host = host || str_is_nocase(h->name, "host");
        buf_printf(&out, "%.*s: %.*s\r\n", STR_ARG(h->name), STR_ARG(h->value));
    }
    if (!host) {
        buf_printf(&out, "Host: 127.0.0.1:%d\r\n", (int)port_of(p));
    }
    buf_addz(&out, "User-Agent: kube-probe/osm\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    bool sent = write(p->fd, out.data, out.len) == (ssize_t)out.len;
    buf_done(&out);
    return sent;
}

/* "HTTP/1.1 200 OK": 200 to 399 is healthy. */
static void judge(struct prober *p)
{
    int status = 0;
    p->answer[p->answered] = '\0';
    if (sscanf(p->answer, "HTTP/%*d.%*d %d", &status) != 1) {
        failed(p, "no HTTP answer");
    } else if (status < 200 || status >= 400) {
        char text[32];
        snprintf(text, sizeof(text), "status %d", status);
        failed(p, text);
    } else {
        result(p, true, "");
    }
}

static void on_answer(struct prober *p)
{
    ssize_t n = read(p->fd, p->answer + p->answered, sizeof(p->answer) - 1 - p->answered);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            failed(p, strerror(errno));
        }
        return;
    }
    p->answered += (size_t)n;
    if (n == 0 || p->answered == sizeof(p->answer) - 1 || memchr(p->answer, '\n', p->answered)) {
        judge(p);
    }
}

static void on_event(void *arg, int events)
{
    struct prober *p = arg;
    if (p->sent) {
        on_answer(p);
        return;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
        failed(p, strerror(error));
        return;
    }
    if (!p->spec->http_get) {
        result(p, true, "");
        return;
    }
    if (!send_request(p)) {
        failed(p, "connection lost");
        return;
    }
    p->sent = true;
    loop_watch_free(p->watch);
    p->watch = loop_watch_new(p->target.loop, p->fd, LOOP_READ, on_event, p);
}

static void start_connect(struct prober *p)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port_of(p)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    p->fd =
        socket_in_netns(p->target.netns_fd, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0) {
        failed(p, strerror(errno));
        return;
    }
    p->sent = false;
    p->answered = 0;
    p->watch = loop_watch_new(p->target.loop, p->fd, LOOP_WRITE, on_event, p);
    if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
        failed(p, strerror(errno));
    }
}

static void on_command_end(void *arg, int status)
{
    struct prober *p = arg;
    char text[64];
    p->pid = 0;
    snprintf(text, sizeof(text), "command ended with %d",
             WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    result(p, WIFEXITED(status) && WEXITSTATUS(status) == 0, text);
}

static void start_command(struct prober *p)
{
    struct err e = ERR_INIT;
    if (p->target.exec(p->target.arg, &p->spec->command, &p->pid, &e) < 0) {
        result(p, false, e.text);
        return;
    }
    children_add(p->target.children, p->pid, on_command_end, p);
}

void prober_tick(struct prober *p, int64_t now_ms)
{
    if (p->busy && now_ms >= p->deadline_ms) {
        char text[64];
        snprintf(text, sizeof(text), "no answer in %d s", (int)p->spec->timeout_s);
        if (p->pid > 0) {
            result(p, false, text);
        } else {
            failed(p, text);
        }
    }
    if (p->busy || now_ms < p->next_ms) {
        return;
    }
    p->busy = true;
    p->deadline_ms = now_ms + p->spec->timeout_s * 1000;
    p->next_ms = now_ms + p->spec->period_s * 1000;
    if (p->spec->exec) {
        start_command(p);
    } else {
        start_connect(p);
    }
}

const struct probe_count *prober_count(const struct prober *p)
{
    return &p->count;
}

const char *prober_detail(const struct prober *p)
{
    return p->detail;
}
