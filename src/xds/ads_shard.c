/* The shards' side of the discovery service: calls, streams, and the messages about them. */
#include "base/clock.h"
#include "base/log.h"
#include "xds/ads_internal.h"

/* Proxies of this shard that are told the same. */
struct audience {
    char *key;
    VEC(struct conn *) members;
};

/* One call: a stream with its peer. Lives from on_open to on_close, on its shard. */
struct conn {
    uint64_t id;
    struct shard *shard;
    struct grpc_call *call; /* NULL: it was closed, and a walk still leads here */
    struct stream *stream;
    struct loop_timer *timer;
    struct client *client;          /* the brain's, given back by on_close: who it is, never more */
    struct audience *audience;      /* NULL: not known yet */
    size_t place;                   /* among its members */
    bool asked;                     /* a request came */
    int64_t owed_us[XDS_TYPES + 1]; /* since when, monotonic; 0: nothing. The last: of any type */
};

/* --- posting --- */

struct message {
    void (*run)(struct message *m);
    struct ads *ads;
    struct shard *shard;
    uint64_t id;
    struct client *client;
    char *text;
    const char *code;
    int status;
    struct plan *plan;
    struct new_plan *plans;
    size_t n;
    void *collection;
    struct ads_status *part;
    int64_t posted_us;
    void (*pong)(void *arg);
};

static void run_message(void *arg)
{
    struct message *m = arg;
    m->run(m);
    free(m->text);
    free(m);
}

static void run_hello(struct message *m);

static void plans_free(struct new_plan *plans, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        plan_unref(plans[i].plan);
        free(plans[i].audience);
    }
    free(plans);
}

/* It never runs, as all ends. A client whose hello wasn't heard is nobody else's. */
static void drop_message(void *arg)
{
    struct message *m = arg;
    if (m->run == run_hello) {
        client_free(m->client);
    }
    if (m->part) {
        ads_status_done(m->part);
        free(m->part);
    }
    plan_unref(m->plan);
    plans_free(m->plans, m->n);
    free(m->text);
    free(m);
}

static void post(struct loop *loop, struct message m)
{
    m.posted_us = clock_mono_us();
    loop_post_owned(loop, run_message, drop_message, mem_memdup(&m, sizeof(m)));
}

static void run_hello(struct message *m)
{
    ads_on_hello(m->ads, m->client);
}

static void run_bye(struct message *m)
{
    ads_on_bye(m->ads, m->client);
}

/* --- a connection's life --- */

static void leave_audience(struct conn *c)
{
    struct audience *a = c->audience;
    if (!a) {
        return;
    }
    struct conn *last = a->members.at[--a->members.len];
    a->members.at[c->place] = last;
    last->place = c->place;
    c->audience = NULL;
    if (a->members.len == 0) {
        map_remove(&c->shard->audiences, str_of(a->key));
        VEC_DONE(a->members);
        free(a->key);
        free(a);
    }
}

static void join_audience(struct conn *c, const char *key)
{
    leave_audience(c);
    struct audience *a = map_find(&c->shard->audiences, str_of(key));
    if (!a) {
        a = NEW(struct audience);
        a->key = mem_strdup(key);
        map_put(&c->shard->audiences, str_of(key), a);
    }
    c->audience = a;
    c->place = a->members.len;
    VEC_PUSH(a->members, c);
}

/* --- counting --- */

static const struct ads_observer *observer(const struct conn *c)
{
    return c->shard->ads->options.observer;
}

/* After what may have changed what the proxy is owed, or what it answered. */
static void count_owed(struct conn *c, int64_t since_us)
{
    bool any = false;
    for (int i = 0; observer(c) && i < XDS_TYPES; i++) {
        enum xds_type t = (enum xds_type)i;
        enum stream_state state = stream_state(c->stream, t);
        if (state == STREAM_SENDING && c->owed_us[t] == 0) {
            c->owed_us[t] = since_us;
        } else if (state != STREAM_SENDING && c->owed_us[t] > 0) {
            observer(c)->updated(t, state == STREAM_SYNCED, clock_mono_us() - c->owed_us[t]);
            c->owed_us[t] = 0;
        }
        any |= c->owed_us[t] > 0;
    }
    if (any && c->owed_us[XDS_TYPES] == 0) {
        c->owed_us[XDS_TYPES] = since_us;
    } else if (!any && c->owed_us[XDS_TYPES] > 0) {
        observer(c)->updated(XDS_TYPES, true, clock_mono_us() - c->owed_us[XDS_TYPES]);
        c->owed_us[XDS_TYPES] = 0;
    }
}

static void count_request(struct conn *c, enum xds_type refused)
{
    enum xds_type t = stream_last_type(c->stream);
    if (!observer(c) || t == XDS_TYPES) {
        return;
    }
    observer(c)->request(t);
    if (refused != XDS_TYPES) {
        observer(c)->refused(refused);
    }
    if (!c->asked && stream_resumes(c->stream)) {
        observer(c)->reconnected();
    }
    c->asked = true;
}

static void count_unanswered(const struct conn *c)
{
    for (int t = 0; observer(c) && t < XDS_TYPES; t++) {
        if (c->owed_us[t] > 0) {
            observer(c)->unanswered((enum xds_type)t);
        }
    }
}

/* --- sending --- */

static void on_timer(void *arg);

/* Sends all that the stream has to say now. */
static void pump(struct conn *c)
{
    struct response *r;
    int64_t now = clock_mono_ms();
    while ((r = stream_next(c->stream, c->shard->cache, now))) {
        grpc_call_send(c->call, r->framed);
        if (r->rest) {
            grpc_call_send(c->call, r->rest);
        }
        if (observer(c)) {
            observer(c)->response(r->type);
        }
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

static struct client *client_new(const struct conn *c, const struct proxy_identity *who)
{
    struct client *x = NEW(struct client);
    *x = (struct client){
        .id = c->id,
        .shard = c->shard->index,
        .uuid = mem_memdup(who->uuid.ptr, who->uuid.len),
        .identity = mem_printf("%.*s/%.*s", STR_ARG(who->namespace), STR_ARG(who->service_account)),
    };
    return x;
}

static int on_open(void *arg, struct grpc_call *call, struct str path, struct err *e)
{
    struct ads *a = arg;
    struct proxy_identity who;
    if (peer_identity(a, call, &who, e) < 0) {
        log_event(LOG_DEBUG, "proxy refused", "reason", e->text, "error_code", "E5001", NULL);
        return -1;
    }
    struct conn *c = NEW(struct conn);
    c->id = ++a->next_id;
    c->shard = &a->shards[grpc_call_shard(call)];
    c->call = call;
    c->stream = stream_new(str_is(path, DISCOVERY_PATH_DELTA));
    map_put(&c->shard->streams, id_key(&c->id), c);
    grpc_call_set_user(call, c);
    c->client = client_new(c, &who);
    post(a->options.brain, (struct message){.run = run_hello, .ads = a, .client = c->client});
    return 0;
}

static void report_refusal(const struct conn *c, enum xds_type t)
{
    const char *words = stream_error(c->stream, t);
    log_event(LOG_WARN, "proxy refused configuration", "proxy", c->client->uuid, "identity",
              c->client->identity, "type", xds_type_name(t), "reason", words ? words : "", NULL);
}

/* false: the call is ended. */
static bool hold_no_more(struct conn *c)
{
    if (grpc_call_hold(c->call, stream_bytes(c->stream))) {
        return true;
    }
    const char *why = "the connections of this workload's certificate make the controller remember "
                      "too much: names that they asked for or said that they have";
    log_event(LOG_WARN, "discovery request refused", "proxy", c->client->uuid, "reason", why,
              "error_code", "E5012", NULL);
    grpc_call_finish(c->call, GRPC_RESOURCE_EXHAUSTED, why);
    return false;
}

static void on_message(void *arg, struct grpc_call *call, struct str message)
{
    struct conn *c = grpc_call_user(call);
    struct err e = ERR_INIT;
    enum xds_type refused;
    if (stream_on_request(c->stream, message, clock_mono_ms(), &refused, &e) < 0) {
        log_event(LOG_WARN, "discovery request refused", "proxy", c->client->uuid, "reason", e.text,
                  "error_code", "E5012", NULL);
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, e.text);
        return;
    }
    if (refused != XDS_TYPES) {
        report_refusal(c, refused);
    }
    count_request(c, refused);
    pump(c);
    if (hold_no_more(c)) {
        count_owed(c, clock_mono_us());
    }
}

/* A push to one may end others of its connection, which the walk still leads to. */
static void conn_free(struct conn *c)
{
    if (c->shard->walk.len > 0) {
        c->call = NULL;
        VEC_PUSH(c->shard->closed, c);
    } else {
        free(c);
    }
}

static void on_close(void *arg, struct grpc_call *call)
{
    struct ads *a = arg;
    struct conn *c = grpc_call_user(call);
    if (!c) {
        return;
    }
    count_unanswered(c);
    leave_audience(c);
    map_remove(&c->shard->streams, id_key(&c->id));
    loop_timer_free(c->timer);
    stream_free(c->stream);
    post(a->options.brain, (struct message){.run = run_bye, .ads = a, .client = c->client});
    conn_free(c);
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
        count_owed(c, m->posted_us);
        if (hold_no_more(c)) {
            grpc_call_flush(c->call);
        }
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
        log_event(LOG_WARN, "proxy refused", "proxy", c->client->uuid, "identity",
                  c->client->identity, "reason", m->text, m->code ? "error_code" : NULL, m->code,
                  NULL);
        grpc_call_finish(c->call, m->status, m->text);
    }
}

void shard_refuse(struct shard *s, uint64_t id, int grpc_status, const char *why, const char *code)
{
    post(s->loop, (struct message){.run = run_refuse,
                                   .shard = s,
                                   .id = id,
                                   .status = grpc_status,
                                   .code = code,
                                   .text = mem_strdup(why)});
}

/* What belongs to thousands of proxies is in no cache any more, and each piece is found through
 * another: so it is called for step by step while those before are served. */
static void fetch(const struct shard *s, size_t i)
{
    const struct conn *c;
    if (i + 4 < s->walk.len) {
        c = s->walk.at[i + 4].conn;
        fetch_bytes(c, sizeof(*c));
    }
    if (i + 3 < s->walk.len && (c = s->walk.at[i + 3].conn)->call) {
        stream_fetch(c->stream);
        grpc_call_fetch(c->call, 3);
    }
    if (i + 2 < s->walk.len && (c = s->walk.at[i + 2].conn)->call) {
        grpc_call_fetch(c->call, 2);
    }
    if (i + 1 < s->walk.len && (c = s->walk.at[i + 1].conn)->call) {
        grpc_call_fetch(c->call, 1);
    }
}

/* One proxy after the other is done with to the end: what belongs to it is then looked at once. */
static void walk(struct shard *s, int64_t posted_us)
{
    for (size_t i = 0; i < s->walk.len; i++) {
        struct conn *c = s->walk.at[i].conn;
        fetch(s, i);
        if (c->call) {
            stream_set_plan(c->stream, s->walk.at[i].plan);
            pump(c);
            count_owed(c, posted_us);
            grpc_call_flush(c->call);
        }
    }
    VEC_DONE(s->walk);
    VEC_EACH(s->closed, c) {
        free(*c);
    }
    VEC_DONE(s->closed);
}

static void run_plans(struct message *m)
{
    struct shard *s = m->shard;
    for (size_t i = 0; i < m->n; i++) {
        struct audience *a = map_find(&s->audiences, str_of(m->plans[i].audience));
        for (size_t k = 0; a && k < a->members.len; k++) {
            VEC_PUSH(s->walk, (struct step){a->members.at[k], m->plans[i].plan});
        }
    }
    walk(s, m->posted_us);
    plans_free(m->plans, m->n);
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
        struct ads_proxy_status p = {.uuid = mem_strdup(c->client->uuid),
                                     .identity = mem_strdup(c->client->identity),
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

static void run_age(struct message *m)
{
    response_cache_age(m->shard->cache);
}

void shard_age(struct shard *s)
{
    post(s->loop, (struct message){.run = run_age, .shard = s});
}

static void run_pong(struct message *m)
{
    m->pong(m->collection);
}

static void run_ping(struct message *m)
{
    post(m->shard->ads->options.brain,
         (struct message){.run = run_pong, .pong = m->pong, .collection = m->collection});
}

void shard_ping(struct shard *s, void (*pong)(void *arg), void *arg)
{
    post(s->loop, (struct message){.run = run_ping, .shard = s, .pong = pong, .collection = arg});
}
