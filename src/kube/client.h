/* Requests to the Kubernetes API: blocking for commands and start-up, or on a loop. */
#ifndef OSM_KUBE_CLIENT_H
#define OSM_KUBE_CLIENT_H

#include "base/buf.h"
#include "doc/json_select.h"
#include "doc/value.h"
#include "kinds/object.h"
#include "kube/config.h"
#include "net/loop.h"

struct kube_client;

/* Takes the config. loop NULL: only blocking calls. */
struct kube_client *kube_client_new(struct kube_config *config, struct loop *loop);
void kube_client_free(struct kube_client *c); /* ends what is open, without its callbacks */
const struct kube_config *kube_client_config(const struct kube_client *c);
struct loop *kube_client_loop(const struct kube_client *c); /* NULL: none */

/* What we own in an object that is applied; shown by `kubectl get --show-managed-fields`. */
#define KUBE_FIELD_MANAGER "osm"

struct kube_request {
    const char *method; /* NULL: GET */
    const char *path;   /* with its query, as kube_path makes it */
    const struct value *body;
    const char *content_type;     /* NULL: application/json */
    int64_t timeout_ms;           /* 0: 30 s */
    const struct json_keep *keep; /* of a list: what of each item is wanted; NULL: all */
    bool brief;                   /* of the object in the answer only the metadata is wanted */
    bool brief_list;              /* the same of each item of a list, which is another type */
};

/* Paths live in `a`. namespace empty: all namespaces, or a cluster-scoped kind; name empty: the
 * collection. query, such as "labelSelector=a%3Db", may be NULL (values encoded with http_encode).
 * kube_path: "/apis/split.smi-spec.io/v1alpha4/namespaces/bookstore/trafficsplits/split", by the
 * newest version that we read. */
const char *kube_path(struct arena *a, enum kind kind, struct str namespace, struct str name,
                      const char *query);
/* "split.smi-spec.io/v1alpha4", as kube_path has it. */
const char *kube_api_version(struct arena *a, enum kind kind);
/* For kinds that we don't decode: group_version "apps/v1" or "v1"; subresource may be NULL. */
const char *kube_path_of(struct arena *a, const char *group_version, const char *plural,
                         struct str namespace, struct str name, const char *subresource,
                         const char *query);

/* Of one page of a collection (500 items): path has a query or none; continued is what the page
 * before has in metadata.continue, empty for the first. */
const char *kube_page_path(struct arena *a, const char *path, struct str continued);
/* Calls each for every item of a page that has a name, with the apiVersion and kind that the server
 * leaves out. */
void kube_list_items(struct arena *a, struct value *page, void (*each)(void *arg, struct value *),
                     void *arg);

/* Blocks. Returns the HTTP status, or -1 when there was no answer. When it is -1 or at least 400, e
 * says what was asked for, and what the server said. *ret, when not NULL, gets the decoded answer,
 * in `a`; NULL when it has none. An overloaded server (429) is asked again when it says when, and
 * credentials that are refused (401) are read again once. */
int kube_do(struct kube_client *c, const struct kube_request *q, struct arena *a,
            struct value **ret, struct err *e);

/* The same for what isn't JSON: logs, pages of a pod. ret is init'ed by this; done by the caller
 * also on failure. */
int kube_do_text(struct kube_client *c, const struct kube_request *q, struct buf *ret,
                 struct err *e);

/* The object lasts for the callback. done is called once, never from within kube_start. */
typedef void kube_done_fn(void *arg, int status, struct value *object, const struct err *e);
struct kube_call;
struct kube_call *kube_start(struct kube_client *c, const struct kube_request *q,
                             kube_done_fn *done, void *arg);
void kube_cancel(struct kube_call *call); /* without its callback; only before that was called */

/* Fill a request for an object (its apiVersion, kind, namespace and name say where): apply makes or
 * changes it and takes over the fields in it (server-side apply, forced); create fails with 409
 * when it exists; replace needs its resourceVersion. plural as in "configmaps". */
struct kube_request kube_apply_request(struct arena *a, const char *plural,
                                       const struct value *object);
struct kube_request kube_create_request(struct arena *a, const char *plural,
                                        const struct value *object);
struct kube_request kube_replace_request(struct arena *a, const char *plural,
                                         const struct value *object);
#define KUBE_MERGE_PATCH "application/merge-patch+json"

/* All objects of a collection, page by page (500 each): calls each for every item, which lasts for
 * that call and has the apiVersion and kind that the server leaves out in lists. Blocks. 0, or -1
 * with e. path has a query or none. */
int kube_list(struct kube_client *c, const char *path, void (*each)(void *arg, struct value *item),
              void *arg, struct err *e);

/* The server's version, such as 1.37, from /version. 0, or -1 with e. Blocks. */
int kube_server_version(struct kube_client *c, int *ret_major, int *ret_minor, struct err *e);

#endif
