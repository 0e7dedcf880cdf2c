/* The brain's side of the discovery service: who is connected and which plan is theirs. */
#include "xds/ads.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "xds/ads_internal.h"

/* The server's own certificate is as long-lived as those of sidecars; the issuer decides. */
static int make_cert(struct ads *a, int64_t now, struct err *e)
{
    AUTO(free) char *cn = mem_printf("ads.%s", mesh_options(a->options.mesh)->trust_domain);
    struct cert *fresh = NULL;
    if (issuer_issue_server(a->options.issuer, str_of(cn), now, &fresh, e) < 0) {
        return err_wrap(e, "certificate of the ADS server");
    }
    cert_unref(a->cert);
    a->cert = fresh;
    return 0;
}

static int make_tls(struct ads *a, struct tls_server **ret, struct err *e)
{
    AUTO(blob_unref) struct blob *roots = issuer_roots(a->options.issuer);
    char keys[TLS_TICKET_KEYS];
    issuer_secret(a->options.issuer, "session tickets of ADS", keys, sizeof(keys));
    struct tls_server_options o = {.chain_pem = blob_str(a->cert->chain),
                                   .key_pem = blob_str(a->cert->private_key),
                                   .client_ca_pem = blob_str(roots),
                                   .ticket_keys = {keys, sizeof(keys)}};
    int status = tls_server_new(&o, ret, e);
    explicit_bzero(keys, sizeof(keys));
    return status;
}

static unsigned default_shards(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
}

int ads_start(const struct ads_options *options, struct ads **ret, struct err *e)
{
    struct ads *a = NEW(struct ads);
    a->options = *options;
    a->n_shards = options->shards ? options->shards : default_shards();
    a->shards = mem_zalloc(a->n_shards * sizeof(*a->shards));
    struct tls_server *tls = NULL;
    if (make_cert(a, clock_wall_s(), e) < 0 || make_tls(a, &tls, e) < 0) {
        ads_free(a);
        return -1;
    }
    struct grpc_service service = ads_grpc_service;
    service.arg = a;
    struct grpc_server_options o = {.host = options->host,
                                    .port = options->port,
                                    .shards = a->n_shards,
                                    .max_age_ms = options->max_age_ms,
                                    .tls = tls,
                                    .service = service};
    static const char *const paths[] = {DISCOVERY_PATH_SOTW, DISCOVERY_PATH_DELTA};
    o.service.paths = paths;
    o.service.n_paths = COUNT_OF(paths);
    for (unsigned i = 0; i < a->n_shards; i++) {
        a->shards[i].ads = a;
        a->shards[i].index = i;
        a->shards[i].cache = response_cache_new();
    }
    if (grpc_server_start(&o, &a->server, e) < 0) {
        ads_free(a);
        return -1;
    }
    for (unsigned i = 0; i < a->n_shards; i++) {
        a->shards[i].loop = grpc_server_shard_loop(a->server, i);
    }
    *ret = a;
    return 0;
}

uint16_t ads_port(const struct ads *a)
{
    return grpc_server_port(a->server);
}

void ads_free(struct ads *a)
{
    if (!a) {
        return;
    }
    grpc_server_free(a->server);
    for (unsigned i = 0; i < a->n_shards; i++) {
        response_cache_free(a->shards[i].cache);
        map_done(&a->shards[i].streams, NULL);
        map_done(&a->shards[i].audiences, NULL);
    }
    clients_done(&a->clients);
    cert_unref(a->cert);
    free(a->shards);
    free(a);
}

/* --- answering proxies --- */

static void refuse(struct ads *a, const struct client *c, int status, const char *why,
                   const char *code)
{
    shard_refuse(&a->shards[c->shard], c->id, status, why, code);
}

static bool too_many(const struct ads *a)
{
    int64_t max = mesh_config(a->options.mesh)->sidecar.max_data_plane_connections;
    return max > 0 && a->clients.len > (size_t)max;
}

/* A pod may be seen later than its sidecar. One that goes is there until its containers have ended,
 * so that its sidecar is served to the end; what holds its certificate afterwards is somebody else.
 * Of a namespace that left the mesh nothing is known, and pods are still there: they keep what they
 * have, and are told nothing new. */
static void answer_without_pod(struct ads *a, struct client *c)
{
    int64_t now = clock_mono_ms();
    if (c->audience && !mesh_policy_find(a->options.mesh, str_of(c->identity))) {
        c->refuse_at = INT64_MAX;
    } else if (c->refuse_at == INT64_MAX) {
        c->refuse_at = now + ADS_UNKNOWN_POD_MS;
    } else if (now >= c->refuse_at) {
        refuse(a, c, GRPC_PERMISSION_DENIED,
               "did not find pod for uuid: no pod of this mesh bears the label osm-proxy-uuid "
               "that the certificate names",
               "E5002");
    }
}

static void assign(struct ads *a, struct client *c, struct str audience)
{
    struct plan *plan = planner_plan(a->options.planner, audience);
    c->refuse_at = INT64_MAX;
    if (plan && !(c->audience && str_is(audience, c->audience))) {
        free(c->audience);
        c->audience = mem_memdup(audience.ptr, audience.len);
        shard_assign(&a->shards[c->shard], c->id, c->audience, plan);
    }
}

/* Gives a proxy its plan, or refuses it, or leaves it waiting for its pod. */
static void answer(struct ads *a, struct client *c)
{
    const struct mesh_proxy *p = mesh_proxy_find(a->options.mesh, str_of(c->uuid));
    const struct mesh_proxy_pod *pod = mesh_proxy_pod(p, str_of(c->identity));
    if (pod) {
        assign(a, c, pod->audience);
    } else if (p) {
        refuse(a, c, GRPC_PERMISSION_DENIED,
               "service account does not match proxy: the certificate was made for another "
               "workload than the pod that bears its uuid",
               "E5010");
    } else {
        answer_without_pod(a, c);
    }
    clients_wait(&a->clients, c, !pod || !c->audience);
}

static void answer_waiting(struct ads *a)
{
    for (struct client *c = a->clients.waiting, *next; a->ready && c; c = next) {
        next = c->next_waiting;
        answer(a, c);
    }
}

/* Whoever has one of these uuids; of thousands of clients no other is looked at. */
static void answer_changed(struct ads *a, const struct mesh_delta *delta)
{
    VEC_EACH(delta->proxies, uuid) {
        for (struct client *c = clients_find(&a->clients, *uuid); c; c = c->next) {
            answer(a, c);
        }
    }
}

void ads_on_hello(struct ads *a, struct client *c)
{
    c->refuse_at = clock_mono_ms() + ADS_UNKNOWN_POD_MS;
    clients_add(&a->clients, c);
    clients_wait(&a->clients, c, true);
    if (too_many(a)) {
        if (a->options.observer) {
            a->options.observer->refused_full();
        }
        refuse(a, c, GRPC_RESOURCE_EXHAUSTED,
               "too many connections: MeshConfig's sidecar.maxDataPlaneConnections is reached",
               NULL);
        return;
    }
    if (a->ready) {
        answer(a, c);
    }
}

void ads_on_bye(struct ads *a, struct client *c)
{
    clients_remove(&a->clients, c);
}

/* --- plans --- */

static size_t send_plans(struct ads *a)
{
    AUTO(arena_free) struct arena *arena = arena_new(4096);
    struct strs changed = planner_take_changed(a->options.planner, arena);
    for (unsigned i = 0; changed.len > 0 && i < a->n_shards; i++) {
        struct new_plan *plans = mem_array(NULL, changed.len, sizeof(*plans));
        for (size_t k = 0; k < changed.len; k++) {
            plans[k].audience = mem_memdup(changed.at[k].ptr, changed.at[k].len);
            plans[k].plan = plan_ref(planner_plan(a->options.planner, changed.at[k]));
        }
        shard_plans(&a->shards[i], plans, changed.len);
    }
    return changed.len;
}

size_t ads_mesh_changed(struct ads *a, const struct mesh_delta *delta)
{
    size_t changed = send_plans(a);
    if (a->ready) {
        answer_changed(a, delta);
    } else {
        a->ready = true;
        answer_waiting(a);
    }
    return changed;
}

void ads_roots_changed(struct ads *a, int64_t now)
{
    struct err e = ERR_INIT;
    struct tls_server *tls = NULL;
    if (make_cert(a, now, &e) < 0 || make_tls(a, &tls, &e) < 0) {
        log_event(LOG_ERROR, "the ADS server keeps its old certificate", "reason", e.text,
                  "error_code", "E4017", NULL);
        return;
    }
    grpc_server_set_tls(a->server, tls);
}

void ads_tick(struct ads *a, int64_t now)
{
    send_plans(a);
    answer_waiting(a);
    for (unsigned i = 0; i < a->n_shards; i++) {
        shard_age(&a->shards[i]);
    }
    if (cert_due(a->cert, a->options.issuer, now)) {
        ads_roots_changed(a, now);
    }
}

/* --- status --- */

struct collection {
    void (*done)(void *arg, const struct ads_status *s);
    void *arg;
    unsigned missing;
    struct ads_status all;
};

void ads_status_done(struct ads_status *s)
{
    VEC_EACH(s->proxies, p) {
        free(p->uuid);
        free(p->identity);
        for (int t = 0; t < XDS_TYPES; t++) {
            free(p->types[t].error);
        }
    }
    VEC_DONE(s->proxies);
}

void ads_on_shard_status(struct ads *a, void *arg, struct ads_status *part)
{
    struct collection *c = arg;
    VEC_EACH(part->proxies, p) {
        VEC_PUSH(c->all.proxies, *p);
    }
    VEC_DONE(part->proxies);
    free(part);
    if (--c->missing == 0) {
        c->done(c->arg, &c->all);
        ads_status_done(&c->all);
        free(c);
    }
}

void ads_collect_status(struct ads *a, void (*done)(void *arg, const struct ads_status *s),
                        void *arg)
{
    struct collection *c = NEW(struct collection);
    *c = (struct collection){.done = done, .arg = arg, .missing = a->n_shards};
    for (unsigned i = 0; i < a->n_shards; i++) {
        shard_collect_status(&a->shards[i], c);
    }
}

/* --- is everybody there --- */

struct ping {
    void (*done)(void *arg);
    void *arg;
    unsigned missing;
};

static void on_pong(void *arg)
{
    struct ping *p = arg;
    if (--p->missing == 0) {
        p->done(p->arg);
        free(p);
    }
}

void ads_ping(struct ads *a, void (*done)(void *arg), void *arg)
{
    struct ping *p = NEW(struct ping);
    *p = (struct ping){.done = done, .arg = arg, .missing = a->n_shards};
    for (unsigned i = 0; i < a->n_shards; i++) {
        shard_ping(&a->shards[i], on_pong, p);
    }
}

size_t ads_connected(const struct ads *a)
{
    return a->clients.len;
}

void ads_start_drain(struct ads *a, int64_t over_ms)
{
    grpc_server_start_drain(a->server, over_ms);
}

void ads_drain(struct ads *a, int64_t ms)
{
    grpc_server_drain(a->server, ms);
}
