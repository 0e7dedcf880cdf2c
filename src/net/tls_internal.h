/* OpenSSL's view of a TLS server, for the parts of net/ that drive it themselves. */
#ifndef OSM_NET_TLS_INTERNAL_H
#define OSM_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "net/tls.h"

/* For handshakes with client certificates: what decodes keys quickly. NULL: OpenSSL's default, when
 * it is configured to be another. Lives as long as the program; any thread. */
OSSL_LIB_CTX *tls_library(void);

/* A new connection of the server's, in no state yet; SSL_free it. */
SSL *tls_server_ssl(struct tls_server *t);

#endif
