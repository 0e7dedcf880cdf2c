/* What the bookstore's programs share. */
#include "app.h"

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS_MAX = 32, CALL_TIMEOUT_S = 30 };

static struct {
    char name[64];
    uint64_t count;
} counters[COUNTERS_MAX];

const char *app_setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

int app_number(const char *name, int otherwise, int max)
{
    const char *text = getenv(name);
    if (!text || !text[0]) {
        return otherwise;
    }
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || n < 1 || n > max) {
        fprintf(stderr, "%s: expected a number from 1 to %d, found \"%s\"\n", name, max, text);
        exit(2);
    }
    return (int)n;
}

uint64_t app_count(const char *name)
{
    for (int i = 0; i < COUNTERS_MAX; i++) {
        if (counters[i].name[0] == '\0') {
            snprintf(counters[i].name, sizeof(counters[i].name), "%s", name);
        }
        if (strcmp(counters[i].name, name) == 0) {
            return ++counters[i].count;
        }
    }
    return 0;
}

void app_reply(struct evhttp_request *q, int status, const char *fmt, ...)
{
    va_list ap;
    struct evbuffer *body = evbuffer_new();
    va_start(ap, fmt);
    evbuffer_add_vprintf(body, fmt, ap);
    va_end(ap);
    evhttp_add_header(evhttp_request_get_output_headers(q), "content-type", "application/json");
    evhttp_send_reply(q, status, NULL, body);
    evbuffer_free(body);
}

static void on_counters(struct evhttp_request *q, void *arg)
{
    char text[COUNTERS_MAX * 96] = "{";
    size_t len = 1;
    for (int i = 0; i < COUNTERS_MAX && counters[i].name[0]; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\"%s\": %llu", i > 0 ? ", " : "",
                                counters[i].name, (unsigned long long)counters[i].count);
    }
    app_reply(q, HTTP_OK, "%s}\n", text);
}

struct evhttp *app_serve(struct event_base *base, int port)
{
    struct evhttp *server = evhttp_new(base);
    if (!server || evhttp_bind_socket(server, "0.0.0.0", (uint16_t)port) != 0) {
        fprintf(stderr, "port %d: can't listen there\n", port);
        exit(1);
    }
    return server;
}

static void on_term(evutil_socket_t fd, short what, void *base)
{
    event_base_loopbreak(base);
}

struct event_base *app_start(void)
{
    struct event_base *base = event_base_new();
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    event_add(evsignal_new(base, SIGTERM, on_term, base), NULL);
    evhttp_set_cb(app_serve(base, app_number("COUNTERS_PORT", 14002, 65535)), "/counters",
                  on_counters, NULL);
    return base;
}

int app_run(struct event_base *base)
{
    return event_base_dispatch(base) < 0 ? 1 : 0;
}

/* --- calls --- */

struct app_peer {
    struct event_base *base;
    struct evhttp_connection *conn;
    char host[256];
    int port;
};

struct call {
    struct app_peer *peer;
    app_answer_fn *done;
    void *arg;
};

struct app_peer *app_peer_new(struct event_base *base, const char *address)
{
    struct app_peer *p = calloc(1, sizeof(*p));
    if (!p || sscanf(address, "%255[^:]:%d", p->host, &p->port) != 2) {
        fprintf(stderr, "expected HOST:PORT, found \"%s\"\n", address);
        exit(2);
    }
    p->base = base;
    return p;
}

static void on_answer(struct evhttp_request *q, void *arg)
{
    struct call *call = arg;
    int status = q ? evhttp_request_get_response_code(q) : 0;
    struct evbuffer *body = status ? evhttp_request_get_input_buffer(q) : NULL;
    if (body) {
        evbuffer_add(body, "", 1);
    }
    call->done(call->arg, status, body ? (const char *)evbuffer_pullup(body, -1) : "");
    free(call);
}

void app_call(struct app_peer *peer, enum evhttp_cmd_type method, const char *path,
              const char *client, app_answer_fn *done, void *arg)
{
    struct call *call = malloc(sizeof(*call));
    char host[300];
    *call = (struct call){peer, done, arg};
    if (!peer->conn) {
        peer->conn = evhttp_connection_base_new(peer->base, NULL, peer->host, (uint16_t)peer->port);
        evhttp_connection_set_timeout(peer->conn, CALL_TIMEOUT_S);
    }
    struct evhttp_request *q = evhttp_request_new(on_answer, call);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(q);
    snprintf(host, sizeof(host), "%s:%d", peer->host, peer->port);
    evhttp_add_header(headers, "host", host);
    evhttp_add_header(headers, "client-app", client);
    /* libevent frees the request itself when this fails, without calling back. */
    if (evhttp_make_request(peer->conn, q, method, path) != 0) {
        free(call);
        done(arg, 0, "");
    }
}
