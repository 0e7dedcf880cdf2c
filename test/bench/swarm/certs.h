/* The swarm's certificates: each proxy has one of its own, made as the mesh makes them, by the root
 * that the controller uses too. */
#ifndef BENCH_SWARM_CERTS_H
#define BENCH_SWARM_CERTS_H

#include <openssl/ssl.h>

#include "cert/cert.h"

struct credential {
    X509 *cert;
    EVP_PKEY *key;
};

/* Loads the root from the file, or makes both. Ends the process when it can't. */
void certs_open(const char *ca_file);
struct issuer *certs_issuer(void);
/* Of the sidecar with this uuid, whose workload has this service account. Any thread. */
struct credential certs_issue(const char *uuid, const char *service_account);
void certs_free(struct credential *c);

/* Another root: first it is trusted and its file says so, then it signs, then it is alone. */
void certs_rotate(const char *ca_file);
void certs_rotate_sign(void);
void certs_rotate_end(const char *ca_file);

/* Contexts for mutual TLS with HTTP/2; tickets: sessions are resumed. */
SSL_CTX *certs_client_context(bool tickets);
/* As the controller's own, for the floor. */
SSL_CTX *certs_server_context(void);
/* The roots of now, besides those that it trusts. */
void certs_trust_roots(SSL_CTX *ctx);

/* Is the secret a certificate for this name, signed by a root of ours, with its key? hash: of the
 * body. */
bool certs_check(struct str secret, uint64_t hash, const char *common_name);

#endif
