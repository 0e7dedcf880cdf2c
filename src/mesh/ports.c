/* The ports of a service: what each speaks and which port of its pods it means. */
#include "mesh/internal.h"

static const char *const protocol_names[] = {
    [PROTOCOL_HTTP] = "http",
    [PROTOCOL_GRPC] = "grpc",
    [PROTOCOL_TCP] = "tcp",
    [PROTOCOL_TCP_SERVER_FIRST] = "tcp-server-first",
};

const char *protocol_name(enum protocol p)
{
    return protocol_names[p];
}

/* Kubernetes' own names (KEP-3726), and what people write for HTTP/2 without TLS. */
static const struct {
    const char *name;
    enum protocol protocol;
} app_protocols[] = {
    {"http", PROTOCOL_HTTP},
    {"http2", PROTOCOL_HTTP},
    {"h2c", PROTOCOL_HTTP},
    {"kubernetes.io/h2c", PROTOCOL_HTTP},
    {"kubernetes.io/ws", PROTOCOL_HTTP},
    {"grpc", PROTOCOL_GRPC},
    {"tcp", PROTOCOL_TCP},
    {"tcp-server-first", PROTOCOL_TCP_SERVER_FIRST},
};

/* The longest prefix comes first. */
static const struct {
    const char *prefix;
    enum protocol protocol;
} name_prefixes[] = {
    {"tcp-server-first-", PROTOCOL_TCP_SERVER_FIRST},
    {"http-", PROTOCOL_HTTP},
    {"tcp-", PROTOCOL_TCP},
    {"grpc-", PROTOCOL_GRPC},
};

static bool is_tcp(struct str protocol)
{
    return protocol.len == 0 || str_is(protocol, "TCP");
}

static enum protocol protocol_of(struct update *u, const struct service *svc, size_t i, bool say)
{
    const struct service_port *p = &svc->ports.at[i];
    for (size_t j = 0; p->app_protocol.len > 0 && j < COUNT_OF(app_protocols); j++) {
        if (str_is_nocase(p->app_protocol, app_protocols[j].name)) {
            return app_protocols[j].protocol;
        }
    }
    if (p->app_protocol.len > 0) {
        if (say) {
            note(u, &svc->object,
                 "spec.ports[%zu].appProtocol: expected http, grpc, tcp or tcp-server-first, found "
                 "\"%.*s\"; the port is treated as tcp",
                 i, STR_ARG(p->app_protocol));
        }
        return PROTOCOL_TCP;
    }
    for (size_t j = 0; j < COUNT_OF(name_prefixes); j++) {
        if (str_starts(p->name, name_prefixes[j].prefix)) {
            return name_prefixes[j].protocol;
        }
    }
    return PROTOCOL_HTTP;
}

static uint16_t as_port(int64_t n)
{
    return n >= 1 && n <= UINT16_MAX ? (uint16_t)n : 0;
}

uint16_t pod_port(const struct pod *p, struct str name)
{
    for (size_t i = 0; i < p->containers.len; i++) {
        const struct pod_container *c = &p->containers.at[i];
        for (size_t j = 0; j < c->ports.len; j++) {
            if (str_eq(c->ports.at[j].name, name) && is_tcp(c->ports.at[j].protocol)) {
                return as_port(c->ports.at[j].container_port);
            }
        }
    }
    return 0;
}

static uint16_t port_in_slices(struct update *u, const struct service *svc,
                               const struct service_port *p)
{
    struct object_list slices =
        lookup(u, INDEX_SLICE_BY_SERVICE, svc->object.meta.namespace, svc->object.meta.name);
    for (size_t i = 0; i < slices.len; i++) {
        const struct endpoint_slice *slice = (const struct endpoint_slice *)slices.at[i];
        for (size_t j = 0; j < slice->ports.len; j++) {
            const struct endpoint_port *ep = &slice->ports.at[j];
            if (str_eq(ep->name, p->name) && is_tcp(ep->protocol) && as_port(ep->port)) {
                return as_port(ep->port);
            }
        }
    }
    return 0;
}

static uint16_t target_port_of(struct update *u, const struct service *svc,
                               const struct service_port *p)
{
    if (p->target_port.name.len == 0) {
        return as_port(p->target_port.number ? p->target_port.number : p->port);
    }
    uint16_t port = port_in_slices(u, svc, p);
    struct pods pods = {0};
    if (port == 0) {
        pods_of_service(u, svc, &pods);
    }
    for (size_t i = 0; i < pods.list.len && port == 0; i++) {
        port = pod_port(pods.list.at[i], p->target_port.name);
    }
    VEC_DONE(pods.list);
    return port;
}

void ports_resolve(struct update *u, const struct service *svc, bool say, struct ports *ret)
{
    *ret = (struct ports){0};
    for (size_t i = 0; i < svc->ports.len; i++) {
        const struct service_port *p = &svc->ports.at[i];
        uint16_t port = as_port(p->port);
        if (!is_tcp(p->protocol)) {
            continue;
        }
        uint16_t target = target_port_of(u, svc, p);
        if (target == 0) {
            if (say) {
                note(u, &svc->object,
                     "spec.ports[%zu].targetPort: no endpoint and no pod that the service selects "
                     "has a TCP port named \"%.*s\", so that nobody can reach port %u; give a "
                     "number, or name a container port so",
                     i, STR_ARG(p->target_port.name), port);
            }
            continue;
        }
        VEC_PUSH(ret->list, (struct mesh_port){.name = p->name,
                                               .protocol = protocol_of(u, svc, i, say),
                                               .port = port,
                                               .target_port = target});
        VEC_PUSH(ret->from, p);
    }
}

void ports_done(struct ports *p)
{
    VEC_DONE(p->list);
    VEC_DONE(p->from);
}
