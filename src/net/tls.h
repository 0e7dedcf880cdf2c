/* TLS for servers with very many connections: TLS 1.2 and up, mutual with ALPN h2 unless asked
 * otherwise. Contexts are made from PEM held in memory and may be replaced while connections live
 * on. */
#ifndef OSM_NET_TLS_H
#define OSM_NET_TLS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct tls_server;

struct tls_server_options {
    struct str chain_pem, key_pem;
    /* Clients must bear a certificate that one of these signed, and speak HTTP/2. Empty: a server
     * for anyone, which asks for no certificate and agrees on no protocol (so HTTP/1.1). */
    struct str client_ca_pem;
    bool http1; /* with client_ca_pem: no protocol is agreed on there either */
    /* TLS_TICKET_KEYS secret bytes: a client that comes back resumes its session, with any server
     * that has the same, as long as the same roots are trusted and its certificate hasn't expired.
     * Empty: every connection shakes hands in full. Mutual TLS only. */
    struct str ticket_keys;
};
#define TLS_TICKET_KEYS 80

/* The strings are only read during the call. Refcounted: connections hold their context. */
int tls_server_new(const struct tls_server_options *options, struct tls_server **ret,
                   struct err *e);
struct tls_server *tls_server_ref(struct tls_server *t);
struct tls_server *tls_server_unref(struct tls_server *t);

/* What the peer's verified certificate says; empty: nothing, or too much. One allocation, free()
 * it: there is one for every connection, so it is as small as can be. */
struct tls_peer {
    const char *common_name;
    const char *uri; /* first URI of the subject's alternative names */
    char text[];
};

/* One connection, driven by its owner: no I/O but on the descriptor, non-blocking. */
struct tls_conn;
struct tls_conn *tls_conn_new(struct tls_server *t, int fd);
void tls_conn_free(struct tls_conn *c);

enum tls_result {
    TLS_OK,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_CLOSED, /* by the peer, cleanly or not */
    TLS_FAILED, /* e tells */
};
/* Goes on with the handshake; TLS_OK when it is done: then the peer is known, and the caller's. */
enum tls_result tls_handshake(struct tls_conn *c, struct tls_peer **ret, struct err *e);
enum tls_result tls_read(struct tls_conn *c, void *buf, size_t size, size_t *n, struct err *e);
/* After a read: has more arrived than it took? Else the descriptor tells when to read again. */
bool tls_pending(const struct tls_conn *c);
enum tls_result tls_write(struct tls_conn *c, const void *buf, size_t size, size_t *n,
                          struct err *e);

/* Does this thread keep the buffers of a few records for the next ones? Before it ends it must not.
 */
void tls_keep_buffers(bool keep);

#endif
