/* What the gRPC server's files share: a connection (grpc_conn.c), the queue of those whose TLS
 * begins (grpc_hello.c), and the shards that they live on (grpc_server.c). A connection is touched
 * by its shard's thread only. */
#ifndef OSM_NET_GRPC_INTERNAL_H
#define OSM_NET_GRPC_INTERNAL_H

#include <pthread.h>

#include "base/buf.h"
#include "base/map.h"
#include "net/grpc_server.h"
#include "net/h2_conn.h"

#define GRPC_SCAN_MS 1000      /* how often a shard looks for connections that are overdue */
#define GRPC_WRITE_BYTES 16384 /* staged for one go: a TLS record */

/* What all connections with certificates of one name have together. */
struct grpc_peer {
    unsigned conns;      /* under peers_lock */
    _Atomic size_t held; /* bytes, see grpc_call_hold */
};

struct grpc_conn {
    struct grpc_shard *shard;
    int fd;
    struct tls_conn *tls;
    struct tls_peer *peer; /* of a finished handshake */
    struct grpc_peer *of;  /* it is one of these; NULL without TLS, or when they were too many */
    struct h2_conn *h2;    /* NULL until the handshake is done */
    struct loop_watch *watch;
    struct buf pending;      /* encrypted writes that didn't fit into the socket */
    int64_t since, heard_at; /* monotonic ms */
    int64_t unsent_since;    /* the same, of the first message that hasn't gone, while unsent */
    uint64_t sent;           /* messages before that */
    int64_t part_since;      /* the same, of a message that isn't whole, while part */
    uint64_t received;       /* messages before that */
    bool unsent, part;
    bool dirty, closing;
    bool greeted; /* its first words wait for their turn */
    bool shaking; /* begun, and no call opened yet */
    bool unread;  /* more of it is read than looked at */
    /* In that order; gone: all is said, and only the peer's end is waited for. */
    enum { LEAVING_NOT, LEAVING_TOLD, LEAVING_ENDED, LEAVING_GONE } leaving;
    unsigned discarded; /* bytes, since it is gone */
    struct grpc_conn *prev, *next, *next_dirty, *next_hello;
};

struct grpc_shard {
    struct grpc_server *server;
    unsigned index;
    pthread_t thread;
    bool running;
    struct loop *loop;
    int listen_fd;
    struct loop_watch *listener;
    struct loop_timer *scan, *resume, *drain;
    int64_t drain_until; /* monotonic ms */
    struct grpc_conn *conns, *dirty;
    struct grpc_conn *hellos, **last_hello;
    bool flush_posted, hellos_posted;
    unsigned shaking; /* connections that are */
    int64_t warned_at;
    unsigned failures;  /* since the last warning */
    struct buf out;     /* staging, one a thread */
    char *frame_buffer; /* of the thread's connections */
};

struct grpc_server {
    struct grpc_service service;
    pthread_mutex_t tls_lock;
    struct tls_server *tls; /* under tls_lock */
    bool plaintext;
    uint16_t port;
    int64_t max_age_ms;
    uint32_t header_table_bytes;
    unsigned n_shards;
    struct grpc_shard *shards;
    _Atomic size_t n_conns;
    pthread_mutex_t peers_lock;
    struct map peers; /* peer_name -> struct grpc_peer; under peers_lock */
};

/* --- a connection --- */

void grpc_conn_new(struct grpc_shard *s, int fd); /* takes the descriptor */
void grpc_conn_free(struct grpc_conn *c);         /* at once */
/* Says what is left to say, and goes when the peer has ended too. */
void grpc_conn_end(struct grpc_conn *c);
/* Reads and writes what can be now; false: it is to be ended. */
bool grpc_conn_go_on(struct grpc_conn *c);
/* A step on its way out: tells the peer, then ends its calls. */
void grpc_conn_send_away(struct grpc_conn *c);
/* Every GRPC_SCAN_MS: frees it when it is overdue, asks whether a silent peer is there, sends an
 * old one away. */
void grpc_conn_scan(struct grpc_conn *c, int64_t now);

/* --- whose turn it is to shake hands --- */

void grpc_hello_wait(struct grpc_conn *c);   /* its first words came: it gets in the queue */
void grpc_hello_forget(struct grpc_conn *c); /* leaves the queue, if it is in it */
void grpc_hello_done(struct grpc_conn *c);   /* its place is another's; takes any connection */

#endif
