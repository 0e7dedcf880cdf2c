/* A gRPC service that answers every message with itself, without TLS: what HTTP/2 tests talk to.
 * Prints its port and runs until SIGTERM. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "net/grpc_server.h"

static int on_open(void *arg, struct grpc_call *c, struct str path, struct err *e)
{
    return 0;
}

static void on_message(void *arg, struct grpc_call *c, struct str message)
{
    struct blob *framed = grpc_frame(message);
    grpc_call_send(c, framed);
    blob_unref(framed);
}

static void on_close(void *arg, struct grpc_call *c)
{
}

int main(void)
{
    static const char *const paths[] = {"/echo.Echo/Echo"};
    struct grpc_server_options o = {.host = "127.0.0.1",
                                    .shards = 2,
                                    .header_table_bytes = 4096, /* h2spec doesn't heed less */
                                    .service = {.paths = paths,
                                                .n_paths = 1,
                                                .on_open = on_open,
                                                .on_message = on_message,
                                                .on_close = on_close}};
    struct grpc_server *s;
    struct err e = ERR_INIT;
    signal(SIGPIPE, SIG_IGN);
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &end, NULL); /* in all threads, which are made after this */
    if (grpc_server_start(&o, &s, &e) < 0) {
        fprintf(stderr, "error: %s\n", e.text);
        return 1;
    }
    printf("%u\n", grpc_server_port(s));
    fflush(stdout);
    int got;
    sigwait(&end, &got);
    grpc_server_free(s);
    return 0;
}
