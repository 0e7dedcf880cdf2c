/* The server's side of one HTTP/2 connection that carries gRPC: bytes in, bytes out, no sockets.
 * The same input gives the same result however it is cut, except that nghttp2 counts each piece of
 * a CONTINUATION frame's head towards LIMIT_H2_CONTINUATIONS. */
#ifndef OSM_NET_H2_CONN_H
#define OSM_NET_H2_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/grpc.h"

struct h2_conn;

#define H2_FRAME_BYTES 20480
/* A frame of that much data is just one TLS record of 16,384 bytes, which goes by one write. */
#define H2_DATA_BYTES (16384 - 9)

struct h2_conn_options {
    const struct grpc_service *service; /* outlives the connection */
    const struct tls_peer *peer;        /* NULL without TLS; outlives the connection */
    /* Bytes held for the peer on all its connections, see grpc_call_hold; outlives the connection.
     * NULL: nobody counts. */
    _Atomic size_t *held;
    unsigned shard;
    /* H2_FRAME_BYTES to put frames together in, which all connections of a thread may share: a
     * connection uses it only within h2_conn_send. NULL: each has its own, 16 KiB. */
    char *frame_buffer;
    /* How much of former headers is remembered for the peer, RFC 7541; 0 saves a kilobyte or two,
     * and a peer that keeps to the protocol says so in its first request. */
    uint32_t header_table_bytes;
    /* There is something to send; called from grpc_call_send and _finish, never from h2_conn_recv.
     * Don't call h2_conn_send from it. */
    void (*want_send)(void *arg);
    /* grpc_call_flush; not from within the functions below. May be NULL. */
    void (*send_now)(void *arg);
    void *arg;
};

struct h2_conn *h2_conn_new(const struct h2_conn_options *options);
/* Ends all calls (on_close). Not from a callback of the service. */
void h2_conn_free(struct h2_conn *c);

/* < 0: the peer broke the protocol or a limit; send what is left, then close. */
int h2_conn_recv(struct h2_conn *c, struct str bytes, struct err *e);
/* Appends what is due to out until it holds about `limit` bytes. < 0: close. */
int h2_conn_send(struct h2_conn *c, struct buf *out, size_t limit, struct err *e);
bool h2_conn_wants_send(const struct h2_conn *c);
/* Messages wait, whole or in part: after h2_conn_send, until the peer's window lets them go. */
bool h2_conn_has_unsent(const struct h2_conn *c);
/* How many have gone, whole. */
uint64_t h2_conn_sent(const struct h2_conn *c);
/* Nothing more to read nor to send: close. */
bool h2_conn_finished(const struct h2_conn *c);

/* Did the service ever take a call? */
bool h2_conn_used(const struct h2_conn *c);
/* A message has begun that isn't whole; how many have come whole. */
bool h2_conn_has_part(const struct h2_conn *c);
uint64_t h2_conn_received(const struct h2_conn *c);
/* Asks for an answer; h2_conn_pong_due says whether one is still missing. */
void h2_conn_ping(struct h2_conn *c);
bool h2_conn_pong_due(const struct h2_conn *c);
/* First tells the peer to open no more calls, the second time ends those that are open. */
void h2_conn_shutdown(struct h2_conn *c, bool now);

#endif
