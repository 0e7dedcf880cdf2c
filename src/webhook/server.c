/* The webhook's server: HTTP around admission.h. */
#include "webhook/server.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/vec.h"
#include "net/http_server.h"

/* Of a call without ?timeout=, as the API server's own default. */
enum { TIMEOUT_MS = 10000 };

struct webhook_server {
    struct webhook_options options;
    struct http_server *http;
    VEC(struct http_route) routes;
};

struct review {
    struct webhook_review review;   /* first: what handlers know */
    struct webhook_options options; /* a copy, as the server may be gone when we answer */
    struct http_request *http;
    const struct webhook_route *route;
    int64_t begun_us;
};

static void told(const struct review *r, int status, bool success)
{
    if (r->options.on_answer) {
        r->options.on_answer(r->options.arg, r->route->path, r->review.request.kind, status,
                             success, clock_mono_us() - r->begun_us);
    }
}

void webhook_answer(struct webhook_review *review)
{
    struct review *r = (struct review *)review;
    struct buf out;
    buf_init(&out, LIMIT_JSON_BYTES);
    admission_write(review->arena, review->request.uid, &review->verdict, &out);
    told(r, 200, review->verdict.allowed || review->verdict.code < 500);
    http_reply(r->http, 200, "application/json", buf_str(&out));
    buf_done(&out);
    arena_free(review->arena);
    free(r);
}

/* What is no AdmissionReview has no uid to answer to. */
static void refuse(struct review *r, int status, const char *text)
{
    told(r, status, false);
    http_replyf(r->http, status, "%s\n", text);
    arena_free(r->review.arena);
    free(r);
}

/* "?timeout=10s": how long the API server waits. Then an answer is of no use any more. */
static bool read_timeout(struct http_request *q, int64_t *ret_ms)
{
    struct str text = http_request_query(q, "timeout");
    *ret_ms = TIMEOUT_MS;
    return text.len == 0 || (clock_parse_duration(text, ret_ms) && *ret_ms > 0);
}

/* "application/json", with or without parameters after it. */
static bool is_json(struct str content_type)
{
    struct str type, parameters;
    str_cut(content_type, ';', &type, &parameters);
    return str_is_nocase(str_trim(type), "application/json");
}

static void dispatch(struct review *r)
{
    struct webhook_review *review = &r->review;
    if (r->route->begin) {
        r->route->begin(r->route->arg, review);
        return;
    }
    r->route->decide(r->route->arg, review->arena, &review->request, &review->verdict);
    webhook_answer(review);
}

static void on_review(void *arg, struct http_request *q)
{
    struct webhook_server *s = arg;
    struct review *r = NEW(struct review);
    struct str body = http_request_body(q), type = http_request_header(q, "Content-Type");
    int64_t timeout_ms;
    struct err e = ERR_INIT;
    r->options = s->options;
    r->http = q;
    r->begun_us = clock_mono_us();
    r->review.arena = arena_new(65536);
    for (size_t i = 0; i < s->options.n_routes; i++) {
        if (str_is(http_request_path(q), s->options.routes[i].path)) {
            r->route = &s->options.routes[i];
        }
    }
    if (!is_json(type)) {
        err_set(&e, "Content-Type: expected application/json, found \"%.*s\"", STR_ARG(type));
        refuse(r, 415, e.text);
    } else if (body.len == 0) {
        refuse(r, 400, "expected an AdmissionReview, found an empty body");
    } else if (!read_timeout(q, &timeout_ms)) {
        refuse(r, 400, "timeout: expected a duration such as 10s");
    } else if (admission_read(r->review.arena, body, &r->review.request, &e) < 0) {
        refuse(r, 400, e.text);
    } else {
        r->review.caller = arena_str(r->review.arena, http_request_peer(q));
        r->review.deadline = clock_mono_ms() + timeout_ms;
        dispatch(r);
    }
}

static int make_tls(const struct cert *cert, struct str client_ca_pem, struct tls_server **ret,
                    struct err *e)
{
    struct tls_server_options o = {.chain_pem = blob_str(cert->chain),
                                   .key_pem = blob_str(cert->private_key),
                                   .client_ca_pem = client_ca_pem,
                                   .http1 = true};
    return tls_server_new(&o, ret, e);
}

int webhook_start(const struct webhook_options *options, struct webhook_server **ret, struct err *e)
{
    struct tls_server *tls = NULL;
    if (make_tls(options->cert, options->client_ca_pem, &tls, e) < 0) {
        return err_wrap(e, "webhook");
    }
    struct webhook_server *s = NEW(struct webhook_server);
    s->options = *options;
    for (size_t i = 0; i < options->n_routes; i++) {
        VEC_PUSH(s->routes, (struct http_route){"POST", options->routes[i].path, on_review});
    }
    struct http_server_options o = {.loop = options->loop,
                                    .host = options->host,
                                    .port = options->port,
                                    .tls = tls,
                                    .max_body_bytes = LIMIT_ADMISSION_BYTES,
                                    .routes = s->routes.at,
                                    .n_routes = s->routes.len,
                                    .arg = s};
    int rv = http_server_start(&o, &s->http, e);
    tls_server_unref(tls);
    if (rv < 0) {
        webhook_free(s);
        return err_wrap(e, "webhook");
    }
    *ret = s;
    return 0;
}

void webhook_free(struct webhook_server *s)
{
    if (s) {
        http_server_free(s->http);
        VEC_DONE(s->routes);
        free(s);
    }
}

void webhook_drain(struct webhook_server *s)
{
    http_server_drain(s->http);
}

uint16_t webhook_port(const struct webhook_server *s)
{
    return http_server_port(s->http);
}

int webhook_set_cert(struct webhook_server *s, const struct cert *cert, struct str client_ca_pem,
                     struct err *e)
{
    struct tls_server *tls = NULL;
    if (make_tls(cert, client_ca_pem, &tls, e) < 0) {
        return err_wrap(e, "webhook");
    }
    http_server_set_tls(s->http, tls);
    tls_server_unref(tls);
    return 0;
}
