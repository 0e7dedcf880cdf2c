/* osm-healthcheck: tells over HTTP whether a port of its pod takes TCP connections. The kubelet's
 * TCP probes are rewritten to ask here: through the sidecar every connection succeeds.
 *
 * The header Original-Tcp-Port says which port: 200 it can be connected to, 404 it can't, 400 the
 * header isn't there (as in Open Service Mesh). Anybody who reaches the pod may ask, so it tells
 * only of the ports that the pod's probes name: 403 for others. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/command.h"
#include "base/limits.h"
#include "base/log.h"
#include "inject/names.h"
#include "net/http_server.h"

struct check {
    struct http_request *request;
    int64_t port;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *timer;
};

static const char *verbosity = "info", *address = "127.0.0.1";
static struct texts port_names;
static uint16_t ports[LIMIT_POD_PROBES];
static size_t n_ports; /* 0: all */
static struct loop *loop;

static void finish(struct check *c, const char *why_not)
{
    if (why_not) {
        http_replyf(c->request, 404, "port %d of %s: %s\n", (int)c->port, address, why_not);
    } else {
        http_replyf(c->request, 200, "port %d of %s takes connections\n", (int)c->port, address);
    }
    loop_watch_free(c->watch);
    loop_timer_free(c->timer);
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c);
}

static void on_connected(void *arg, int events)
{
    struct check *c = arg;
    int problem = 0;
    socklen_t len = sizeof(problem);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    finish(c, problem ? strerror(problem) : NULL);
}

static void on_late(void *arg)
{
    finish(arg, "no connection in time");
}

/* The address as a socket's, with a port; its length, or 0. */
static socklen_t make_address(struct sockaddr_storage *to, int64_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
    memset(to, 0, sizeof(*to));
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return sizeof(*v6);
    }
    return 0;
}

static bool may_tell(int64_t port)
{
    bool found = n_ports == 0;
    for (size_t i = 0; i < n_ports; i++) {
        found = found || ports[i] == port;
    }
    return found;
}

static int read_ports(struct err *e)
{
    for (size_t i = 0; i < port_names.len; i++) {
        int64_t port;
        if (!str_int(str_of(port_names.at[i]), 1, UINT16_MAX, &port) ||
            n_ports == COUNT_OF(ports)) {
            return err_set(e, "--ports: expected at most %zu ports, found \"%s\"", COUNT_OF(ports),
                           port_names.at[i]);
        }
        ports[n_ports++] = (uint16_t)port;
    }
    return 0;
}

static void on_check(void *arg, struct http_request *q)
{
    struct str header = http_request_header(q, HEALTHCHECK_HEADER);
    struct sockaddr_storage to;
    int64_t port;
    if (!str_int(header, 1, UINT16_MAX, &port)) {
        http_replyf(q, 400, "header " HEALTHCHECK_HEADER ": expected a port, found \"%.*s\"\n",
                    STR_ARG(header));
        return;
    }
    if (!may_tell(port)) {
        http_replyf(q, 403, "port %d: no TCP probe of this pod asks for it\n", (int)port);
        return;
    }
    socklen_t len = make_address(&to, port);
    struct check *c = NEW(struct check);
    c->request = q;
    c->port = port;
    c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)) {
        finish(c, strerror(errno));
        return;
    }
    c->watch = loop_watch_new(loop, c->fd, LOOP_WRITE, on_connected, c);
    c->timer = loop_timer_new(loop, LIMIT_TCP_CHECK_MS, false, on_late, c);
}

static void on_signal(void *arg, int signo)
{
    loop_stop(loop);
}

static int run(const struct args *args, struct err *e)
{
    static const struct http_route routes[] = {{"GET", HEALTHCHECK_PATH, on_check}};
    struct sockaddr_storage probe;
    enum log_level level = LOG_INFO;
    struct http_server *server = NULL;
    signal(SIGPIPE, SIG_IGN);
    log_set_component("osm-healthcheck/main");
    log_set_json(true);
    log_level_parse(str_of(verbosity), &level);
    log_set_level(level);
    if (make_address(&probe, 0) == 0) {
        return err_set(e, "--address: expected an IP address, found \"%s\"", address);
    }
    if (read_ports(e) < 0) {
        return -1;
    }
    loop = loop_new();
    struct http_server_options o = {.loop = loop,
                                    .port = PORT_HEALTHCHECK,
                                    .max_body_bytes = LIMIT_PAGE_REQUEST_BYTES,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes)};
    int rv = http_server_start(&o, &server, e);
    if (rv == 0) {
        log_event(LOG_INFO, "osm-healthcheck answers", "address", address, NULL);
        loop_on_signal(loop, SIGTERM, on_signal, NULL);
        loop_on_signal(loop, SIGINT, on_signal, NULL);
        loop_run(loop);
        http_server_free(server);
    }
    loop_free(loop);
    return rv;
}

int main(int argc, char **argv)
{
    static const struct flag flags[] = {
        {.name = "verbosity",
         .letter = 'v',
         .type = FLAG_STRING,
         .value = "trace|debug|info|warn|error|fatal|panic|disabled",
         .help = "log level",
         .to = &verbosity},
        {.name = "address",
         .type = FLAG_STRING,
         .value = "IP",
         .help = "where the application listens",
         .to = &address},
        {.name = "ports",
         .type = FLAG_LIST,
         .value = "PORT,...",
         .help = "tell of no others; all when not given",
         .to = &port_names},
        {0},
    };
    static const struct command root = {
        .name = "osm-healthcheck",
        .summary = "Tells over HTTP (port 15904) whether a port of this pod takes TCP connections.",
        .flags = flags,
        .run = run,
    };
    return command_run(&root, argc, argv);
}
