/* The proxies of a world. */
#include "fleet.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static bool has_stale(const struct proxy *p)
{
    return p->stale != 0 && p->certificate == p->stale;
}

static void judge(struct fleet *f, struct seat *m)
{
    bool current = m->proxy.sum == m->sum && link_is_open(m->link) && proxy_complete(&m->proxy) &&
                   !has_stale(&m->proxy);
    if (current) {
        expected_keep_last(&m->proxy.expected);
    }
    if (current == m->current) {
        return;
    }
    m->current = current;
    if (!m->exempt) {
        f->pending += current ? -1 : 1;
    }
    if (current && !m->exempt) {
        VEC_PUSH(f->times_us, clock_mono_us() - f->began_us);
    }
}

static void on_response(void *arg, struct link *l)
{
    struct fleet *f = arg;
    judge(f, &f->members[link_index(l)]);
}

static void on_lost(void *arg, struct link *l, const char *why)
{
    struct fleet *f = arg;
    if (f->lost++ == 0) {
        snprintf(f->why_lost, sizeof(f->why_lost), "%s", why);
    }
    judge(f, &f->members[link_index(l)]);
    if (f->reconnect) {
        link_open(l);
    }
}

static void name_member(const struct fleet *f, struct seat *m)
{
    AUTO(free) char *account = world_pod_account(f->world, m->service);
    m->proxy.uuid = world_uuid(f->world, m->service, m->pod);
    m->proxy.common_name = mem_printf("%s.%s.cluster.local", account, WORLD_NAMESPACE);
    m->credential = certs_issue(m->proxy.uuid, account);
}

struct part {
    struct fleet *fleet;
    int from, to;
};

static void *name_part(void *arg)
{
    struct part *p = arg;
    for (int i = p->from; i < p->to; i++) {
        name_member(p->fleet, &p->fleet->members[i]);
    }
    return NULL;
}

/* Keys and certificates of thousands take seconds: two threads. */
static void name_members(struct fleet *f)
{
    struct part parts[2] = {{f, 0, f->n / 2}, {f, f->n / 2, f->n}};
    pthread_t other;
    ASSERT(pthread_create(&other, NULL, name_part, &parts[1]) == 0);
    name_part(&parts[0]);
    pthread_join(other, NULL);
}

static void place_members(struct fleet *f, double delta)
{
    int i = 0;
    for (int service = 0; service < f->world->services; service++) {
        for (int pod = 0; pod < world_pods(f->world, service); pod++, i++) {
            struct seat *m = &f->members[i];
            m->service = service;
            m->pod = pod;
            m->proxy.delta = i < delta * f->n;
        }
    }
}

void fleet_init(struct fleet *f, const struct world *w, const struct oracle *o, uint16_t port,
                double delta, bool resume)
{
    *f = (struct fleet){.world = w, .oracle = o, .n = world_proxies(w)};
    f->members = mem_zalloc((size_t)f->n * sizeof(*f->members));
    f->options = (struct link_options){
        .address = {.sin_family = AF_INET,
                    .sin_port = htons(port),
                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .tls = certs_client_context(resume),
        .resume = resume,
        .on_response = on_response,
        .on_lost = on_lost,
        .arg = f,
    };
    place_members(f, delta);
    name_members(f);
    for (int i = 0; i < f->n; i++) {
        struct seat *m = &f->members[i];
        m->link = link_new(&f->options, &m->proxy, &m->credential, i);
        f->pending++;
    }
}

static void unname_member(struct seat *m)
{
    certs_free(&m->credential);
    free(m->proxy.uuid);
    free(m->proxy.common_name);
}

void fleet_renew(struct fleet *f)
{
    for (int i = 0; i < f->n; i++) {
        unname_member(&f->members[i]);
        link_forget_session(f->members[i].link);
    }
    certs_trust_roots(f->options.tls);
    name_members(f);
}

void fleet_done(struct fleet *f)
{
    for (int i = 0; i < f->n; i++) {
        link_free(f->members[i].link);
        proxy_forget(&f->members[i].proxy);
        expected_done(&f->members[i].proxy.expected);
        unname_member(&f->members[i]);
    }
    free(f->members);
    VEC_DONE(f->times_us);
    SSL_CTX_free(f->options.tls);
}

/* One that refuses has nothing, however long. */
static void expect(const struct fleet *f, struct seat *m)
{
    struct plan *plan = oracle_plan(f->oracle, m->proxy.uuid);
    m->sum = oracle_sum(f->oracle, m->proxy.uuid);
    if (m->proxy.refuses) {
        expected_done(&m->proxy.expected);
    }
    if (plan) {
        expected_add(&m->proxy.expected, plan);
    }
}

int fleet_expect(struct fleet *f)
{
    int differ = 0;
    for (int i = 0; i < f->n; i++) {
        struct seat *m = &f->members[i];
        expect(f, m);
        bool was = m->current;
        judge(f, m);
        differ += was && !m->current;
    }
    return differ;
}

void fleet_expect_certificates(struct fleet *f, int service)
{
    for (int i = 0; i < f->n; i++) {
        struct seat *m = &f->members[i];
        if (service < 0 || m->service == service) {
            m->proxy.stale = m->proxy.certificate;
        }
    }
}

void fleet_begin(struct fleet *f)
{
    f->times_us.len = 0;
    f->began_us = clock_mono_us();
}

bool fleet_settle(struct fleet *f, int64_t ms)
{
    int64_t deadline = clock_mono_ms() + ms;
    while (f->pending > 0 && proxy_counts.wrong == 0 && clock_mono_ms() < deadline) {
        link_poll(50);
    }
    return f->pending == 0 && proxy_counts.wrong == 0;
}

void fleet_idle(struct fleet *f, int64_t ms)
{
    int64_t deadline = clock_mono_ms() + ms;
    for (int64_t left = ms; left > 0; left = deadline - clock_mono_ms()) {
        link_poll(left);
    }
}

void fleet_open(struct fleet *f, int i)
{
    link_open(f->members[i].link);
}

void fleet_close(struct fleet *f, int i)
{
    link_close(f->members[i].link);
    judge(f, &f->members[i]);
}

void fleet_forget(struct fleet *f, int i)
{
    proxy_forget(&f->members[i].proxy);
    judge(f, &f->members[i]);
}

void fleet_exempt(struct fleet *f, int i, bool exempt)
{
    struct seat *m = &f->members[i];
    if (m->exempt != exempt && !m->current) {
        f->pending += exempt ? -1 : 1;
    }
    m->exempt = exempt;
}

void fleet_replace(struct fleet *f, int i)
{
    struct seat *m = &f->members[i];
    fleet_close(f, i);
    link_forget_session(m->link);
    fleet_forget(f, i);
    AUTO(free) char *before = mem_strdup(m->proxy.common_name);
    unname_member(m);
    name_member(f, m);
    m->proxy.stale = 0;
    /* Whoever has the same identity may still be told what the one before was to be told. */
    if (strcmp(before, m->proxy.common_name) != 0) {
        expected_done(&m->proxy.expected);
    }
}

int fleet_open_count(const struct fleet *f)
{
    int n = 0;
    for (int i = 0; i < f->n; i++) {
        n += link_is_open(f->members[i].link);
    }
    return n;
}

void fleet_say_pending(const struct fleet *f, char *out, size_t size)
{
    for (const struct seat *m = f->members; m < f->members + f->n; m++) {
        if (!m->current && !m->exempt) {
            int n = snprintf(out, size, "%s: ", m->proxy.uuid);
            ASSERT(n > 0 && (size_t)n < size);
            if (!link_is_open(m->link)) {
                snprintf(out + n, size - (size_t)n, "it isn't connected");
            } else if (!proxy_difference(&m->proxy, out + n, size - (size_t)n)) {
                snprintf(out + n, size - (size_t)n,
                         has_stale(&m->proxy) ? "sds service-cert: it wasn't replaced"
                                              : "it doesn't ask for all yet");
            }
            return;
        }
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct spread fleet_spread(struct fleet *f)
{
    size_t n = f->times_us.len;
    if (n == 0) {
        return (struct spread){0};
    }
    qsort(f->times_us.at, n, sizeof(*f->times_us.at), compare);
    return (struct spread){
        .first_ms = (double)f->times_us.at[0] / 1000,
        .p50_ms = (double)f->times_us.at[n / 2] / 1000,
        .p99_ms = (double)f->times_us.at[n * 99 / 100] / 1000,
        .max_ms = (double)f->times_us.at[n - 1] / 1000,
        .n = n,
    };
}
