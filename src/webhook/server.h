/* A webhook: an HTTPS server that the API server asks with AdmissionReviews. Handlers see decoded
 * requests and return verdicts; all that can come in otherwise is answered here. One loop, its
 * thread.
 *
 * A handler that needs only the request and what it has in memory is a function (`decide`). One
 * that must wait for something (a Secret to be created) takes the review (`begin`) and answers it
 * later; many may be under way. */
#ifndef OSM_WEBHOOK_SERVER_H
#define OSM_WEBHOOK_SERVER_H

#include "cert/cert.h"
#include "net/loop.h"
#include "webhook/admission.h"

struct webhook_server;

/* A request being decided; answered exactly once, also after the server was freed or the deadline
 * has passed. Its arena and request last until the answer. */
struct webhook_review {
    struct arena *arena;
    struct admission_request request;
    struct admission_verdict verdict; /* to be filled */
    struct str caller;                /* the address that it came from */
    int64_t deadline; /* monotonic ms: the API server has given up by then (its ?timeout=) */
};

struct webhook_route {
    const char *path; /* "/validate" */
    /* One of the two. decide: fills the verdict, without I/O. */
    void (*decide)(void *arg, struct arena *a, const struct admission_request *q,
                   struct admission_verdict *v);
    void (*begin)(void *arg, struct webhook_review *r);
    void *arg; /* of both */
};

struct webhook_options {
    struct loop *loop;
    const char *host;                   /* NULL: all addresses */
    uint16_t port;                      /* 0: any that is free */
    const struct webhook_route *routes; /* outlive the server */
    size_t n_routes;
    const struct cert *cert; /* see webhook_set_cert */
    struct str client_ca_pem;
    /* Told of each answer, for metrics. kind: of the object, empty when the request wasn't one;
     * success: a verdict was reached, also one that refuses. status: of HTTP. */
    void (*on_answer)(void *arg, const char *path, struct str kind, int status, bool success,
                      int64_t duration_us);
    void *arg;
};

int webhook_start(const struct webhook_options *options, struct webhook_server **ret,
                  struct err *e);
void webhook_free(struct webhook_server *s);
/* Connections end with their next answer. */
void webhook_drain(struct webhook_server *s);
uint16_t webhook_port(const struct webhook_server *s);
/* Another certificate for new connections; those that are open stay. client_ca_pem: only callers
 * with a certificate that one of these roots signed; empty: anybody. */
int webhook_set_cert(struct webhook_server *s, const struct cert *cert, struct str client_ca_pem,
                     struct err *e);

/* Sends the review's verdict; the review is gone after. */
void webhook_answer(struct webhook_review *r);

#endif
