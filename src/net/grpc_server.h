/* A gRPC server for very many long-lived connections: N threads ("shards"), each with its own loop
 * and listening socket (SO_REUSEPORT); a connection lives on one. TLS and HTTP/2 are driven without
 * buffers of their own, so that an idle connection costs little. */
#ifndef OSM_NET_GRPC_SERVER_H
#define OSM_NET_GRPC_SERVER_H

#include "net/grpc.h"
#include "net/loop.h"

struct grpc_server;

struct grpc_server_options {
    const char *host; /* address to listen on, "0.0.0.0", "::" (both families) */
    uint16_t port;    /* 0: any */
    unsigned shards;
    struct tls_server *tls; /* takes the reference; NULL: plaintext, for tests */
    struct grpc_service service;
    uint32_t header_table_bytes; /* see h2_conn.h */
    /* Connections that are this old are sent away (their clients connect again, perhaps to another
     * server, so that load spreads); 0: never. Up to a quarter earlier, each at its own time. */
    int64_t max_age_ms;
};

/* Starts the threads. A port that is taken is an error that says so. */
int grpc_server_start(const struct grpc_server_options *options, struct grpc_server **ret,
                      struct err *e);
uint16_t grpc_server_port(const struct grpc_server *s);
struct loop *grpc_server_shard_loop(struct grpc_server *s, unsigned shard);
/* For new handshakes from now on; takes the reference. Any thread. */
void grpc_server_set_tls(struct grpc_server *s, struct tls_server *tls);
/* Stops accepting and tells clients to go elsewhere, in equal parts spread over the time, so that
 * those who take them over aren't overrun. Any thread but a shard's; returns at once. */
void grpc_server_start_drain(struct grpc_server *s, int64_t over_ms);
/* The same without spreading; waits until all have gone or ms are over. Not from a shard's thread.
 */
void grpc_server_drain(struct grpc_server *s, int64_t ms);
/* Closes everything and ends the threads. */
void grpc_server_free(struct grpc_server *s);
size_t grpc_server_connections(const struct grpc_server *s);

#endif
