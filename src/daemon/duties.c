/* What the holder of the lease does: when. */
#include "daemon/duties_internal.h"

#include "base/log.h"

#define DELAY_MS 500

struct duties {
    struct duties_options o;
    bool held;
    const struct findings *findings; /* of the source */
    struct map owners;               /* uuids whose Secret is to be looked at */
    struct loop_timer *soon;
    struct kube_writes *writes;
    struct statuses statuses;
    struct told told;
};

static void on_refused(void *arg, struct str key, int status, const struct err *e)
{
    if (status == 404) {
        return; /* it went in the meantime */
    }
    AUTO(free) char *what = mem_memdup(key.ptr, key.len);
    log_event(LOG_WARN, "the API server refused a write", "key", what, "reason", e->text,
              "error_code", "E3001", NULL);
}

struct duties *duties_new(const struct duties_options *options)
{
    struct duties *d = NEW(struct duties);
    d->o = *options;
    d->o.delay_ms = options->delay_ms ? options->delay_ms : DELAY_MS;
    struct kube_writes_options o = {
        .loop = d->o.loop, .client = d->o.client, .on_refused = on_refused, .arg = d};
    d->writes = kube_writes_new(&o);
    return d;
}

void duties_free(struct duties *d)
{
    if (!d) {
        return;
    }
    loop_timer_free(d->soon);
    kube_writes_free(d->writes);
    map_done(&d->owners, NULL);
    statuses_done(&d->statuses);
    told_done(&d->told);
    free(d);
}

static void look(void *arg)
{
    static const struct findings none = {0};
    struct duties *d = arg;
    loop_timer_free(d->soon);
    d->soon = NULL;
    const struct findings *source = d->findings ? d->findings : &none;
    const struct findings *mesh = mesh_findings(d->o.mesh);
    struct problems problems;
    problems_init(&problems, source, mesh);
    statuses_write(&d->statuses, d->o.store, &problems, d->writes);
    problems_done(&problems);
    if (d->o.events) {
        told_send(&d->told, d->o.store, source, mesh, d->o.events);
    }
    MAP_EACH(&d->owners, it) {
        const struct mesh_proxy *p = mesh_proxy_find(d->o.mesh, it.key);
        if (p) {
            owner_write(d->o.store, p, d->writes);
        }
    }
    map_done(&d->owners, NULL);
}

static void look_soon(struct duties *d)
{
    if (d->held && !d->soon) {
        d->soon = loop_timer_new(d->o.loop, d->o.delay_ms, false, look, d);
    }
}

void duties_hold(struct duties *d, bool held)
{
    if (d->held == held) {
        return;
    }
    d->held = held;
    /* Another may have written in the meantime. */
    statuses_done(&d->statuses);
    told_done(&d->told);
    if (!held) {
        loop_timer_free(d->soon);
        d->soon = NULL;
        kube_writes_clear(d->writes);
        map_done(&d->owners, NULL);
        return;
    }
    MAP_EACH(mesh_map(d->o.mesh, MESH_PROXIES), it) {
        map_put(&d->owners, it.key, d);
    }
    look_soon(d);
}

void duties_changed(struct duties *d, const struct mesh_delta *delta,
                    const struct findings *findings)
{
    d->findings = findings;
    for (size_t i = 0; d->held && i < delta->proxies.len; i++) {
        map_put(&d->owners, delta->proxies.at[i], d);
    }
    look_soon(d);
}

bool duties_done(const struct duties *d)
{
    return !d->soon && kube_writes_waiting(d->writes) == 0;
}
