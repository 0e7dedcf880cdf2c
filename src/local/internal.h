/* What the files of the runtime share. */
#ifndef OSM_LOCAL_INTERNAL_H
#define OSM_LOCAL_INTERNAL_H

#include <sys/stat.h>

#include "base/log.h"
#include "cert/cert.h"
#include "inject/inject.h"
#include "local/addresses.h"
#include "local/children.h"
#include "local/controller.h"
#include "local/netlink.h"
#include "local/options.h"
#include "local/pod.h"
#include "local/publish.h"
#include "local/state.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "source/source.h"
#include "store/store.h"

#define OSM_NAMESPACE "osm-system"
#define TRUST_DOMAIN "cluster.local"
#define MESH_CONFIG_NAME "osm-mesh-config"

/* How often everything is looked at when nothing happens. */
enum { TICK_MS = 50 };

struct runtime {
    struct state state;
    struct run_options options;
    bool configured; /* options came */
    struct loop *loop;
    struct loop_timer *tick;
    struct children children;
    struct netlink *netlink;
    char bridge[16], alias[64]; /* of network links */
    int bridge_index;
    unsigned links; /* made so far, for names */
    struct addresses addresses;
    struct store *store; /* what the user wrote: applied objects and manifests */
    struct dir_source *source;
    struct issuer *issuer;
    struct stat root_seen; /* its file, as it was looked at last */
    struct publisher publisher;
    struct controller *process; /* osm-controller */
    struct http_server *http;
    VEC(struct pod_run *) pods;
    bool changed;        /* something that others see */
    bool rescan;         /* the store changed: workloads must be compared with their pods */
    int64_t retry_at_ms; /* what failed is tried again */
    bool ending;
    int64_t end_at_ms;   /* then nobody is waited for */
    char *problem;       /* what the runtime itself suffers from, e.g. a full disk; NULL */
    struct map refusals; /* "Kind/ns/name" -> char *: why its pods can't be made */
};

/* The mesh's root, in the state folder: made when there is none. 0, or -1 with e. */
int roots_load(struct runtime *r, struct err *e);
/* Now and then: another root gives all sidecars another certificate. */
void roots_follow(struct runtime *r);

/* Something that others may see changed: publish it soon. */
void runtime_changed(struct runtime *r);
const struct mesh_config *runtime_mesh_config(const struct runtime *r);
void runtime_inject_options(const struct runtime *r, char gateway[IP_TEXT],
                            struct inject_options *ret);
/* All pods as others see them; free() the array. */
struct pod_view *runtime_views(const struct runtime *r, size_t *ret_n);
struct pod_run *runtime_pod(const struct runtime *r, struct str key);

/* Takes options over; what can't be changed in flight is an error. */
int runtime_configure(struct runtime *r, struct str json, struct err *e);
void runtime_end(struct runtime *r);

/* reconcile.c: makes and ends pods until they are those that the store asks for. */
void workloads_reconcile(struct runtime *r, int64_t now_ms);
/* world.c: writes objects/ and the pods' files of names. */
void runtime_publish(struct runtime *r);
/* api.c: the control socket, <state>/control.sock.
 *
 *   POST /up       options as run.json keeps them; they are taken over and all is made so
 *   GET  /status   what report_write says; ?edges=1 asks all sidecars for their statistics first
 *   GET  /proxy    ?pod=NS/NAME&path=/PAGE: that page of the pod's Envoy
 *   POST /down     ends all pods, then the runtime
 *
 * An answer that isn't 200 has one sentence of plain text. */
int api_start(struct runtime *r, struct err *e);

/* report.c: the status document.
 *   {"name", "ready", "problem", "controller": {"ready", "problem"},
 *    "pods": [{"namespace", "name", "workload", "ready", "done", "phase", "ip", "restarts",
 *              "sidecar", "reason", "containers": [{"name", "pid", "ready", "restarts"}]}],
 *    "edges": [...] when given, "findings": [{"level", "file", "line", "object", "text"}]}
 * A pod's sidecar is one of "-" (it has none), starting, sending, synced, disconnected, or
 * "refused: <Envoy's words>". All is ready when every pod is, and all sidecars are synced. */
void report_write(const struct runtime *r, const struct value *edges, struct buf *out);
/* report_findings.c: those of the status document. `told` is the controller's list; it reads the
 * same files, so that its list has all that ours has, and the mesh's too. NULL: it has said nothing
 * yet. */
struct value *report_findings(struct arena *a, const struct runtime *r, const struct value *told);

/* edges.c: who called whom, from the statistics of all sidecars that answer.
 *   [{"source": "ns/workload", "destination": "ns/service" ("" when the caller's own sidecar
 * refused the call, as nothing is there that it may call), "port", "requests", "connections",
 *     "success_ratio": answers below 400 among all, null without any, "denied": those with 403,
 *     "p50_ms", "p99_ms": of the slowest pod of the source, null without requests}]
 * done is called once, now or later; the value lives as long as that call. */
typedef void edges_done_fn(void *arg, const struct value *edges);
void edges_gather(struct runtime *r, edges_done_fn *done, void *arg);

#endif
