/* Requests to the API server: credentials, retries, and what it says when it refuses. */
#include "kube/client.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "kube/internal.h"

enum {
    TIMEOUT_MS = 30000,
    PAGE_ITEMS = 500,
    /* A server that is overloaded says when to come back (429); so often we do, and at most so
     * late. */
    RETRIES = 4,
    RETRY_MAX_S = 10,
};

struct kube_client {
    struct kube_config *config;
    struct loop *loop; /* NULL: none */
    struct http_client *http;
    struct kube_renewal *renewal; /* NULL without a loop */
    struct kube_call *calls;
};

struct kube_call {
    struct kube_client *client;
    struct arena *arena;
    struct kube_request request; /* copies; the body is text */
    struct str body;
    struct http_transfer *transfer;
    struct loop_timer *timer; /* until it is sent again, or until done gets `failure` */
    struct err failure;
    int64_t retry_after_s;
    int attempts;
    bool refused;
    kube_done_fn *done;
    void *arg;
    struct kube_call *prev, *next;
};

struct kube_client *kube_client_new(struct kube_config *config, struct loop *loop)
{
    struct kube_client *c = NEW(struct kube_client);
    c->config = config;
    c->loop = loop;
    c->http = http_client_new(loop);
    c->renewal = loop ? kube_renewal_new(config, loop) : NULL;
    return c;
}

void kube_client_free(struct kube_client *c)
{
    if (!c) {
        return;
    }
    while (c->calls) {
        kube_cancel(c->calls);
    }
    http_client_free(c->http);
    kube_renewal_free(c->renewal);
    kube_config_free(c->config);
    free(c);
}

const struct kube_config *kube_client_config(const struct kube_client *c)
{
    return c->config;
}

struct loop *kube_client_loop(const struct kube_client *c)
{
    return c->loop;
}

struct http_client *kube_client_http(const struct kube_client *c)
{
    return c->http;
}

struct kube_renewal *kube_client_renewal(const struct kube_client *c)
{
    return c->renewal;
}

bool kube_client_refused(struct kube_client *c)
{
    return kube_config_refused(c->config);
}

/* --- what is sent --- */

/* Asked for the one type where its answer is of the other, the API server refuses (406). */
static const char *accept_of(const struct kube_request *q)
{
    if (q->brief_list) {
        return "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, "
               "application/json";
    }
    return q->brief ? "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, "
                      "application/json"
                    : "Accept: application/json";
}

static const char *const *headers_of(struct arena *a, const char *const *own,
                                     const struct kube_request *q)
{
    const char *const ours[] = {accept_of(q), "User-Agent: osm/" OSM_VERSION};
    size_t n = 0, k = 0;
    while (own[n]) {
        n++;
    }
    const char **all = arena_array(a, n + COUNT_OF(ours) + 1, sizeof(*all));
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        all[k++] = ours[i];
    }
    for (size_t i = 0; i < n; i++) {
        all[k++] = own[i];
    }
    return all;
}

int kube_explain_credentials(const struct kube_client *c, struct err *e)
{
    return err_wrap(e, "credentials of context \"%s\"", c->config->context);
}

int kube_http_call(struct kube_client *c, struct arena *a, const struct kube_request *q,
                   struct str body, struct http_call *ret, struct err *e)
{
    struct kube_credentials now;
    struct http_tls *tls = ARENA_NEW(a, struct http_tls);
    const struct kubeconfig_cluster *cluster = &c->config->cluster;
    if (kube_config_credentials(c->config, &now, e) < 0) {
        return kube_explain_credentials(c, e);
    }
    *tls = now.tls;
    *ret = (struct http_call){
        .method = q->method,
        .url = arena_printf(a, "%s%s", cluster->server.ptr, q->path).ptr,
        .body = body,
        .content_type = body.ptr ? q->content_type ? q->content_type : "application/json" : NULL,
        .headers = headers_of(a, now.headers, q),
        .tls = tls,
        .proxy = cluster->proxy.len > 0 ? cluster->proxy.ptr : NULL,
        .proxy_environment = true,
        .timeout_ms = q->timeout_ms ? q->timeout_ms : TIMEOUT_MS,
        .max_bytes = LIMIT_JSON_BYTES};
    return 0;
}

static struct str body_text(struct arena *a, const struct value *body)
{
    if (!body) {
        return (struct str){0};
    }
    AUTO(buf_done) struct buf b;
    buf_init(&b, LIMIT_JSON_BYTES);
    value_write_json(body, &b);
    return arena_str(a, buf_str(&b));
}

/* --- what comes back --- */

static const char *method_of(const struct kube_request *q)
{
    return q->method ? q->method : q->body ? "POST" : "GET";
}

/* The server's own words: a Status, or the first line of whatever else it is. */
static struct str message_of(struct arena *a, struct str body)
{
    struct value *v = NULL;
    struct str message = {0}, rest;
    if (value_read_json(a, body, &v, NULL) == 0) {
        message = value_string_at(v, "message");
    }
    if (message.len == 0) {
        str_cut(str_trim(body), '\n', &message, &rest);
        message.len = message.len > 300 ? 300 : message.len;
    }
    return message;
}

int kube_explain(const struct kube_client *c, const struct kube_request *q, int status,
                 struct str body, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct str path, query, message = message_of(a, body);
    str_cut(str_of(q->path), '?', &path, &query);
    if (status == 401) {
        return err_set(e,
                       "%s %.*s: the API server at %s doesn't accept the credentials of context "
                       "\"%s\": %.*s (401)",
                       method_of(q), STR_ARG(path), kube_config_server(c->config),
                       c->config->context, STR_ARG(message));
    }
    if (message.len == 0) {
        message = STR("no reason is given");
    }
    return err_set(e, "%s %.*s: %.*s (%d)", method_of(q), STR_ARG(path), STR_ARG(message), status);
}

static int explain_silence(const struct kube_client *c, const struct kube_request *q, struct err *e)
{
    struct str path, query;
    str_cut(str_of(q->path), '?', &path, &query);
    err_wrap(e, "the API server at %s doesn't answer", kube_config_server(c->config));
    return err_wrap(e, "%s %.*s", method_of(q), STR_ARG(path));
}

struct str kube_select_items(struct str text, const struct json_keep *keep, struct buf *out)
{
    const struct json_keep around[] = {
        {"kind", NULL}, {"apiVersion", NULL}, {"metadata", NULL}, {"items", keep}, {NULL, NULL}};
    buf_init(out, LIMIT_JSON_BYTES);
    if (!keep) {
        return text;
    }
    json_select(text, around, out);
    return buf_str(out);
}

static int decode_answer(struct arena *a, const struct kube_request *q, struct str body,
                         struct value **ret, struct err *e)
{
    AUTO(buf_done) struct buf selected;
    *ret = NULL;
    body = kube_select_items(body, q->keep, &selected);
    if (str_trim(body).len > 0 && value_read_json(a, body, ret, e) < 0) {
        return err_wrap(e, "%s %s: what the API server answered", method_of(q), q->path);
    }
    return 0;
}

/* --- blocking --- */

static void sleep_s(int64_t s)
{
    struct timespec t = {.tv_sec = s > RETRY_MAX_S ? RETRY_MAX_S : s};
    nanosleep(&t, NULL);
}

/* ret is init'ed by this, as by http_do. */
static int send_once(struct kube_client *c, struct arena *a, const struct kube_request *q,
                     struct str body, int64_t *retry_after_s, struct buf *ret, struct err *e)
{
    struct http_call call;
    buf_init(ret, 0);
    if (kube_config_renew(c->config, clock_wall_s(), e) < 0) {
        return kube_explain_credentials(c, e);
    }
    if (kube_http_call(c, a, q, body, &call, e) < 0) {
        return -1;
    }
    call.retry_after_s = retry_after_s;
    int status = http_client_do(c->http, &call, ret, e);
    return status < 0 ? explain_silence(c, q, e) : status;
}

int kube_do_text(struct kube_client *c, const struct kube_request *q, struct buf *ret,
                 struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct str body = body_text(a, q->body);
    bool refused = false;
    int64_t retry_after_s = 0;
    for (int attempt = 0;; attempt++) {
        int status = send_once(c, a, q, body, &retry_after_s, ret, e);
        bool again = status == 429 && retry_after_s > 0 && attempt < RETRIES;
        if (status == 401 && !refused) {
            refused = true;
            again = kube_config_refused(c->config);
        }
        if (!again) {
            if (status >= 400) {
                kube_explain(c, q, status, buf_str(ret), e);
            }
            return status;
        }
        buf_done(ret);
        sleep_s(status == 429 ? retry_after_s : 0);
    }
}

int kube_do(struct kube_client *c, const struct kube_request *q, struct arena *a,
            struct value **ret, struct err *e)
{
    AUTO(buf_done) struct buf text;
    int status = kube_do_text(c, q, &text, e);
    struct value *v = NULL;
    if (ret && status >= 400) {
        value_read_json(a, buf_str(&text), &v, NULL); /* the Status, when it is one */
    } else if (ret && status >= 0 && decode_answer(a, q, buf_str(&text), &v, e) < 0) {
        return -1;
    }
    if (ret) {
        *ret = v;
    }
    return status;
}

/* --- on a loop --- */

static void call_free(struct kube_call *call)
{
    struct kube_client *c = call->client;
    *(call->prev ? &call->prev->next : &c->calls) = call->next;
    if (call->next) {
        call->next->prev = call->prev;
    }
    loop_timer_free(call->timer);
    arena_free(call->arena);
    free(call);
}

/* The call is gone after. */
static void finish(struct kube_call *call, int status, struct value *v, const struct err *e)
{
    kube_done_fn *done = call->done;
    void *arg = call->arg;
    /* The callback may end the client, and the answer must outlast the call. */
    AUTO(arena_free) struct arena *a = TAKE(call->arena);
    struct err copy = *e;
    call_free(call);
    done(arg, status, v, &copy);
}

static void send(struct kube_call *call);

static void on_send(void *arg)
{
    struct kube_call *call = arg;
    loop_timer_free(call->timer);
    call->timer = NULL;
    send(call);
}

static void on_failed(void *arg)
{
    struct kube_call *call = arg;
    struct err e = call->failure;
    finish(call, -1, NULL, &e);
}

static bool try_again(struct kube_call *call, int status)
{
    int64_t wait_s = call->retry_after_s > RETRY_MAX_S ? RETRY_MAX_S : call->retry_after_s;
    bool again = status == 429 && wait_s > 0 && call->attempts <= RETRIES;
    if (status == 401 && !call->refused) {
        call->refused = true;
        wait_s = 0;
        again = kube_config_refused(call->client->config);
    }
    if (again) {
        call->timer = loop_timer_new(call->client->loop, wait_s * 1000, false, on_send, call);
    }
    return again;
}

static void on_answer(void *arg, int status, struct str body, const struct err *e)
{
    struct kube_call *call = arg;
    struct value *v = NULL;
    struct err mine = *e;
    call->transfer = NULL;
    if (try_again(call, status)) {
        return;
    }
    if (status < 0) {
        explain_silence(call->client, &call->request, &mine);
    } else if (status >= 400) {
        value_read_json(call->arena, body, &v, NULL);
        kube_explain(call->client, &call->request, status, body, &mine);
    } else if (decode_answer(call->arena, &call->request, body, &v, &mine) < 0) {
        status = -1;
    }
    finish(call, status, v, &mine);
}

static void fail_soon(struct kube_call *call)
{
    call->timer = loop_timer_new(call->client->loop, 0, false, on_failed, call);
}

static void send_now(struct kube_call *call)
{
    struct kube_client *c = call->client;
    struct http_call http;
    if (kube_http_call(c, call->arena, &call->request, call->body, &http, &call->failure) < 0) {
        fail_soon(call);
        return;
    }
    http.retry_after_s = &call->retry_after_s;
    call->transfer = http_start(c->http, &http, on_answer, call);
}

static void on_renewed(void *arg, const struct err *failed)
{
    struct kube_call *call = arg;
    if (failed) {
        call->failure = *failed;
        kube_explain_credentials(call->client, &call->failure);
        fail_soon(call);
    } else {
        send_now(call);
    }
}

static void send(struct kube_call *call)
{
    call->attempts++;
    int good = kube_renewal_await(call->client->renewal, on_renewed, call, &call->failure);
    if (good > 0) {
        send_now(call);
    } else if (good < 0) {
        kube_explain_credentials(call->client, &call->failure);
        fail_soon(call);
    }
}

struct kube_call *kube_start(struct kube_client *c, const struct kube_request *q,
                             kube_done_fn *done, void *arg)
{
    struct kube_call *call = NEW(struct kube_call);
    ASSERT(c->loop);
    call->client = c;
    call->arena = arena_new(4096);
    call->body = body_text(call->arena, q->body);
    call->request = (struct kube_request){.method = arena_strz(call->arena, method_of(q)).ptr,
                                          .path = arena_strz(call->arena, q->path).ptr,
                                          .timeout_ms = q->timeout_ms,
                                          .brief = q->brief,
                                          .brief_list = q->brief_list,
                                          .keep = q->keep};
    if (q->content_type) {
        call->request.content_type = arena_strz(call->arena, q->content_type).ptr;
    }
    call->done = done;
    call->arg = arg;
    call->next = c->calls;
    if (call->next) {
        call->next->prev = call;
    }
    c->calls = call;
    send(call);
    return call;
}

void kube_cancel(struct kube_call *call)
{
    if (call->transfer) {
        http_cancel(call->transfer);
    }
    kube_renewal_forget(call->client->renewal, call);
    call_free(call);
}

/* --- lists --- */

static void set_if_absent(struct arena *a, struct value *v, const char *key, struct str s)
{
    if (s.len > 0 && !value_member(v, key)) {
        value_set(a, v, key, value_new_string(a, s));
    }
}

void kube_list_items(struct arena *a, struct value *page, void (*each)(void *arg, struct value *),
                     void *arg)
{
    struct str kind = value_string_at(page, "kind"), version = value_string_at(page, "apiVersion");
    const struct value *items = value_member(page, "items");
    kind.len -= str_ends(kind, "List") ? 4 : 0;
    for (size_t i = 0; i < value_len(items); i++) {
        struct value *item = &items->array.at[i];
        if (value_string_at(item, "metadata.name").len > 0) {
            set_if_absent(a, item, "apiVersion", version);
            set_if_absent(a, item, "kind", kind);
            each(arg, item);
        }
    }
}

const char *kube_page_path(struct arena *a, const char *path, struct str continued)
{
    AUTO(free) char *token = mem_memdup(continued.ptr ? continued.ptr : "", continued.len);
    AUTO(free) char *encoded = http_encode(token);
    return arena_printf(a, "%s%climit=%d%s%s", path, strchr(path, '?') ? '&' : '?', PAGE_ITEMS,
                        continued.len ? "&continue=" : "", continued.len ? encoded : "")
        .ptr;
}

int kube_list(struct kube_client *c, const char *path, void (*each)(void *arg, struct value *item),
              void *arg, struct err *e)
{
    AUTO(free) char *token = mem_strdup("");
    size_t pages = 0;
    do {
        if (pages++ == LIMIT_KUBE_PAGES) {
            return err_set(e, "GET %s: expected the list to end within %d pages, found more", path,
                           LIMIT_KUBE_PAGES);
        }
        AUTO(arena_free) struct arena *a = arena_new(1 << 16);
        struct kube_request q = {.path = kube_page_path(a, path, str_of(token))};
        struct value *page = NULL;
        int status = kube_do(c, &q, a, &page, e);
        struct str next = value_string_at(page, "metadata.continue");
        /* A page that waited too long (410) comes with a token that goes on with what is now. */
        if (status < 0 || (status >= 400 && (status != 410 || next.len == 0))) {
            return -1;
        }
        kube_list_items(a, page, each, arg);
        free(token);
        token = mem_memdup(next.ptr ? next.ptr : "", next.len);
    } while (*token);
    return 0;
}

/* "37+" of a cloud's own build is 37. */
static int leading_number(struct str s)
{
    int n = 0;
    for (size_t i = 0; i < s.len && i < 6 && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        n = n * 10 + (s.ptr[i] - '0');
    }
    return n;
}

int kube_server_version(struct kube_client *c, int *ret_major, int *ret_minor, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct value *v = NULL;
    int status = kube_do(c, &(struct kube_request){.path = "/version"}, a, &v, e);
    if (status < 0 || status >= 400) {
        return -1;
    }
    int major = leading_number(value_string_at(v, "major"));
    if (major == 0) {
        return err_set(e,
                       "GET /version: expected the version of an API server from %s, found "
                       "something else",
                       kube_config_server(c->config));
    }
    *ret_major = major;
    *ret_minor = leading_number(value_string_at(v, "minor"));
    return 0;
}
