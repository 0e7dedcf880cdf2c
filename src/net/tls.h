/* TLS for servers with very many connections: mutual, TLS 1.2 and up, ALPN h2. Contexts are made
 * from PEM held in memory and may be replaced while connections live on. */
#ifndef OSM_NET_TLS_H
#define OSM_NET_TLS_H

#include "base/err.h"
#include "base/str.h"

struct tls_server;

struct tls_server_options {
    struct str chain_pem, key_pem;
    struct str client_ca_pem; /* clients must bear a certificate that one of these signed */
};

/* The strings are only read during the call. Refcounted: connections hold their context. */
int tls_server_new(const struct tls_server_options *options, struct tls_server **ret,
                   struct err *e);
struct tls_server *tls_server_ref(struct tls_server *t);
struct tls_server *tls_server_unref(struct tls_server *t);

/* What the peer's verified certificate says. */
struct tls_peer {
    char common_name[128]; /* empty: none, or too long */
    char uri[512];         /* first URI of the subject's alternative names */
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
/* Goes on with the handshake; TLS_OK when it is done: then the peer is known. */
enum tls_result tls_handshake(struct tls_conn *c, struct tls_peer *peer, struct err *e);
enum tls_result tls_read(struct tls_conn *c, void *buf, size_t size, size_t *n, struct err *e);
enum tls_result tls_write(struct tls_conn *c, const void *buf, size_t size, size_t *n,
                          struct err *e);

#endif
