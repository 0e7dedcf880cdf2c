/* An application with the health checks that go-httpbin doesn't have: over TLS and over gRPC.
 *
 *     prober --https PORT --grpc PORT [--unhealthy]
 *
 * Unhealthy, it answers them with 500 and NOT_SERVING: no number that a proxy would say by itself.
 */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/command.h"
#include "cert/cert.h"
#include "net/grpc_server.h"
#include "net/http_server.h"

static struct {
    int64_t https_port, grpc_port;
    bool unhealthy;
} options;

static const struct flag flags[] = {
    {.name = "https",
     .type = FLAG_NUMBER,
     .value = "PORT",
     .help = "serve /healthz with TLS here",
     .to = &options.https_port,
     .required = true,
     .min = 1,
     .max = UINT16_MAX},
    {.name = "grpc",
     .type = FLAG_NUMBER,
     .value = "PORT",
     .help = "serve grpc.health.v1.Health here, without TLS",
     .to = &options.grpc_port,
     .required = true,
     .min = 1,
     .max = UINT16_MAX},
    {.name = "unhealthy",
     .type = FLAG_BOOL,
     .help = "say that all is not well",
     .to = &options.unhealthy},
    {0},
};

static void on_health(void *arg, struct http_request *q)
{
    http_replyf(q, options.unhealthy ? 500 : 200, "%s\n", options.unhealthy ? "unwell" : "well");
}

static const struct http_route routes[] = {{"GET", "/healthz", on_health}};

static int on_open(void *arg, struct grpc_call *c, struct str path, struct err *e)
{
    return 0;
}

/* A HealthCheckResponse: field 1, status, is 1 for SERVING and 2 for NOT_SERVING. */
static void on_message(void *arg, struct grpc_call *c, struct str message)
{
    AUTO(blob_unref)
    struct blob *framed = grpc_frame(options.unhealthy ? STR("\x08\x02") : STR("\x08\x01"));
    grpc_call_send(c, framed);
    grpc_call_finish(c, GRPC_OK, NULL);
}

static void on_close(void *arg, struct grpc_call *c)
{
}

static int start_grpc(struct err *e)
{
    static const char *const paths[] = {"/grpc.health.v1.Health/Check"};
    struct grpc_server *server; /* lives as long as the program */
    return grpc_server_start(&(struct grpc_server_options){.host = "0.0.0.0",
                                                           .port = (uint16_t)options.grpc_port,
                                                           .shards = 1,
                                                           .header_table_bytes = 4096,
                                                           .service = {.paths = paths,
                                                                       .n_paths = 1,
                                                                       .on_open = on_open,
                                                                       .on_message = on_message,
                                                                       .on_close = on_close}},
                             &server, e);
}

/* With a certificate that nobody knows: probes don't look at it. */
static int new_tls(struct tls_server **ret, struct err *e)
{
    AUTO(issuer_free) struct issuer *issuer = NULL;
    struct cert *cert = NULL;
    if (issuer_new(&(struct issuer_options){.trust_domain = "prober"}, clock_wall_s(), &issuer, e) <
            0 ||
        issuer_issue_server(issuer, STR("prober"), clock_wall_s(), &cert, e) < 0) {
        return -1;
    }
    int result =
        tls_server_new(&(struct tls_server_options){.chain_pem = blob_str(cert->chain),
                                                    .key_pem = blob_str(cert->private_key)},
                       ret, e);
    cert_unref(cert);
    return result;
}

static void on_signal(void *arg, int signo)
{
    loop_stop(arg);
}

static int run(const struct args *args, struct err *e)
{
    struct tls_server *tls = NULL;
    struct http_server *server = NULL;
    struct loop *loop = loop_new();
    if (new_tls(&tls, e) < 0 || start_grpc(e) < 0 ||
        http_server_start(&(struct http_server_options){.loop = loop,
                                                        .port = (uint16_t)options.https_port,
                                                        .tls = tls,
                                                        .routes = routes,
                                                        .n_routes = COUNT_OF(routes)},
                          &server, e) < 0) {
        return -1;
    }
    loop_on_signal(loop, SIGTERM, on_signal, loop);
    loop_run(loop);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    static const struct command root = {.name = "prober",
                                        .summary = "Answers health checks over TLS and gRPC",
                                        .flags = flags,
                                        .run = run};
    signal(SIGPIPE, SIG_IGN);
    return command_run(&root, argc, argv);
}
