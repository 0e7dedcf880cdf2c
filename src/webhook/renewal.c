/* Renewal of bootstrap certificates, page by page. */
#include "webhook/renewal.h"

#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "inject/build.h"
#include "inject/inject.h"
#include "inject/names.h"
#include "net/http_client.h"

enum { PAGE_PODS = 200, AT_A_TIME = 16, RETRY_MS = 10000 };

struct sidecar {
    char *namespace, *service_account, *uuid;
};

struct renewal {
    struct renewal_options options;
    struct kube_call *list;   /* of a page, while we wait for it */
    VEC(struct sidecar) page; /* of which from `next` on are left */
    size_t next;
    char *more; /* where the next page begins; NULL: there is none */
    VEC(struct kube_call *) writes;
    size_t renewed, failed;
    bool running, again;
    struct loop_timer *retry;
};

static void step(struct renewal *r);

struct str renewal_mark(struct arena *a, struct issuer *i)
{
    struct blob *roots = issuer_roots(i);
    struct str mark =
        arena_printf(a, "%016llx-%.*s", (unsigned long long)roots->hash, STR_ARG(issuer_id(i)));
    blob_unref(roots);
    return mark;
}

struct renewal *renewal_new(const struct renewal_options *options)
{
    struct renewal *r = NEW(struct renewal);
    r->options = *options;
    return r;
}

static void clear_page(struct renewal *r)
{
    VEC_EACH(r->page, s) {
        free(s->namespace);
        free(s->service_account);
        free(s->uuid);
    }
    r->page.len = r->next = 0;
}

void renewal_free(struct renewal *r)
{
    if (!r) {
        return;
    }
    if (r->list) {
        kube_cancel(r->list);
    }
    VEC_EACH(r->writes, call) {
        kube_cancel(*call);
    }
    loop_timer_free(r->retry);
    clear_page(r);
    VEC_DONE(r->page);
    VEC_DONE(r->writes);
    free(r->more);
    free(r);
}

/* --- writing --- */

struct write {
    struct renewal *renewal;
    struct kube_call *call;
};

static void on_written(void *arg, int status, struct value *object, const struct err *e)
{
    struct write *w = arg;
    struct renewal *r = w->renewal;
    for (size_t i = 0; i < r->writes.len; i++) {
        if (r->writes.at[i] == w->call) {
            VEC_REMOVE(r->writes, i);
            break;
        }
    }
    free(w);
    if (status >= 200 && status < 300) {
        r->renewed++;
    } else if (status != 404) { /* gone with its pod */
        r->failed++;
        r->options.on_problem(r->options.arg, e);
    }
    step(r);
}

static void write_one(struct renewal *r, const struct sidecar *s)
{
    AUTO(arena_free) struct arena *a = arena_new(16384);
    struct identity id = {str_of(s->namespace), str_of(s->service_account)};
    struct cert *cert = NULL;
    struct err e = ERR_INIT;
    if (issuer_issue_proxy(r->options.issuer, str_of(s->uuid), id, clock_wall_s(), &cert, &e) < 0) {
        r->failed++;
        r->options.on_problem(r->options.arg, &e);
        return;
    }
    struct kube_request q = {
        .method = "PATCH",
        .path = kube_path(a, KIND_SECRET, id.namespace,
                          arena_printf(a, BOOTSTRAP_SECRET_PREFIX "%s", s->uuid), NULL),
        .content_type = KUBE_MERGE_PATCH,
        .brief = true,
        .body = build_object(a, "data", inject_bootstrap_renewal(a, cert), NULL)};
    struct write *w = NEW(struct write);
    w->renewal = r;
    w->call = kube_start(r->options.client, &q, on_written, w);
    VEC_PUSH(r->writes, w->call);
    cert_unref(cert);
}

/* --- pages --- */

static char *text_at(const struct value *v, const char *path)
{
    struct str s = value_string_at(v, path);
    return mem_memdup(s.ptr ? s.ptr : "", s.len);
}

/* Whoever makes a pod may write anything into its labels. */
static bool is_uuid(const struct value *v)
{
    if (!v || v->type != VALUE_STRING || v->string.len != 36) {
        return false;
    }
    for (size_t i = 0; i < v->string.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? v->string.ptr[i] != '-' : !strchr("0123456789abcdef", v->string.ptr[i])) {
            return false;
        }
    }
    return true;
}

static void add_pod(struct renewal *r, const struct value *pod)
{
    const struct value *uuid = value_member(value_at(pod, "metadata.labels"), LABEL_PROXY_UUID);
    struct str phase = value_string_at(pod, "status.phase");
    if (!is_uuid(uuid) || str_is(phase, "Succeeded") || str_is(phase, "Failed")) {
        return;
    }
    VEC_PUSH(r->page, (struct sidecar){text_at(pod, "metadata.namespace"),
                                       text_at(pod, "spec.serviceAccountName"),
                                       mem_memdup(uuid->string.ptr, uuid->string.len)});
}

static void on_retry(void *arg)
{
    struct renewal *r = arg;
    loop_timer_free(r->retry);
    r->retry = NULL;
    renewal_start(r);
}

static void finish(struct renewal *r, bool complete)
{
    bool again = r->again;
    r->running = r->again = false;
    free(r->more);
    r->more = NULL;
    clear_page(r);
    if (again) {
        renewal_start(r);
    } else if (complete && r->failed == 0) {
        r->options.on_done(r->options.arg, r->renewed);
    } else if (!r->retry) {
        int64_t ms = r->options.retry_ms ? r->options.retry_ms : RETRY_MS;
        r->retry = loop_timer_new(r->options.loop, ms, false, on_retry, r);
    }
}

static void on_page(void *arg, int status, struct value *list, const struct err *e)
{
    struct renewal *r = arg;
    r->list = NULL;
    free(r->more);
    r->more = NULL;
    if (status < 200 || status >= 300) {
        r->options.on_problem(r->options.arg, e);
        finish(r, false);
        return;
    }
    const struct value *items = value_member(list, "items");
    for (size_t i = 0; i < value_len(items); i++) {
        add_pod(r, &items->array.at[i]);
    }
    if (value_string_at(list, "metadata.continue").len > 0) {
        r->more = text_at(list, "metadata.continue");
    }
    step(r);
}

static void ask_page(struct renewal *r)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    AUTO(free) char *from = r->more ? http_encode(r->more) : NULL;
    AUTO(free)
    char *query = mem_printf("labelSelector=" LABEL_PROXY_UUID "&limit=%d%s%s", PAGE_PODS,
                             from ? "&continue=" : "", from ? from : "");
    struct kube_request q = {.path = kube_path(a, KIND_POD, STR(""), STR(""), query)};
    r->list = kube_start(r->options.client, &q, on_page, r);
}

/* Does what can be done now: writes, then the next page, then the end. */
static void step(struct renewal *r)
{
    while (r->next < r->page.len && r->writes.len < AT_A_TIME) {
        write_one(r, &r->page.at[r->next++]);
    }
    if (r->next < r->page.len || r->writes.len > 0 || r->list) {
        return;
    }
    clear_page(r);
    if (r->more) {
        ask_page(r);
    } else {
        finish(r, true);
    }
}

void renewal_start(struct renewal *r)
{
    if (r->running) {
        r->again = true;
        return;
    }
    loop_timer_free(r->retry);
    r->retry = NULL;
    r->running = true;
    r->renewed = r->failed = 0;
    ask_page(r);
}
