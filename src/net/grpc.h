/* gRPC calls, as a service sees them: messages in and out of streams. The connection below is
 * HTTP/2 (h2_conn.h); the server (grpc_server.h) drives it. All on the call's shard thread. */
#ifndef OSM_NET_GRPC_H
#define OSM_NET_GRPC_H

#include "base/blob.h"
#include "base/err.h"
#include "base/str.h"
#include "net/tls.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

/* One call; owned by its connection, valid from on_open until on_close returned. */
struct grpc_call;

struct grpc_service {
    void *arg;
    const char *const *paths; /* "/package.Service/Method"; others are UNIMPLEMENTED */
    size_t n_paths;
    /* < 0: the call ends UNAUTHENTICATED with e's text, and on_close isn't called. */
    int (*on_open)(void *arg, struct grpc_call *c, struct str path, struct err *e);
    /* One whole message, at most LIMIT_ADS_REQUEST_BYTES; the view lasts for the call. */
    void (*on_message)(void *arg, struct grpc_call *c, struct str message);
    /* Whatever ended it; the last that is heard of the call. */
    void (*on_close)(void *arg, struct grpc_call *c);
};

/* Queues a message that has its five-byte prefix already, so that all calls share the same bytes,
 * or a part of one: the next follows at once. Takes a reference of its own. Nothing happens after
 * grpc_call_finish. */
void grpc_call_send(struct grpc_call *c, struct blob *framed);
/* Sends what is queued at once instead of in the loop's next turn, while what belongs to the
 * connection is still in the caches. Calls of the same connection may end by that (on_close), also
 * this one; within a callback of the service it does nothing. */
void grpc_call_flush(struct grpc_call *c);
/* Something will be sent soon: fetches into the caches what that needs, first `steps` 3, then 2 and
 * 1, each when what the one before fetched has come. */
void grpc_call_fetch(const struct grpc_call *c, int steps);
/* Ends the call after what is queued; message may be NULL. on_close follows. */
void grpc_call_finish(struct grpc_call *c, enum grpc_status status, const char *message);
/* The prefix and the bytes as one blob. */
struct blob *grpc_frame(struct str message);

/* The client's certificate; NULL without TLS. */
const struct tls_peer *grpc_call_peer(const struct grpc_call *c);
unsigned grpc_call_shard(const struct grpc_call *c);
/* The service now holds so many bytes because of what the peer said on this call. false: with all
 * that the connections of its certificate's name hold, that is more than LIMIT_ADS_PEER_BYTES, and
 * the call is to be ended. */
bool grpc_call_hold(struct grpc_call *c, size_t bytes);
void *grpc_call_user(const struct grpc_call *c);
void grpc_call_set_user(struct grpc_call *c, void *user);

#endif
