/* Names of services and pods. */
#include "local/hosts.h"

/* "<ip> <first>.shop <first>.shop.svc ..." with the bare name in the pod's own namespace. */
static void put_names(struct buf *out, const char *ip, struct str name, struct str ns, bool own)
{
    buf_printf(out, "%s", ip);
    static const char *const ends[] = {".svc.cluster.local", ".svc.cluster", ".svc", ""};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        buf_printf(out, " %.*s.%.*s%s", STR_ARG(name), STR_ARG(ns), ends[i]);
    }
    if (own) {
        buf_printf(out, " %.*s", STR_ARG(name));
    }
    buf_addc(out, '\n');
}

static bool serves(const struct pod_view *view, const struct service *s)
{
    return str_eq(view->pod->object.meta.namespace, s->object.meta.namespace) &&
           pairs_selects(&s->selector, &view->pod->object.meta.labels) && view->ip4[0] &&
           !view->ending && (view->ready || s->publish_not_ready_addresses);
}

static void put_pod(struct buf *out, const struct service *s, bool own, const struct pod_spec *spec,
                    const char *ip)
{
    put_names(out, ip, s->object.meta.name, s->object.meta.namespace, own);
    if (spec->hostname.len > 0 && str_eq(spec->subdomain, s->object.meta.name)) {
        AUTO(free)
        char *name = mem_printf("%.*s.%.*s", STR_ARG(spec->hostname), STR_ARG(s->object.meta.name));
        put_names(out, ip, str_of(name), s->object.meta.namespace, own);
    }
}

static void put_headless(struct buf *out, const struct service_view *v, bool own,
                         const struct pod_view *pods, size_t n_pods)
{
    const struct service *s = v->service;
    for (size_t i = 0; i < n_pods; i++) {
        const struct pod_view *view = &pods[i];
        if (!serves(view, s)) {
            continue;
        }
        if (v->ipv4) {
            put_pod(out, s, own, view->pod->spec, view->ip4);
        }
        if (v->ipv6 && view->ip6[0]) {
            put_pod(out, s, own, view->pod->spec, view->ip6);
        }
    }
}

static void put_service(struct buf *out, const struct service_view *v, bool own,
                        const struct pod_view *pods, size_t n_pods)
{
    const struct meta *m = &v->service->object.meta;
    if (v->ip4[0]) {
        put_names(out, v->ip4, m->name, m->namespace, own);
    }
    if (v->ip6[0]) {
        put_names(out, v->ip6, m->name, m->namespace, own);
    }
    if (!v->ip4[0] && !v->ip6[0]) {
        put_headless(out, v, own, pods, n_pods);
    }
}

void hosts_write(struct buf *out, const struct pod_view *self, const struct service_view *services,
                 size_t n_services, const struct pod_view *pods, size_t n_pods)
{
    const struct pod *pod = self->pod;
    struct str host = pod->spec->hostname.len > 0 ? pod->spec->hostname : pod->object.meta.name;
    buf_addz(out, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    if (self->ip4[0]) {
        buf_printf(out, "%s %.*s\n", self->ip4, STR_ARG(host));
    }
    for (size_t i = 0; i < n_services; i++) {
        struct str ns = services[i].service->object.meta.namespace;
        put_service(out, &services[i], str_eq(ns, pod->object.meta.namespace), pods, n_pods);
    }
}

void hosts_resolv_conf(struct buf *out, struct str namespace)
{
    buf_printf(out, "search %.*s.svc.cluster.local svc.cluster.local cluster.local\n",
               STR_ARG(namespace));
    buf_addz(out, "options ndots:5 timeout:1 attempts:1\n");
}
