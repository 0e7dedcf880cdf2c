/* Documents that stand for what a cluster would know. */
#include <string.h>

#include "local/objects.h"

#include "inject/build.h"
#include "inject/names.h"

enum { PORTS_MAX = 100 };

static const struct value *text(struct arena *a, struct str s)
{
    return value_new_string(a, s);
}

static const struct value *pairs(struct arena *a, const struct pairs *p)
{
    if (p->len == 0) {
        return NULL;
    }
    struct value *object = value_new(a, VALUE_OBJECT);
    for (size_t i = 0; i < p->len; i++) {
        value_set(a, object, arena_str(a, p->at[i].key).ptr, text(a, p->at[i].value));
    }
    return object;
}

static struct value *metadata(struct arena *a, const struct meta *m)
{
    return build_object(a, "name", text(a, m->name), "namespace", text(a, m->namespace), "labels",
                        pairs(a, &m->labels), "annotations", pairs(a, &m->annotations), NULL);
}

struct value *objects_pod(struct arena *a, const struct pod_view *view)
{
    struct value *out = value_copy(a, view->pod->object.raw);
    const struct value *condition =
        build_object(a, "type", build_text(a, "Ready"), "status",
                     build_text(a, view->ready ? "True" : "False"), NULL);
    struct value *status = build_object(a, "phase", build_text(a, view->phase), "conditions",
                                        build_array(a, condition, NULL), NULL);
    if (view->ip4[0]) {
        struct value *ips = build_array(
            a, build_object(a, "ip", build_text(a, view->ip4), NULL),
            view->ip6[0] ? build_object(a, "ip", build_text(a, view->ip6), NULL) : NULL, NULL);
        value_set(a, status, "podIP", build_text(a, view->ip4));
        value_set(a, status, "podIPs", ips);
    }
    value_set(a, out, "status", status);
    return out;
}

struct value *objects_namespace(struct arena *a, struct str name, const char *mesh_name)
{
    const struct value *labels =
        build_object(a, LABEL_MONITORED_BY, build_text(a, mesh_name), NULL);
    const struct value *annotations =
        build_object(a, ANNOTATION_INJECTION, build_text(a, "enabled"), NULL);
    return build_object(
        a, "apiVersion", build_text(a, "v1"), "kind", build_text(a, "Namespace"), "metadata",
        build_object(a, "name", text(a, name), "labels", labels, "annotations", annotations, NULL),
        NULL);
}

static const struct value *optional(struct arena *a, struct str s)
{
    return s.len > 0 ? text(a, s) : NULL;
}

struct service_view service_view(const struct service *s)
{
    struct service_view view = {.service = s, .ip4 = "", .ip6 = ""};
    for (size_t i = 0; i < s->ip_families.len; i++) {
        view.ipv4 |= str_is(s->ip_families.at[i], "IPv4");
        view.ipv6 |= str_is(s->ip_families.at[i], "IPv6");
    }
    if (str_ends(s->ip_family_policy, "DualStack")) {
        view.ipv4 = view.ipv6 = true;
    } else if (s->ip_families.len == 0) {
        view.ipv6 = memchr(s->cluster_ip.ptr ? s->cluster_ip.ptr : "", ':', s->cluster_ip.len);
        view.ipv4 = !view.ipv6;
    }
    return view;
}

struct value *objects_service(struct arena *a, const struct service_view *view)
{
    const struct service *s = view->service;
    struct value *ports = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < s->ports.len; i++) {
        const struct service_port *p = &s->ports.at[i];
        const struct value *target = p->target_port.name.len > 0
                                         ? text(a, p->target_port.name)
                                         : value_new_int(a, objects_target_port(p, NULL));
        value_push(a, ports,
                   build_object(a, "name", optional(a, p->name), "port", value_new_int(a, p->port),
                                "targetPort", target, "protocol", optional(a, p->protocol),
                                "appProtocol", optional(a, p->app_protocol), NULL));
    }
    const char *shown = view->ip4[0] ? view->ip4 : view->ip6[0] ? view->ip6 : "None";
    const char *second = view->ip4[0] && view->ip6[0] ? view->ip6 : NULL;
    struct value *spec =
        build_object(a, "type", optional(a, s->type), "clusterIP", build_text(a, shown),
                     "clusterIPs", build_texts(a, shown, second, NULL), "selector",
                     pairs(a, &s->selector), "ports", ports, NULL);
    if (s->publish_not_ready_addresses) {
        value_set(a, spec, "publishNotReadyAddresses", value_new_bool(a, true));
    }
    return build_object(a, "apiVersion", build_text(a, "v1"), "kind", build_text(a, "Service"),
                        "metadata", metadata(a, &s->object.meta), "spec", spec, NULL);
}

int64_t objects_target_port(const struct service_port *port, const struct pod *pod)
{
    if (port->target_port.name.len == 0) {
        return port->target_port.number ? port->target_port.number : port->port;
    }
    for (size_t i = 0; i < pod->spec->containers.len; i++) {
        const struct container *c = &pod->spec->containers.at[i];
        for (size_t k = 0; k < c->ports.len; k++) {
            if (str_eq(c->ports.at[k].name, port->target_port.name)) {
                return c->ports.at[k].container_port;
            }
        }
    }
    return 0;
}

static bool same_ports(const struct service *s, const struct pod *x, const struct pod *y)
{
    for (size_t i = 0; i < s->ports.len; i++) {
        if (objects_target_port(&s->ports.at[i], x) != objects_target_port(&s->ports.at[i], y)) {
            return false;
        }
    }
    return true;
}

static const struct value *endpoint(struct arena *a, const struct service *s,
                                    const struct pod_view *view, bool ipv6)
{
    const struct meta *m = &view->pod->object.meta;
    const struct value *target =
        build_object(a, "kind", build_text(a, "Pod"), "name", text(a, m->name), "namespace",
                     text(a, m->namespace), NULL);
    bool ready = (view->ready && !view->ending) || s->publish_not_ready_addresses;
    const struct value *conditions = build_object(a, "ready", value_new_bool(a, ready), "serving",
                                                  value_new_bool(a, view->ready), "terminating",
                                                  value_new_bool(a, view->ending), NULL);
    bool named = view->pod->spec->hostname.len > 0 &&
                 str_eq(view->pod->spec->subdomain, s->object.meta.name);
    return build_object(a, "addresses", build_texts(a, ipv6 ? view->ip6 : view->ip4, NULL),
                        "conditions", conditions, "hostname",
                        named ? text(a, view->pod->spec->hostname) : NULL, "targetRef", target,
                        NULL);
}

static struct value *slice(struct arena *a, const struct service *s, const struct pod *pod,
                           bool ipv6, size_t number)
{
    struct value *ports = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < s->ports.len && i < PORTS_MAX; i++) {
        const struct service_port *p = &s->ports.at[i];
        int64_t port = objects_target_port(p, pod);
        if (port > 0) {
            value_push(a, ports,
                       build_object(a, "name", text(a, p->name), "port", value_new_int(a, port),
                                    "protocol", optional(a, p->protocol), "appProtocol",
                                    optional(a, p->app_protocol), NULL));
        }
    }
    const struct meta *m = &s->object.meta;
    const struct value *labels =
        build_object(a, "kubernetes.io/service-name", text(a, m->name), NULL);
    const struct value *meta = build_object(
        a, "name",
        value_new_stringf(a, "%.*s-%s%zu", STR_ARG(m->name), ipv6 ? "ipv6-" : "", number),
        "namespace", text(a, m->namespace), "labels", labels, NULL);
    return build_object(a, "apiVersion", build_text(a, "discovery.k8s.io/v1"), "kind",
                        build_text(a, "EndpointSlice"), "metadata", meta, "addressType",
                        build_text(a, ipv6 ? "IPv6" : "IPv4"), "ports", ports, NULL);
}

static void family_slices(struct arena *a, const struct service *s, const struct pod_view *pods,
                          size_t n_pods, bool ipv6, struct value *array)
{
    bool *done = arena_array(a, n_pods, sizeof(*done));
    for (size_t i = 0, number = 0; i < n_pods; i++) {
        if (done[i]) {
            continue;
        }
        struct value *document = slice(a, s, pods[i].pod, ipv6, number++);
        struct value *endpoints = value_new(a, VALUE_ARRAY);
        for (size_t k = i; k < n_pods; k++) {
            if (!done[k] && same_ports(s, pods[i].pod, pods[k].pod)) {
                done[k] = true;
                value_push(a, endpoints, endpoint(a, s, &pods[k], ipv6));
            }
        }
        value_set(a, document, "endpoints", endpoints);
        value_push(a, array, document);
    }
}

void objects_slices(struct arena *a, const struct service_view *view, const struct pod_view *pods,
                    size_t n_pods, struct value *array)
{
    if (view->ipv4) {
        family_slices(a, view->service, pods, n_pods, false, array);
    }
    if (view->ipv6) {
        family_slices(a, view->service, pods, n_pods, true, array);
    }
}
