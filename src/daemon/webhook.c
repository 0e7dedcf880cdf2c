/* A webhook of a daemon. */
#include "daemon/webhook.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "kube/keep.h"
#include "observe/metrics.h"
#include "observe/pages.h"

/* The certificate is <service>.<namespace>.svc's. */
static const struct {
    const char *service, *configuration, *plural;
    const char *error_codes[3]; /* by enum kube_keep_event: what couldn't be done */
    struct value *(*document)(struct arena *a, const struct webhook_configuration *c);
} kinds[] = {
    [DAEMON_WEBHOOK_MUTATING] = {"osm-injector",
                                 "MutatingWebhookConfiguration",
                                 WEBHOOK_MUTATING_PLURAL,
                                 {"E6113", "E7002", "E7003"},
                                 webhook_mutating},
    [DAEMON_WEBHOOK_VALIDATING] = {"osm-validator",
                                   "ValidatingWebhookConfiguration",
                                   WEBHOOK_VALIDATING_PLURAL,
                                   {"E6703", "E7004", "E7005"},
                                   webhook_validating},
};

struct daemon_webhook {
    struct daemon_webhook_options o;
    char *host; /* that the certificate is for */
    char *mark;
    struct cert *cert;
    char *client_ca;       /* the file's text; NULL: anybody may call */
    struct err ca_trouble; /* that was logged */
    struct webhook_server *server;
    struct kube_keep *keep; /* NULL: another replica writes */
};

static int make_cert(struct daemon_webhook *w, int64_t now, struct cert **ret, struct err *e)
{
    return issuer_issue_server(w->o.issuer, str_of(w->host), now, ret, e) < 0
               ? err_wrap(e, "certificate of the webhook")
               : 0;
}

/* NULL: it can't be read, or there is none. Own. */
static char *read_client_ca(const struct daemon_webhook *w, struct err *e)
{
    const char *path = w->o.client_ca_path;
    FILE *f = fopen(path, "re");
    struct buf text;
    char piece[4096];
    size_t n;
    if (!f) {
        err_errno(e, "--webhook-client-ca %s", path);
        return NULL;
    }
    buf_init(&text, LIMIT_CREDENTIAL_BYTES);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0 && !buf_full(&text)) {
        buf_add(&text, piece, n);
    }
    bool broken = ferror(f);
    fclose(f);
    if (broken || buf_full(&text) || text.len == 0) {
        err_set(e,
                "--webhook-client-ca %s: expected PEM certificates of at most %d bytes, found %s",
                path, LIMIT_CREDENTIAL_BYTES, text.len == 0 ? "nothing" : "something else");
        buf_done(&text);
        return NULL;
    }
    return buf_take(&text);
}

static bool wants_client_ca(const struct daemon_webhook *w)
{
    return w->o.client_ca_path && *w->o.client_ca_path;
}

int daemon_webhook_start(const struct daemon_webhook_options *options, struct daemon_webhook **ret,
                         struct err *e)
{
    struct daemon_webhook *w = NEW(struct daemon_webhook);
    w->o = *options;
    w->host = mem_printf("%s.%s.svc", kinds[options->kind].service, options->flags->osm_namespace);
    w->o.configuration.mesh_name = options->flags->mesh_name;
    w->o.configuration.osm_namespace = options->flags->osm_namespace;
    w->o.configuration.osm_version = options->flags->osm_version;
    if (make_cert(w, clock_wall_s(), &w->cert, e) < 0 ||
        (wants_client_ca(w) && !(w->client_ca = read_client_ca(w, e)))) {
        daemon_webhook_free(w);
        return -1;
    }
    struct webhook_options o = {.loop = options->loop,
                                .port = options->port,
                                .routes = &w->o.route,
                                .n_routes = 1,
                                .cert = w->cert,
                                .client_ca_pem = str_of(w->client_ca),
                                .on_answer = pages_count_admission};
    if (webhook_start(&o, &w->server, e) < 0) {
        daemon_webhook_free(w);
        return -1;
    }
    *ret = w;
    return 0;
}

void daemon_webhook_free(struct daemon_webhook *w)
{
    if (!w) {
        return;
    }
    kube_keep_free(w->keep);
    if (w->server) {
        webhook_free(w->server);
    }
    cert_unref(w->cert);
    free(w->client_ca);
    free(w->host);
    free(w->mark);
    free(w);
}

void daemon_webhook_drain(struct daemon_webhook *w)
{
    webhook_drain(w->server);
}

uint16_t daemon_webhook_port(const struct daemon_webhook *w)
{
    return webhook_port(w->server);
}

/* --- what the API server is told --- */

static void on_keep(void *arg, enum kube_keep_event event, struct str name,
                    const struct err *failed)
{
    const struct daemon_webhook *w = arg;
    const char *which = w->o.configuration.name;
    if (failed) {
        log_event(LOG_ERROR, "the API server couldn't be told of the webhook; trying again",
                  "configuration", which, "reason", failed->text, "error_code",
                  kinds[w->o.kind].error_codes[event], NULL);
    } else if (event == KUBE_KEEP_APPLIED) {
        log_event(LOG_INFO, "the API server knows the webhook", "configuration", which, NULL);
    } else {
        log_event(LOG_WARN,
                  event == KUBE_KEEP_DELETED
                      ? "the webhook's configuration was deleted; it is made again"
                      : "the webhook's configuration was changed; it is put back",
                  "configuration", which, NULL);
        metric_add(METRIC_RECONCILIATION_TOTAL, 1, kinds[w->o.kind].configuration, NULL);
    }
}

static void set_document(struct daemon_webhook *w)
{
    AUTO(blob_unref) struct blob *roots = issuer_roots(w->o.issuer);
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct webhook_configuration c = w->o.configuration;
    c.ca_bundle = blob_str(roots);
    c.mark = w->mark;
    kube_keep_set(w->keep, kinds[w->o.kind].document(a, &c));
}

void daemon_webhook_write(struct daemon_webhook *w, bool on)
{
    if (!on) {
        kube_keep_free(w->keep);
        w->keep = NULL;
    } else if (!w->keep) {
        AUTO(free) char *ours = mem_printf("metadata.name=%s", w->o.configuration.name);
        struct kube_keep_options o = {.client = w->o.client,
                                      .group_version = WEBHOOK_GROUP_VERSION,
                                      .plural = kinds[w->o.kind].plural,
                                      .watch = w->o.flags->enable_reconciler,
                                      .field_selector = ours,
                                      .on_event = on_keep,
                                      .arg = w};
        w->keep = kube_keep_start(&o);
        set_document(w);
    }
}

void daemon_webhook_mark(struct daemon_webhook *w, const char *mark)
{
    free(w->mark);
    w->mark = mem_strdup(mark);
    if (w->keep) {
        set_document(w);
    }
}

/* --- certificates --- */

static void renew(struct daemon_webhook *w, int64_t now)
{
    struct err e = ERR_INIT;
    struct cert *fresh = NULL;
    if (make_cert(w, now, &fresh, &e) == 0 &&
        webhook_set_cert(w->server, fresh, str_of(w->client_ca), &e) == 0) {
        cert_unref(w->cert);
        w->cert = fresh;
        return;
    }
    cert_unref(fresh);
    log_event(LOG_ERROR, "the webhook keeps its old certificate", "reason", e.text, "error_code",
              "E4017", NULL);
    if (w->o.on_failure) {
        w->o.on_failure(w->o.arg, &e);
    }
}

/* A file that is gone or broken leaves the roots as they were: nobody else is let in. */
static void follow_client_ca(struct daemon_webhook *w)
{
    struct err e = ERR_INIT;
    AUTO(free) char *now = wants_client_ca(w) ? read_client_ca(w, &e) : NULL;
    if (now && strcmp(now, w->client_ca) != 0 &&
        webhook_set_cert(w->server, w->cert, str_of(now), &e) == 0) {
        free(w->client_ca);
        w->client_ca = TAKE(now);
    }
    if (e.text[0] && strcmp(e.text, w->ca_trouble.text) != 0) {
        log_event(LOG_ERROR, "the roots of the webhook's callers stay as they were", "reason",
                  e.text, NULL);
    }
    w->ca_trouble = e;
}

void daemon_webhook_tick(struct daemon_webhook *w, int64_t now)
{
    follow_client_ca(w);
    if (cert_due(w->cert, w->o.issuer, now)) {
        renew(w, now);
    }
}

/* The API server learns of new roots before the certificate is one of theirs: they are trusted some
 * time before the first of them signs. */
void daemon_webhook_roots_changed(struct daemon_webhook *w, int64_t now)
{
    if (w->keep) {
        set_document(w);
    }
    daemon_webhook_tick(w, now);
}
