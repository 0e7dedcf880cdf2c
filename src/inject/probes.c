/* Which probes a pod has, and the pod with other ones in their place. */
#include "inject/probes.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/vec.h"
#include "doc/formats.h"
#include "inject/build.h"
#include "inject/names.h"

/* How a probe is called in the pod, in its path, and in the note. */
static const struct {
    const char *member, *path, *note;
    int listener;
} kinds[PROBE_WHEN_COUNT] = {
    [PROBE_LIVENESS] = {"livenessProbe", "osm-liveness-probe", "liveness", PORT_LIVENESS},
    [PROBE_READINESS] = {"readinessProbe", "osm-readiness-probe", "readiness", PORT_READINESS},
    [PROBE_STARTUP] = {"startupProbe", "osm-startup-probe", "startup", PORT_STARTUP},
    [HOOK_POST_START] = {"postStart", "osm-poststart-hook", "postStart", PORT_READY},
    [HOOK_PRE_STOP] = {"preStop", "osm-prestop-hook", "preStop", PORT_READY},
};
static const char *const hows[] = {"HTTP", "HTTPS", "GRPC", "TCP"};

typedef VEC(struct probe_route) route_vec;

struct planner {
    struct arena *arena;
    const struct pod *pod;
    route_vec routes;
    int grpc_next;
    bool again; /* the pod was injected before */
};

bool pod_is_injected(const struct value *pod)
{
    const struct value *volumes = value_at(pod, "spec.volumes");
    for (size_t i = 0; i < value_len(volumes); i++) {
        if (str_is(value_string_at(&volumes->array.at[i], "name"), BOOTSTRAP_VOLUME)) {
            return true;
        }
    }
    return false;
}

bool sidecar_owns(struct str container)
{
    return str_is(container, SIDECAR_CONTAINER) || str_is(container, INIT_CONTAINER) ||
           str_is(container, HEALTHCHECK_CONTAINER);
}

struct str probe_path(struct arena *a, const struct probe_route *r)
{
    return arena_printf(a, "/%s/%.*s", kinds[r->when].path, STR_ARG(r->container));
}

bool probes_have(const struct probe_plan *plan, enum probe_how how)
{
    for (size_t i = 0; i < plan->len; i++) {
        if (plan->at[i].how == how) {
            return true;
        }
    }
    return false;
}

/* --- what there is --- */

/* As the kubelet writes a path into its request line: from the root, without a fragment, and what
 * may not stand there percent-encoded. */
static struct str request_path(struct arena *a, struct str path)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, LIMIT_DOC_BYTES);
    if (path.len == 0 || path.ptr[0] != '/') {
        buf_addc(&out, '/');
    }
    for (size_t i = 0; i < path.len && path.ptr[i] != '#'; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c)) {
            buf_printf(&out, "%%%02X", c);
        } else {
            buf_addc(&out, (char)c);
        }
    }
    return arena_str(a, buf_str(&out));
}

/* 0: the container has no such port, so that the probe can't work with or without us. */
static int64_t port_number(const struct container *c, const struct int_or_string *port)
{
    if (port->name.len == 0) {
        return port->number;
    }
    for (size_t i = 0; i < c->ports.len; i++) {
        if (str_eq(c->ports.at[i].name, port->name)) {
            return c->ports.at[i].container_port;
        }
    }
    return 0;
}

/* gRPC probes of one port of the pod share a listener. */
static int grpc_listener(struct planner *p, int64_t port, struct err *e)
{
    VEC_EACH(p->routes, r) {
        if (r->how == PROBE_GRPC && r->port == port) {
            return r->listener;
        }
    }
    if (p->grpc_next > PORT_GRPC_LAST) {
        return err_set(e,
                       "Pod %.*s/%.*s: expected gRPC probes of at most %d ports, found more; give "
                       "several services one port or use another kind of probe",
                       STR_ARG(p->pod->object.meta.namespace), STR_ARG(p->pod->object.meta.name),
                       PORT_GRPC_LAST - PORT_GRPC_FIRST + 1);
    }
    return p->grpc_next++;
}

static int note_bad(const struct pod *pod, struct err *e)
{
    return err_set(e,
                   "Pod %.*s/%.*s: annotation " ANNOTATION_PROBES
                   ": expected what its first injection wrote there; create the pod from its "
                   "template instead of from another pod",
                   STR_ARG(pod->object.meta.namespace), STR_ARG(pod->object.meta.name));
}

static bool is_ours(int64_t port)
{
    return (port >= PORT_PROBES_FIRST && port <= PORT_PROBES_LAST) ||
           (port >= PORT_GRPC_FIRST && port <= PORT_GRPC_LAST);
}

/* A probe that an injection before has rewritten: must be in the note, unless it is of TCP, which
 * says itself what it asks. */
static int plan_rewritten(struct planner *p, const struct container *c, enum probe_when when,
                          int64_t port, struct err *e)
{
    VEC_EACH(p->routes, r) {
        if (r->when == when && str_eq(r->container, c->name) && r->listener == port) {
            return 0;
        }
    }
    if (port != PORT_HEALTHCHECK) {
        return note_bad(p->pod, e);
    }
    VEC_PUSH(p->routes, (struct probe_route){.when = when,
                                             .how = PROBE_TCP,
                                             .container = c->name,
                                             .listener = PORT_HEALTHCHECK,
                                             .done = true});
    return 0;
}

static int plan_probe(struct planner *p, const struct container *c, enum probe_when when,
                      const struct probe *probe, struct err *e)
{
    if (!probe || probe->exec || !(probe->http_get || probe->tcp_socket || probe->grpc)) {
        return 0;
    }
    struct probe_route r = {.when = when,
                            .container = c->name,
                            .port = port_number(c, &probe->port),
                            .timeout_s = probe->timeout_s > 0 ? probe->timeout_s : 1,
                            .listener = kinds[when].listener};
    /* A probe of another host doesn't come to the pod at all. */
    if (probe->host.len > 0 || r.port == 0) {
        return 0;
    }
    if (p->again && is_ours(r.port)) {
        return plan_rewritten(p, c, when, r.port, e);
    }
    if (probe->http_get) {
        r.how = str_is(probe->scheme, "HTTPS") ? PROBE_HTTPS : PROBE_HTTP;
        r.path = request_path(p->arena, probe->path);
    } else if (probe->tcp_socket) {
        r.how = PROBE_TCP;
        r.listener = PORT_HEALTHCHECK;
    } else {
        r.how = PROBE_GRPC;
        if ((r.listener = grpc_listener(p, r.port, e)) < 0) {
            return -1;
        }
    }
    VEC_PUSH(p->routes, r);
    return 0;
}

/* Our decoder doesn't know hooks; the API server has seen to the types already. */
static void plan_hook(struct planner *p, const struct container *c, enum probe_when when,
                      const struct value *hook)
{
    const struct value *get = value_member(hook, "httpGet"), *port = value_member(get, "port");
    struct int_or_string number = {0};
    if (!port || value_string_at(get, "host").len > 0) {
        return;
    }
    if (port->type == VALUE_INT) {
        number.number = port->integer;
    } else if (port->type == VALUE_STRING) {
        number.name = port->string;
    }
    struct probe_route r = {
        .when = when,
        .how = str_is(value_string_at(get, "scheme"), "HTTPS") ? PROBE_HTTPS : PROBE_HTTP,
        .container = c->name,
        .port = port_number(c, &number),
        .path = request_path(p->arena, value_string_at(get, "path")),
        .listener = kinds[when].listener,
    };
    if (r.port >= 1 && r.port <= UINT16_MAX && !(p->again && is_ours(r.port))) {
        VEC_PUSH(p->routes, r);
    }
}

static int plan_container(struct planner *p, const struct container *c, const struct value *raw,
                          struct err *e)
{
    if (p->again && sidecar_owns(c->name)) {
        return 0;
    }
    if (plan_probe(p, c, PROBE_LIVENESS, c->liveness, e) < 0 ||
        plan_probe(p, c, PROBE_READINESS, c->readiness, e) < 0 ||
        plan_probe(p, c, PROBE_STARTUP, c->startup, e) < 0) {
        return -1;
    }
    plan_hook(p, c, HOOK_POST_START, value_at(raw, "lifecycle.postStart"));
    plan_hook(p, c, HOOK_PRE_STOP, value_at(raw, "lifecycle.preStop"));
    return 0;
}

/* Init containers have probes and hooks when they go on running. */
static int plan_all(struct planner *p, const struct value *pod, struct err *e)
{
    const struct pod_spec *s = p->pod->spec;
    const struct value *init = value_at(pod, "spec.initContainers");
    const struct value *containers = value_at(pod, "spec.containers");
    for (size_t i = 0; i < s->init_containers.len && i < value_len(init); i++) {
        const struct container *c = &s->init_containers.at[i];
        if (str_is(c->restart_policy, "Always") &&
            plan_container(p, c, &init->array.at[i], e) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < s->containers.len && i < value_len(containers); i++) {
        if (plan_container(p, &s->containers.at[i], &containers->array.at[i], e) < 0) {
            return -1;
        }
    }
    return 0;
}

/* --- the note of what there was --- */

static int64_t number_at(const struct value *v, const char *key)
{
    const struct value *n = value_member(v, key);
    return n && n->type == VALUE_INT ? n->integer : -1;
}

static bool read_route(struct arena *a, const struct value *v, struct probe_route *r)
{
    struct str when = value_string_at(v, "probe"), how = value_string_at(v, "scheme");
    int64_t listener = number_at(v, "listener");
    size_t i = 0, k = 0;
    while (i < COUNT_OF(kinds) && !str_is(when, kinds[i].note)) {
        i++;
    }
    while (k < COUNT_OF(hows) && !str_is(how, hows[k])) {
        k++;
    }
    if (i == COUNT_OF(kinds) || k >= PROBE_TCP) {
        return false;
    }
    *r = (struct probe_route){
        .when = (enum probe_when)i,
        .how = (enum probe_how)k,
        .container = value_string_at(v, "container"),
        .port = number_at(v, "port"),
        .path = request_path(a, value_string_at(v, "path")),
        .timeout_s = number_at(v, "timeoutSeconds"),
        .listener = k == PROBE_GRPC ? (int)listener : kinds[i].listener,
        .done = true,
    };
    bool listener_ok =
        k != PROBE_GRPC || (listener >= PORT_GRPC_FIRST && listener <= PORT_GRPC_LAST);
    return listener_ok && r->port >= 1 && r->port <= UINT16_MAX && r->timeout_s >= 0 &&
           r->timeout_s <= INT32_MAX && format_dns_label.check(r->container, NULL) == 0;
}

static int read_note(struct planner *p, struct err *e)
{
    const struct str *text = pairs_find(&p->pod->object.meta.annotations, ANNOTATION_PROBES);
    struct value *note = NULL;
    if (!text) {
        return 0;
    }
    if (value_read_json(p->arena, *text, &note, NULL) < 0 || note->type != VALUE_ARRAY ||
        note->array.len > LIMIT_POD_PROBES) {
        return note_bad(p->pod, e);
    }
    for (size_t i = 0; i < note->array.len; i++) {
        struct probe_route r;
        if (!read_route(p->arena, &note->array.at[i], &r)) {
            return note_bad(p->pod, e);
        }
        VEC_PUSH(p->routes, r);
        if (r.how == PROBE_GRPC && r.listener >= p->grpc_next) {
            p->grpc_next = r.listener + 1;
        }
    }
    return 0;
}

static void write_note(struct arena *a, struct value *pod, const struct probe_plan *plan)
{
    struct value *note = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < plan->len; i++) {
        const struct probe_route *r = &plan->at[i];
        if (r->how == PROBE_TCP) {
            continue; /* the rewritten probe tells all */
        }
        value_push(a, note,
                   build_object(a, "probe", build_text(a, kinds[r->when].note), "container",
                                value_new_string(a, r->container), "scheme",
                                build_text(a, hows[r->how]), "port", value_new_int(a, r->port),
                                "path", r->how == PROBE_GRPC ? NULL : value_new_string(a, r->path),
                                "timeoutSeconds", value_new_int(a, r->timeout_s), "listener",
                                r->how == PROBE_GRPC ? value_new_int(a, r->listener) : NULL, NULL));
    }
    if (note->array.len == 0) {
        return;
    }
    struct buf text;
    buf_init(&text, LIMIT_DOC_BYTES);
    value_write_json(note, &text);
    struct value *metadata = value_ensure(a, pod, "metadata", VALUE_OBJECT);
    value_set(a, value_ensure(a, metadata, "annotations", VALUE_OBJECT), ANNOTATION_PROBES,
              value_new_string(a, buf_str(&text)));
    buf_done(&text);
}

int probes_plan(struct arena *a, const struct value *pod, const struct pod *decoded,
                const struct inject_options *o, struct probe_plan *ret, struct err *e)
{
    struct planner p = {
        .arena = a, .pod = decoded, .grpc_next = PORT_GRPC_FIRST, .again = pod_is_injected(pod)};
    int result = 0;
    if (o->probes) {
        result = p.again && read_note(&p, e) < 0 ? -1 : plan_all(&p, pod, e);
    }
    if (result == 0) {
        ret->len = p.routes.len;
        ret->at = arena_memdup(a, p.routes.at, p.routes.len * sizeof(*p.routes.at));
    }
    VEC_DONE(p.routes);
    return result;
}

/* --- rewriting --- */

static struct value *find_container(struct value *spec, const char *list, struct str name)
{
    struct value *all = (struct value *)value_member(spec, list);
    for (size_t i = 0; i < value_len(all); i++) {
        if (str_eq(value_string_at(&all->array.at[i], "name"), name)) {
            return &all->array.at[i];
        }
    }
    return NULL;
}

/* Other members of httpGet, such as its headers, stay. */
static void rewrite_http(struct arena *a, struct value *action, const struct probe_route *r)
{
    struct value *get = value_ensure(a, action, "httpGet", VALUE_OBJECT);
    value_set(a, get, "path", value_new_string(a, probe_path(a, r)));
    value_set(a, get, "port", value_new_int(a, r->listener));
    value_set(a, get, "scheme", build_text(a, "HTTP"));
}

static void rewrite_tcp(struct arena *a, struct value *probe, const struct probe_route *r)
{
    const struct value *header = build_object(a, "name", build_text(a, HEALTHCHECK_HEADER), "value",
                                              value_new_stringf(a, "%d", (int)r->port), NULL);
    for (size_t i = 0; i < probe->object.len; i++) {
        struct member *m = &probe->object.at[i];
        if (str_is(m->key, "tcpSocket")) {
            m->key = STR("httpGet");
            m->value = *build_object(a, "path", build_text(a, HEALTHCHECK_PATH), "port",
                                     value_new_int(a, r->listener), "scheme", build_text(a, "HTTP"),
                                     "httpHeaders", build_array(a, header, NULL), NULL);
        }
    }
}

static void rewrite(struct arena *a, struct value *container, const struct probe_route *r)
{
    bool hook = r->when >= HOOK_POST_START;
    struct value *parent = hook ? value_ensure(a, container, "lifecycle", VALUE_OBJECT) : container;
    struct value *action = value_ensure(a, parent, kinds[r->when].member, VALUE_OBJECT);
    if (r->how == PROBE_TCP) {
        rewrite_tcp(a, action, r);
    } else if (r->how == PROBE_GRPC) {
        value_set(a, value_ensure(a, action, "grpc", VALUE_OBJECT), "port",
                  value_new_int(a, r->listener));
    } else {
        rewrite_http(a, action, r);
    }
}

/* --- ports of TCP --- */

static void add_port(struct buf *ports, struct str port)
{
    struct str rest = buf_str(ports), one;
    while (str_cut(rest, ',', &one, &rest) || one.len > 0) {
        if (str_eq(one, port)) {
            return;
        }
    }
    buf_printf(ports, "%s%.*s", ports->len > 0 ? "," : "", STR_ARG(port));
}

static void add_ports_of(struct buf *ports, const struct value *action)
{
    const struct value *get = value_member(action, "httpGet");
    const struct value *headers = value_member(get, "httpHeaders"), *to = value_member(get, "port");
    bool ours = to && to->type == VALUE_INT && to->integer == PORT_HEALTHCHECK;
    for (size_t i = 0; ours && i < value_len(headers); i++) {
        const struct value *h = &headers->array.at[i];
        int64_t port;
        if (str_is(value_string_at(h, "name"), HEALTHCHECK_HEADER) &&
            str_int(value_string_at(h, "value"), 1, UINT16_MAX, &port)) {
            add_port(ports, value_string_at(h, "value"));
        }
    }
}

struct str probes_tcp_ports(struct arena *a, const struct value *pod)
{
    static const char *const lists[] = {"spec.containers", "spec.initContainers"};
    AUTO(buf_done) struct buf ports;
    buf_init(&ports, LIMIT_DOC_BYTES);
    for (size_t l = 0; l < COUNT_OF(lists); l++) {
        const struct value *all = value_at(pod, lists[l]);
        for (size_t i = 0; i < value_len(all); i++) {
            for (size_t when = 0; when < PROBE_WHEN_COUNT; when++) {
                const struct value *c = &all->array.at[i];
                add_ports_of(
                    &ports, value_member(when >= HOOK_POST_START ? value_member(c, "lifecycle") : c,
                                         kinds[when].member));
            }
        }
    }
    return arena_str(a, buf_str(&ports));
}

void probes_rewrite(struct arena *a, struct value *pod, const struct probe_plan *plan)
{
    struct value *spec = value_ensure(a, pod, "spec", VALUE_OBJECT);
    for (size_t i = 0; i < plan->len; i++) {
        const struct probe_route *r = &plan->at[i];
        struct value *c = find_container(spec, "containers", r->container);
        c = c ? c : find_container(spec, "initContainers", r->container);
        if (c && !r->done) {
            rewrite(a, c, r);
        }
    }
    write_note(a, pod, plan);
}
