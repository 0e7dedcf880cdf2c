/* The shards' side of the discovery service: calls, streams, and the messages about them. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "xds/ads_internal.h"

/* One call: a stream with its peer. Lives from on_open to on_close, on its shard. */
struct conn {
    uint64_t id;
    struct shard *shard;
    struct grpc_call *call;
    struct stream *stream;
    struct loop_timer *timer;
    char *uuid, *identity, *audience;
};

/* --- posting --- */

struct message {
    void (*run)(struct message *m);
    struct ads *ads;
    struct shard *shard;
    uint64_t id;
    struct client *client;
    char *text;
    int status;
    struct plan *plan;
    struct new_plan *plans;
    size_t n;
    void *collection;
    struct ads_status *part;
};

static void run_message(void *arg)
{
    struct message *m = arg;
    m->run(m);
    free(m->text);
    free(m);
}

static void post(struct loop *loop, struct message m)
{
    loop_post(loop, run_message, mem_memdup(&m, sizeof(m)));
}

static void run_hello(struct message *m)
{
    ads_on_hello(m->ads, m->client);
}

static void run_bye(struct message *m)
{
    ads_on_bye(m->ads, m->id);
}

/* --- a connection's life --- */

static void leave_audience(struct conn *c)
{
    if (!c->audience) {
        return;
    }
    struct map *members = map_find(&c->shard->audiences, str_of(c->audience));
    map_remove(members, id_key(&c->id));
    if (map_len(members) == 0) {
        map_remove(&c->shard->audiences, str_of(c->audience));
        free(members);
    }
    free(c->audience);
    c->audience = NULL;
}

static void join_audience(struct conn *c, const char *audience)
{
    leave_audience(c);
    c->audience = mem_strdup(audience);
    struct map *members = map_find(&c->shard->audiences, str_of(audience));
    if (!members) {
        members = NEW(struct map);
        map_put(&c->shard->audiences, str_of(audience), members);
    }
    map_put(members, id_key(&c->id), c);
}

static void on_timer(void *arg);

/* Sends all that the stream has to say now. */
static void pump(struct conn *c)
{
    struct response *r;
    int64_t now = clock_mono_ms();
    while ((r = stream_next(c->stream, c->shard->cache, now))) {
        grpc_call_send(c->call, r->framed);
        response_unref(r);
    }
    int64_t wake_at = stream_wake_at(c->stream);
    loop_timer_free(c->timer);
    c->timer = NULL;
    if (wake_at != INT64_MAX) {
        c->timer =
            loop_timer_new(c->shard->loop, wake_at > now ? wake_at - now : 1, false, on_timer, c);
    }
}

static void on_timer(void *arg)
{
    pump(arg);
}

static int peer_identity(struct ads *a, struct grpc_call *call, struct proxy_identity *ret,
                         struct err *e)
{
    const struct tls_peer *peer = grpc_call_peer(call);
    if (!peer) {
        return err_set(e, "no client certificate: the connection isn't mutual TLS");
    }
    return proxy_identity_parse(str_of(peer->common_name), str_of(peer->uri),
                                mesh_options(a->options.mesh)->trust_domain, ret, e);
}

static int on_open(void *arg, struct grpc_call *call, struct str path, struct err *e)
{
    struct ads *a = arg;
    struct proxy_identity who;
    if (peer_identity(a, call, &who, e) < 0) {
        return -1;
    }
    struct conn *c = NEW(struct conn);
    c->id = ++a->next_id;
    c->shard = &a->shards[grpc_call_shard(call)];
    c->call = call;
    c->stream = stream_new(str_is(path, DISCOVERY_PATH_DELTA));
    c->uuid = mem_memdup(who.uuid.ptr, who.uuid.len);
    c->identity = mem_printf("%.*s/%.*s", STR_ARG(who.namespace), STR_ARG(who.service_account));
    map_put(&c->shard->streams, id_key(&c->id), c);
    grpc_call_set_user(call, c);
    struct client *client = NEW(struct client);
    *client = (struct client){.id = c->id,
                              .shard = c->shard->index,
                              .uuid = mem_strdup(c->uuid),
                              .identity = mem_strdup(c->identity)};
    post(a->options.brain, (struct message){.run = run_hello, .ads = a, .client = client});
    return 0;
}

static void report_refusal(const struct conn *c, enum xds_type t)
{
    const char *words = stream_error(c->stream, t);
    log_event(LOG_WARN, "proxy refused configuration", "proxy", c->uuid, "identity", c->identity,
              "type", xds_type_name(t), "reason", words ? words : "", NULL);
}

static void on_message(void *arg, struct grpc_call *call, struct str message)
{
    struct conn *c = grpc_call_user(call);
    struct err e = ERR_INIT;
    enum xds_type refused;
    if (stream_on_request(c->stream, message, clock_mono_ms(), &refused, &e) < 0) {
        log_event(LOG_WARN, "discovery request refused", "proxy", c->uuid, "reason", e.text, NULL);
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, e.text);
        return;
    }
    if (refused != XDS_TYPES) {
        report_refusal(c, refused);
    }
    pump(c);
}

static void on_close(void *arg, struct grpc_call *call)
{
    struct ads *a = arg;
    struct conn *c = grpc_call_user(call);
    if (!c) {
        return;
    }
    post(a->options.brain, (struct message){.run = run_bye, .ads = a, .id = c->id});
    leave_audience(c);
    map_remove(&c->shard->streams, id_key(&c->id));
    loop_timer_free(c->timer);
    stream_free(c->stream);
    free(c->uuid);
    free(c->identity);
    free(c);
    grpc_call_set_user(call, NULL);
}

const struct grpc_service ads_grpc_service = {
    .on_open = on_open,
    .on_message = on_message,
    .on_close = on_close,
};

/* --- from the brain --- */

static void run_assign(struct message *m)
{
    struct conn *c = map_find(&m->shard->streams, id_key(&m->id));
    if (c) {
        join_audience(c, m->text);
        stream_set_plan(c->stream, m->plan);
        pump(c);
    }
    plan_unref(m->plan);
}

void shard_assign(struct shard *s, uint64_t id, const char *audience, struct plan *plan)
{
    post(s->loop, (struct message){.run = run_assign,
                                   .shard = s,
                                   .id = id,
                                   .text = mem_strdup(audience),
                                   .plan = plan_ref(plan)});
}

static void run_refuse(struct message *m)
{
    struct conn *c = map_find(&m->shard->streams, id_key(&m->id));
    if (c) {
        log_event(LOG_WARN, "proxy refused", "proxy", c->uuid, "identity", c->identity, "reason",
                  m->text, NULL);
        grpc_call_finish(c->call, m->status, m->text);
    }
}

void shard_refuse(struct shard *s, uint64_t id, int grpc_status, const char *why)
{
    post(s->loop, (struct message){.run = run_refuse,
                                   .shard = s,
                                   .id = id,
                                   .status = grpc_status,
                                   .text = mem_strdup(why)});
}

static void run_plans(struct message *m)
{
    for (size_t i = 0; i < m->n; i++) {
        struct map *members = map_find(&m->shard->audiences, str_of(m->plans[i].audience));
        for (struct map_iter it = members ? map_first(members) : (struct map_iter){0}; it.entry;
             map_next(&it)) {
            struct conn *c = it.value;
            stream_set_plan(c->stream, m->plans[i].plan);
            pump(c);
        }
        plan_unref(m->plans[i].plan);
        free(m->plans[i].audience);
    }
    free(m->plans);
}

void shard_plans(struct shard *s, struct new_plan *plans, size_t n)
{
    post(s->loop, (struct message){.run = run_plans, .shard = s, .plans = plans, .n = n});
}

static void run_shard_status(struct message *m)
{
    ads_on_shard_status(m->ads, m->collection, m->part);
}

static void run_collect(struct message *m)
{
    struct ads_status *part = NEW(struct ads_status);
    MAP_EACH(&m->shard->streams, it) {
        struct conn *c = it.value;
        struct ads_proxy_status p = {.uuid = mem_strdup(c->uuid),
                                     .identity = mem_strdup(c->identity),
                                     .known = c->audience != NULL};
        for (int i = 0; i < XDS_TYPES; i++) {
            enum xds_type t = (enum xds_type)i;
            const char *error = stream_error(c->stream, t);
            p.types[t] =
                (struct ads_type_status){stream_state(c->stream, t), stream_version(c->stream, t),
                                         error ? mem_strdup(error) : NULL};
        }
        VEC_PUSH(part->proxies, p);
    }
    struct ads *a = m->shard->ads;
    post(a->options.brain,
         (struct message){
             .run = run_shard_status, .ads = a, .collection = m->collection, .part = part});
}

void shard_collect_status(struct shard *s, void *collection)
{
    post(s->loop, (struct message){.run = run_collect, .shard = s, .collection = collection});
}
