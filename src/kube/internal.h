/* What the parts of kube/ know of each other. */
#ifndef OSM_KUBE_INTERNAL_H
#define OSM_KUBE_INTERNAL_H

#include <sys/stat.h>

#include "base/arena.h"
#include "base/vec.h"
#include "kube/client.h"
#include "kube/config.h"
#include "kube/kubeconfig.h"
#include "net/http_client.h"

/* Text that is given or lies in a file, which is read again when another lies there. */
struct kube_text {
    const char *what; /* "client-certificate", for messages */
    const char *path; /* NULL: given */
    char *text;       /* own; NULL: not read yet, or there is none */
    size_t len;
    struct stat seen;
};

/* What an exec plugin gave. */
struct kube_plugin_credential {
    char *token, *cert, *key; /* own; NULL: none */
    int64_t expires_at;       /* 0: never */
};

struct kube_config {
    struct arena *arena; /* zeroed at the end */
    const char *context, *namespace;
    struct kubeconfig_cluster cluster;
    struct kubeconfig_user user;
    struct kube_text ca, cert, key, token;
    const char *basic; /* "Authorization: Basic ..." */
    struct kube_plugin_credential plugin;
    bool plugin_ran;
    int64_t plugin_ms;   /* how long it may run; 0: LIMIT_KUBE_PLUGIN_MS */
    VEC(char *) headers; /* those of the last kube_config_credentials, and NULL */
};

/* As of now; borrowed until the next call. */
struct kube_credentials {
    struct http_tls tls;
    const char *const *headers;
};
/* Reads files that changed; takes what the exec plugin gave last. 0, or -1 with e. */
int kube_config_credentials(struct kube_config *c, struct kube_credentials *ret, struct err *e);
/* The server answered 401: everything is looked at anew. True when that may help. */
bool kube_config_refused(struct kube_config *c);

/* There is an exec plugin, and it has given nothing yet, or what it gave has expired. */
bool kube_config_needs_plugin(const struct kube_config *c, int64_t now);
/* Runs it when it must. Blocks, at most LIMIT_KUBE_PLUGIN_MS. 0, or -1 with e. */
int kube_config_renew(struct kube_config *c, int64_t now, struct err *e);
/* Takes over what it gave. */
void kube_config_take_plugin(struct kube_config *c, struct kube_plugin_credential fresh);

/* --- one run of an exec plugin --- */

/* Runs the plugin. Blocks. 0, or -1 with e. */
int kube_plugin_run(const struct kube_config *c, struct kube_plugin_credential *ret, struct err *e);
void kube_plugin_done(struct kube_plugin_credential *p);

/* The same step by step, for who has other things to do meanwhile. */
struct kube_plugin_run;
enum kube_plugin_state {
    KUBE_PLUGIN_PRINTS, /* look again when kube_plugin_output can be read */
    KUBE_PLUGIN_ENDS,   /* its output is closed; look again in a moment, until it has ended */
    KUBE_PLUGIN_OVER,   /* it ended, printed too much or took too long */
};
int kube_plugin_start(const struct kube_config *c, struct kube_plugin_run **ret, struct err *e);
int kube_plugin_output(const struct kube_plugin_run *r);
int64_t kube_plugin_left_ms(const struct kube_plugin_run *r); /* look again then at the latest */
enum kube_plugin_state kube_plugin_look(struct kube_plugin_run *r);
/* When it is over: what it gave. Frees the run. 0, or -1 with e. */
int kube_plugin_finish(struct kube_plugin_run *r, struct kube_plugin_credential *ret,
                       struct err *e);
void kube_plugin_free(struct kube_plugin_run *r); /* stops it; takes NULL */

/* --- its runs on a loop: one for all who wait --- */

struct kube_renewal;
struct kube_renewal *kube_renewal_new(struct kube_config *config, struct loop *loop);
void kube_renewal_free(struct kube_renewal *r); /* nobody is told; takes NULL */
/* 1: the credentials are good. 0: a run is under way, and fn(arg, failed) is called when it has
 * ended, with NULL when it gave a credential. -1: no run could be started, e says why. */
typedef void kube_renewed_fn(void *arg, const struct err *failed);
int kube_renewal_await(struct kube_renewal *r, kube_renewed_fn *fn, void *arg, struct err *e);
void kube_renewal_forget(struct kube_renewal *r, const void *arg); /* isn't told */

/* --- of the client, for the parts that run on its loop --- */

struct http_client *kube_client_http(const struct kube_client *c);
struct kube_renewal *kube_client_renewal(const struct kube_client *c);
bool kube_client_refused(struct kube_client *c); /* as kube_config_refused */
/* e, of credentials that can't be had, and -1. */
int kube_explain_credentials(const struct kube_client *c, struct err *e);
/* The call that a request is, with the credentials that there are. Lives in `a`, and credentials
 * until the next one. 0, or -1 with e. */
int kube_http_call(struct kube_client *c, struct arena *a, const struct kube_request *q,
                   struct str body, struct http_call *ret, struct err *e);
/* What the server said when it refused; -1. */
int kube_explain(const struct kube_client *c, const struct kube_request *q, int status,
                 struct str body, struct err *e);
/* The text of a list without what `keep` leaves out of its items, in `out`, which is init'ed by
 * this; the text itself with keep NULL. */
struct str kube_select_items(struct str text, const struct json_keep *keep, struct buf *out);

/* The whole of a file of at most max_bytes. Own, NUL-terminated. */
int kube_read_file(const char *path, size_t max_bytes, char **ret, size_t *ret_len,
                   struct stat *ret_stat, struct err *e);

#endif
