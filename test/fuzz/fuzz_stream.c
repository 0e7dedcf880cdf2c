/* Any bytes as the history of a discovery stream, in each of the two protocols: plans that change,
 * acknowledgements, refusals, subscriptions, time. A model of the proxy takes what it is sent. At
 * most one response of a type is ever in flight, the stream comes to rest, and the proxy ends with
 * just what the plan says, but for contents that it refused: those that came alone or that it
 * named, and in the state of the world a whole set. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "xds/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest DeltaRequest;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse DeltaResponse;
typedef Envoy__Service__Discovery__V3__DiscoveryRequest SotwRequest;
typedef Envoy__Service__Discovery__V3__DiscoveryResponse SotwResponse;

enum { NAMES = 6 };

/* The resource that a refusal names. */
enum { BLAMED = 1 };

struct history {
    bool delta;
    struct stream *stream;
    struct response_cache *cache;
    struct response *in_flight[XDS_TYPES];
    uint64_t held[XDS_TYPES][NAMES]; /* version; 0: not held */
    bool wanted[XDS_TYPES][NAMES];   /* of types that are asked for by name */
    int generation[NAMES];           /* of what the plan has; 0: nothing */
    int made;
    uint64_t refused[XDS_TYPES][NAMES]; /* version; 0: none */
    /* State of the world: the last response that was seen, that was taken, and was it refused? */
    char nonce[XDS_TYPES][17], version[XDS_TYPES][17];
    bool refused_last[XDS_TYPES];
    int64_t now;
};

static bool by_name(enum xds_type t)
{
    return t != XDS_CDS && t != XDS_LDS;
}

static struct resource *resource_of(const struct history *h, enum xds_type t, int i)
{
    char name[8], body[32];
    snprintf(name, sizeof(name), "n%d", i);
    int n = snprintf(body, sizeof(body), "%s %d of %d", name, h->generation[i], (int)t);
    return resource_new(str_of(name), blob_new(body, (size_t)n), 0);
}

/* Every name is a cluster with endpoints and a listener with a route. */
static struct plan *plan_of(const struct history *h)
{
    struct plan *p = NEW(struct plan);
    ref_init(&p->ref);
    for (int t = 0; t < XDS_TYPES; t++) {
        resource_vec v = {0};
        for (int i = 0; i < NAMES; i++) {
            if (h->generation[i] > 0) {
                VEC_PUSH(v, resource_of(h, (enum xds_type)t, i));
            }
        }
        p->views[t].own = resource_set_new(v.at, v.len);
        resource_vec_done(&v);
    }
    return p;
}

static void send_request(struct history *h, const ProtobufCMessage *q)
{
    uint8_t bytes[512];
    enum xds_type refused;
    struct err e = ERR_INIT;
    size_t n = protobuf_c_message_pack(q, bytes);
    ASSERT(stream_on_request(h->stream, (struct str){(char *)bytes, n}, h->now, &refused, &e) == 0);
}

static void ask_delta(struct history *h, enum xds_type t, const char *nonce,
                      Google__Rpc__Status *error, const char *add, const char *drop)
{
    DeltaRequest q = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    q.type_url = (char *)xds_type_url(t);
    q.response_nonce = (char *)(nonce ? nonce : "");
    q.error_detail = error;
    q.resource_names_subscribe = (char **)&add;
    q.n_resource_names_subscribe = add != NULL;
    q.resource_names_unsubscribe = (char **)&drop;
    q.n_resource_names_unsubscribe = drop != NULL;
    send_request(h, &q.base);
}

/* All names that are wanted, and what was seen last. */
static void ask_sotw(struct history *h, enum xds_type t, Google__Rpc__Status *error)
{
    SotwRequest q = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
    static char names[NAMES][3] = {"n0", "n1", "n2", "n3", "n4", "n5"};
    char *list[NAMES];
    q.type_url = (char *)xds_type_url(t);
    q.version_info = h->version[t];
    q.response_nonce = h->nonce[t];
    q.error_detail = error;
    q.resource_names = list;
    for (int i = 0; i < NAMES; i++) {
        if (h->wanted[t][i]) {
            list[q.n_resource_names++] = names[i];
        }
    }
    send_request(h, &q.base);
}

static void ask(struct history *h, enum xds_type t, const char *nonce, const char *error,
                const char *add, const char *drop)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    status.message = (char *)error;
    if (h->delta) {
        ask_delta(h, t, nonce, error ? &status : NULL, add, drop);
    } else {
        ask_sotw(h, t, error ? &status : NULL);
    }
}

static void take_one(struct history *h, enum xds_type t, int n, uint64_t version, bool refuse,
                     bool alone)
{
    if (!refuse) {
        /* Nobody waits any more for what came too late. */
        h->held[t][n] = by_name(t) && !h->wanted[t][n] ? 0 : version;
    } else if (alone || n == BLAMED) {
        h->refused[t][n] = version;
    }
}

static void take_delta(struct history *h, enum xds_type t, struct str bytes, bool refuse)
{
    DeltaResponse *m = envoy__service__discovery__v3__delta_discovery_response__unpack(
        NULL, bytes.len, (const uint8_t *)bytes.ptr);
    ASSERT(m);
    for (size_t i = 0; i < m->n_resources; i++) {
        take_one(h, t, m->resources[i]->name[1] - '0',
                 resource_version_parse(str_of(m->resources[i]->version)), refuse,
                 m->n_resources == 1);
    }
    for (size_t i = 0; i < m->n_removed_resources; i++) {
        h->held[t][m->removed_resources[i][1] - '0'] = 0;
    }
    envoy__service__discovery__v3__delta_discovery_response__free_unpacked(m, NULL);
}

/* Clusters and listeners come as the whole set; of what is refused nothing is taken. */
static void take_sotw(struct history *h, enum xds_type t, struct str bytes, bool refuse)
{
    SotwResponse *m = envoy__service__discovery__v3__discovery_response__unpack(
        NULL, bytes.len, (const uint8_t *)bytes.ptr);
    ASSERT(m);
    if (!by_name(t) && !refuse) {
        memset(h->held[t], 0, sizeof(h->held[t]));
    }
    for (size_t i = 0; i < m->n_resources; i++) {
        const ProtobufCBinaryData *body = &m->resources[i]->value;
        int n = body->data[1] - '0';
        take_one(h, t, n, hash_bytes(body->data, body->len), refuse,
                 by_name(t) && m->n_resources == 1);
    }
    snprintf(h->nonce[t], sizeof(h->nonce[t]), "%s", m->nonce);
    if (!refuse) {
        snprintf(h->version[t], sizeof(h->version[t]), "%s", m->version_info);
    }
    h->refused_last[t] = refuse;
    envoy__service__discovery__v3__discovery_response__free_unpacked(m, NULL);
}

static void take(struct history *h, enum xds_type t, const struct response *r, bool refuse)
{
    struct str framed = blob_str(r->framed);
    struct str bytes = {framed.ptr + 5, framed.len - 5};
    ASSERT(!r->rest);
    if (h->delta) {
        take_delta(h, t, bytes, refuse);
    } else {
        take_sotw(h, t, bytes, refuse);
    }
}

static void answer(struct history *h, enum xds_type t, bool refuse)
{
    struct response *r = h->in_flight[t];
    char nonce[17];
    if (!r) {
        return;
    }
    resource_version_text(r->nonce, nonce);
    h->in_flight[t] = NULL;
    take(h, t, r, refuse);
    ask(h, t, nonce, refuse ? "n1 is no good" : NULL, NULL, NULL);
    response_unref(r);
}

static void receive(struct history *h)
{
    struct response *r;
    for (int i = 0; (r = stream_next(h->stream, h->cache, h->now)); i++) {
        ASSERT(i < XDS_TYPES && !h->in_flight[r->type]);
        h->in_flight[r->type] = r;
    }
}

static void change_plan(struct history *h, int i)
{
    h->generation[i] = h->generation[i] > 0 && h->made % 3 == 0 ? 0 : ++h->made;
    struct plan *p = plan_of(h);
    stream_set_plan(h->stream, p);
    plan_unref(p);
}

static void want(struct history *h, enum xds_type t, int i, bool wanted)
{
    char name[8];
    if (!by_name(t) || h->wanted[t][i] == wanted) {
        return;
    }
    snprintf(name, sizeof(name), "n%d", i);
    h->wanted[t][i] = wanted;
    h->held[t][i] = wanted ? h->held[t][i] : 0;
    ask(h, t, NULL, NULL, wanted ? name : NULL, wanted ? NULL : name);
}

static void step(struct history *h, uint8_t byte)
{
    int i = (byte >> 3) % NAMES;
    enum xds_type t = (enum xds_type)((byte >> 3) % XDS_TYPES);
    switch (byte & 7) {
    case 0:
        change_plan(h, i);
        break;
    case 1:
    case 2:
        answer(h, t, false);
        break;
    case 3:
        answer(h, t, true);
        break;
    case 4:
    case 5:
        want(h, byte & 1 ? XDS_EDS : XDS_RDS, i, true);
        break;
    case 6:
        want(h, byte & 64 ? XDS_EDS : XDS_RDS, i, false);
        break;
    default:
        h->now += STREAM_AWAIT_MS / 2;
    }
    receive(h);
}

/* Everything is answered, and time passes. */
static void come_to_rest(struct history *h)
{
    for (int round = 0; round < 64; round++) {
        h->now += STREAM_AWAIT_MS;
        receive(h);
        for (int t = 0; t < XDS_TYPES; t++) {
            answer(h, (enum xds_type)t, false);
        }
    }
    receive(h);
    for (int t = 0; t < XDS_TYPES; t++) {
        ASSERT(!h->in_flight[t]);
    }
}

static void compare(const struct history *h)
{
    for (int i = 0; i < NAMES; i++) {
        for (int t = 0; t < XDS_TYPES; t++) {
            struct resource *r = resource_of(h, (enum xds_type)t, i);
            uint64_t due = h->generation[i] > 0 ? r->version : 0;
            bool whole = !by_name((enum xds_type)t);
            /* A whole set that was refused isn't repeated until it differs. */
            if (whole && !h->delta && h->refused_last[t]) {
                resource_unref(r);
                continue;
            }
            /* What is asked for by name goes with what names it: it isn't taken away. */
            if ((whole || (due && h->wanted[t][i])) && (!due || h->refused[t][i] != due)) {
                ASSERT(h->held[t][i] == due);
            }
            resource_unref(r);
        }
    }
}

static void live(bool delta, const uint8_t *data, size_t len)
{
    struct history h = {
        .delta = delta, .stream = stream_new(delta), .cache = response_cache_new(), .now = 1000};
    change_plan(&h, 0);
    ask(&h, XDS_CDS, NULL, NULL, NULL, NULL);
    ask(&h, XDS_LDS, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < len && i < 400; i++) {
        step(&h, data[i]);
    }
    come_to_rest(&h);
    compare(&h);
    stream_free(h.stream);
    response_cache_free(h.cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    live(true, data, len);
    live(false, data, len);
    return 0;
}
