/* A connection's state, shared by its files: the session (h2_conn.c), the calls on it
 * (grpc_call.c), the memory that nghttp2 asks for (h2_memory.c). */
#ifndef OSM_NET_H2_INTERNAL_H
#define OSM_NET_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/vec.h"
#include "net/h2_conn.h"

/* One stream: a call and its answer. */
struct grpc_call {
    struct h2_conn *conn;
    int32_t id;
    void *user;
    char *path;
    size_t header_bytes, headers;
    bool is_post, is_grpc;
    bool opened;    /* the service knows of it */
    bool held;      /* it has more to send than h2_conn_send takes at once */
    bool replied;   /* response headers are submitted */
    bool finishing; /* status is set */
    bool plain;     /* no gRPC: the answer has a text and no trailers */
    enum grpc_status status;
    char *status_message;
    struct buf in;            /* of a message that isn't whole yet */
    size_t service_bytes;     /* that the service holds for it */
    size_t counted;           /* of all these, in the connection's options.held */
    VEC(struct blob *) queue; /* to be sent */
    size_t sent;              /* of the first in the queue */
    struct grpc_call *prev, *next;
};

struct h2_conn {
    struct h2_conn_options options;
    nghttp2_session *session;
    struct grpc_call *calls;
    bool receiving, pong_due, broken;
    bool used;                                 /* the service took a call */
    int32_t last_id, skipped_from, skipped_to; /* of calls; ids that the peer last left out */
    bool borrowed;                             /* the frame buffer is in use, as one allocation */
    bool no_headers;                           /* the table of sent headers is nobody's */
    bool held;                                 /* a call is */
    int64_t resets_left, resets_at;            /* how many more the peer may send; as of then, ms */
    uint64_t sent, received;                   /* messages, whole */
    struct buf *out;                           /* during h2_conn_send */
    size_t out_limit;
};

struct grpc_call *grpc_call_new(struct h2_conn *conn, int32_t id);
/* Tells the service (on_close). */
void grpc_call_free(struct grpc_call *c);
/* The request's headers are there: the service takes the call, or it ends with the reason. Does
 * nothing when it has ended already. */
void grpc_call_open(struct grpc_call *c);
/* Some of what the peer sends; each message goes to the service when it is whole. */
void grpc_call_receive(struct grpc_call *c, const uint8_t *data, size_t len);

/* For nghttp2's session; `conn` is its user and outlives it. */
nghttp2_mem h2_memory(struct h2_conn *conn);

#endif
