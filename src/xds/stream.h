/* One connected proxy: the state machine of its discovery stream, in both protocols. No sockets, no
 * threads, no clock: messages and times go in, responses come out. A stream belongs to one shard.
 *
 * What it promises:
 * - at most one response of a type is in flight; a newer plan replaces one that waits;
 * - a proxy is sent only what differs from what it holds, also after it reconnected (it tells the
 *   versions it has). In the state of the world a difference of clusters or listeners is sent with
 *   all the others, and what is asked for by name is sent again after a reconnect;
 * - make before break: clusters, then their endpoints and secrets, then listeners and routes; what
 *   goes away leaves after nothing uses it any more. A proxy that doesn't ask for the endpoints of
 *   a new cluster delays this by STREAM_AWAIT_MS at most;
 * - a refused resource isn't sent again until its content changes; a refusal that names no resource
 *   is narrowed by sending what it covered once more, one at a time. Clusters and listeners in the
 *   state of the world, where leaving one out deletes it, are sent again when any of them differs.
 * Whose plan it gets is decided by the caller from the peer's certificate, never from the node. */
#ifndef OSM_XDS_STREAM_H
#define OSM_XDS_STREAM_H

#include "base/err.h"
#include "xds/discovery.h"

/* How long listeners and routes wait for a proxy to ask for new clusters' endpoints. Envoy asks at
 * once; this only bounds the wait for a peer that never does. */
#define STREAM_AWAIT_MS 1000

struct stream;

struct stream *stream_new(bool delta);
void stream_free(struct stream *s);
AUTO_DEFINE(struct stream, stream_free)

/* One request. < 0: the call must end with INVALID_ARGUMENT and the error's text. *refused gets the
 * type whose response the proxy refused just now, or XDS_TYPES (see stream_error). */
int stream_on_request(struct stream *s, struct str message, int64_t now_ms, enum xds_type *refused,
                      struct err *e);
/* Bytes that it holds because of what the proxy said, roughly, without what it shares with others.
 */
size_t stream_bytes(const struct stream *s);
/* Of the last request; XDS_TYPES: one that we have nothing of, or none came. */
enum xds_type stream_last_type(const struct stream *s);
/* The first request told what the proxy has: it was connected before. */
bool stream_resumes(const struct stream *s);
/* The plan from now on; takes its own reference. */
void stream_set_plan(struct stream *s, struct plan *plan);
/* It will be needed soon (see mem.h). */
void stream_fetch(const struct stream *s);
/* What to send next, or NULL; call until NULL after every event. The reference is the caller's. */
struct response *stream_next(struct stream *s, struct response_cache *cache, int64_t now_ms);
/* When stream_next should be called again though nothing happened; INT64_MAX: never. */
int64_t stream_wake_at(const struct stream *s);

/* How far the proxy is with a type. */
enum stream_state { STREAM_IDLE, STREAM_SENDING, STREAM_SYNCED, STREAM_REFUSED };
const char *stream_state_name(enum stream_state s);
enum stream_state stream_state(const struct stream *s, enum xds_type t);
/* Envoy's words about what it refused; NULL when it refuses nothing now. */
const char *stream_error(const struct stream *s, enum xds_type t);
/* Hash of what the proxy was given of a type. */
uint64_t stream_version(const struct stream *s, enum xds_type t);

#endif
