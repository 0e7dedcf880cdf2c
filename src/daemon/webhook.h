/* A webhook of a daemon: the server with its certificate, and what the API server is told of it.
 * The certificate is the mesh's own, renewed in time; the root that the API server checks it with
 * follows. On the daemon's loop. */
#ifndef OSM_DAEMON_WEBHOOK_H
#define OSM_DAEMON_WEBHOOK_H

#include "daemon/flags.h"
#include "kube/client.h"
#include "webhook/configuration.h"
#include "webhook/server.h"

struct daemon_webhook;

enum daemon_webhook_kind { DAEMON_WEBHOOK_MUTATING, DAEMON_WEBHOOK_VALIDATING };

struct daemon_webhook_options {
    struct loop *loop;
    struct kube_client *client; /* on the loop */
    const struct daemon_flags *flags;
    struct issuer *issuer;
    enum daemon_webhook_kind kind;
    uint16_t port; /* 0: any that is free */
    struct webhook_route route;
    /* ca_bundle, mark and what the flags say is filled in; its name outlives the webhook. */
    struct webhook_configuration configuration;
    /* A PEM file of roots: only callers with a certificate of theirs are answered. Read again when
     * it changes. NULL or empty: anybody. */
    const char *client_ca_path;
    /* A certificate that couldn't be renewed; the old one serves on. NULL: only logged. */
    void (*on_failure)(void *arg, const struct err *e);
    void *arg;
};

/* The flag for client_ca_path, a row of a daemon's table. */
#define DAEMON_WEBHOOK_CLIENT_CA_ROW(variable)                                                     \
    {.name = "webhook-client-ca",                                                                  \
     .type = FLAG_STRING,                                                                          \
     .value = "FILE",                                                                              \
     .help = "answer only callers with a certificate that one of these roots (PEM) signed; the "   \
             "API server has none unless it is given one",                                         \
     .to = &(variable)}

int daemon_webhook_start(const struct daemon_webhook_options *options, struct daemon_webhook **ret,
                         struct err *e);
void daemon_webhook_free(struct daemon_webhook *w);
/* Connections end with their next answer. */
void daemon_webhook_drain(struct daemon_webhook *w);
uint16_t daemon_webhook_port(const struct daemon_webhook *w);
/* Whether this replica writes the configuration to the API server: false after the start. With
 * --enable-reconciler it also puts back what others change. */
void daemon_webhook_write(struct daemon_webhook *w, bool on);
/* What the configuration notes as its mark; copied. */
void daemon_webhook_mark(struct daemon_webhook *w, const char *mark);
/* Every few seconds, and when the issuer's roots have changed: renews what is due. */
void daemon_webhook_tick(struct daemon_webhook *w, int64_t now);
void daemon_webhook_roots_changed(struct daemon_webhook *w, int64_t now);

#endif
