/* osm verify connectivity: is all there that a call needs? */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/policy_mesh.h"
#include "cli/verify.h"

static const char *from_pod, *to_pod, *to_service, *app_protocol = "http", *to_host,
                                                   *mesh_name = MESH_NAME;
static int64_t to_port;

const struct flag verify_connectivity_flags[] = {
    {"from-pod", 0, FLAG_STRING, "[NAMESPACE/]POD", "who calls", &from_pod, .required = true,
     .complete = complete_pods},
    {"to-pod", 0, FLAG_STRING, "[NAMESPACE/]POD", "who is called", &to_pod,
     .complete = complete_pods},
    {"to-service", 0, FLAG_STRING, "NAME", "by which service, in the namespace of --to-pod",
     &to_service},
    {"app-protocol", 0, FLAG_STRING, "http|grpc|tcp|tcp-server-first|https", "what is spoken",
     &app_protocol},
    {"to-ext-host", 0, FLAG_STRING, "HOST", "or who is called outside the mesh", &to_host},
    {"to-ext-port", 0, FLAG_NUMBER, "PORT", "at which port", &to_port, .min = 1, .max = 65535},
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh", &mesh_name},
    {0},
};

struct call {
    struct cluster *cluster;
    struct policy_mesh mesh;
    struct policy_pod from, to;
    struct verify *whole;
};

/* --- inside the mesh --- */

static bool check_policy(struct call *c)
{
    struct verify *v = verify_new(c->cluster->arena, c->whole,
                                  "Verify if policy lets service account \"%.*s\" call \"%.*s\"",
                                  STR_ARG(c->from.identity), STR_ARG(c->to.identity));
    if (!policy_allows(policy_of(&c->mesh, &c->to), c->from.identity)) {
        verify_fail(v,
                    "make a TrafficTarget, or compare the one that is there with: osm policy "
                    "check-pods",
                    "no TrafficTarget names both with a rule");
    }
    return !v->reason;
}

static void check_outbound(struct call *c, const struct mesh_service *service,
                           const struct mesh_port *port)
{
    struct arena *a = c->cluster->arena;
    const char *protocol = protocol_name(port->protocol);
    const char *chain =
        arena_printf(a, "outbound_%.*s_%u_%s", STR_ARG(service->key), port->port, protocol).ptr;
    const char *cluster = arena_printf(a, "%.*s|%u", STR_ARG(service->key), port->target_port).ptr;
    struct verify *v =
        verify_new(a, c->whole,
                   "Verify if the sidecar of pod \"%s/%s\" knows port %u "
                   "of service \"%.*s\"",
                   c->from.name.namespace, c->from.name.name, port->port, STR_ARG(service->key));
    struct envoy_view view = {0};
    struct err e = ERR_INIT;
    if (envoy_view_read(c->cluster, &c->from.name, &view, &e) < 0) {
        verify_unknown(v, &e);
    } else if (!service->headless && !envoy_has_listener(&view, chain)) {
        verify_fail(v, "is the sidecar synced? see: osm proxy status", "Envoy has no listener %s",
                    chain);
    } else if (!envoy_has_cluster(&view, cluster)) {
        verify_fail(v, "is the sidecar synced? see: osm proxy status", "Envoy has no cluster %s",
                    cluster);
    } else if (envoy_hosts(&view, cluster) == 0) {
        verify_fail(v, "is a pod of the service ready? see: kubectl get endpointslices",
                    "cluster %s has no healthy endpoint", cluster);
    }
}

static void check_inbound(struct call *c, const struct mesh_service *service,
                          const struct mesh_port *port)
{
    struct arena *a = c->cluster->arena;
    const char *chain = arena_printf(a, "inbound_%.*s_%u_%s", STR_ARG(service->key),
                                     port->target_port, protocol_name(port->protocol))
                            .ptr;
    struct verify *v =
        verify_new(a, c->whole,
                   "Verify if the sidecar of pod \"%s/%s\" takes calls to "
                   "port %u of service \"%.*s\"",
                   c->to.name.namespace, c->to.name.name, port->port, STR_ARG(service->key));
    struct envoy_view view = {0};
    struct err e = ERR_INIT;
    if (envoy_view_read(c->cluster, &c->to.name, &view, &e) < 0) {
        verify_unknown(v, &e);
    } else if (!envoy_has_chain(&view, "inbound-listener", chain)) {
        verify_fail(v,
                    "does the service select the pod? is the sidecar synced? see: osm proxy status",
                    "Envoy has no filter chain %s", chain);
    }
}

/* A sidecar knows nothing of a service that it may not call: without policy that isn't a second
 * fault. */
static void check_service(struct call *c, bool allowed)
{
    struct arena *a = c->cluster->arena;
    struct str key = arena_printf(a, "%s/%s", c->to.name.namespace, to_service);
    struct verify *v = verify_new(a, c->whole, "Verify if service \"%.*s\" has a port for %s",
                                  STR_ARG(key), app_protocol);
    const struct mesh_service *service = mesh_service_find(c->mesh.mesh, key);
    size_t ports = 0;
    if (!service) {
        verify_fail(v, NULL, "there is no service \"%.*s\" in the mesh", STR_ARG(key));
        return;
    }
    for (size_t i = 0; i < service->ports.len; i++) {
        const struct mesh_port *port = &service->ports.at[i];
        if (strcmp(protocol_name(port->protocol), app_protocol) == 0) {
            ports++;
            if (allowed) {
                check_outbound(c, service, port);
            }
            check_inbound(c, service, port);
        }
    }
    if (ports == 0) {
        verify_fail(v, "set appProtocol of the Service's port, or another --app-protocol",
                    "service \"%.*s\" has no port whose protocol is %s", STR_ARG(key),
                    app_protocol);
    }
}

/* --- to the outside --- */

static bool names_host(const struct value *policy)
{
    const struct value *hosts = value_at(policy, "spec.hosts");
    for (size_t i = 0; i < value_len(hosts); i++) {
        if (hosts->array.at[i].type == VALUE_STRING && str_is(hosts->array.at[i].string, to_host)) {
            return true;
        }
    }
    return false;
}

/* Who wrote an Egress for the host may take that for the way out. */
static void egress_is_off(struct call *c, struct verify *v)
{
    struct value *policies = NULL;
    struct arena *a = c->cluster->arena;
    const char *todo = "set MeshConfig spec.traffic.enableEgress";
    if (cluster_list(c->cluster,
                     kube_path(a, KIND_EGRESS, str_of(c->from.name.namespace), STR(""), NULL),
                     &policies, NULL) == 0) {
        for (size_t i = 0; i < value_len(policies); i++) {
            const struct value *policy = &policies->array.at[i];
            if (names_host(policy)) {
                verify_fail(v, todo,
                            "egress is off; Egress \"%s/%.*s\" names the host, but has no effect "
                            "yet",
                            c->from.name.namespace,
                            STR_ARG(value_string_at(policy, "metadata.name")));
                return;
            }
        }
    }
    verify_fail(v, todo, "egress is off");
}

static void check_egress(struct call *c)
{
    struct arena *a = c->cluster->arena;
    struct verify *v =
        verify_new(a, c->whole, "Verify if calls to \"%s\" port %lld may leave the mesh", to_host,
                   (long long)to_port);
    struct envoy_view view = {0};
    struct err e = ERR_INIT;
    if (!mesh_config(c->mesh.mesh)->traffic.enable_egress) {
        egress_is_off(c, v);
        return;
    }
    v = verify_new(a, c->whole, "Verify if the sidecar of pod \"%s/%s\" has a way out",
                   c->from.name.namespace, c->from.name.name);
    if (envoy_view_read(c->cluster, &c->from.name, &view, &e) < 0) {
        verify_unknown(v, &e);
    } else if (!envoy_has_cluster(&view, "passthrough-outbound")) {
        verify_fail(v, "is the sidecar synced? see: osm proxy status",
                    "Envoy has no cluster passthrough-outbound");
    }
}

/* --- the command --- */

static int read_names(struct call *c, struct err *e)
{
    if (object_name_parse(from_pod, "default", "pod", &c->from.name, e) < 0) {
        return -1;
    }
    if (to_pod && to_service && !to_host) {
        return object_name_parse(to_pod, "default", "pod", &c->to.name, e) < 0 ||
                       check_name("--to-service", to_service, e) < 0
                   ? -1
                   : 0;
    }
    return to_host && to_port > 0 && !to_pod && !to_service
               ? 0
               : err_set(e,
                         "expected --to-pod and --to-service, or --to-ext-host and --to-ext-port");
}

static void check(struct call *c)
{
    struct value *pod;
    struct err e = ERR_INIT;
    verify_pod(c->cluster, c->whole, &c->from.name, mesh_name, &pod);
    if (to_pod) {
        verify_pod(c->cluster, c->whole, &c->to.name, mesh_name, &pod);
    }
    VEC_EACH(c->whole->parts, part) {
        if ((*part)->reason) {
            return; /* what follows rests on these */
        }
    }
    if (policy_mesh_load(c->cluster, &c->from, to_pod ? &c->to : NULL, &c->mesh, &e) < 0) {
        verify_unknown(c->whole, &e);
    } else if (to_pod) {
        check_service(c, check_policy(c));
    } else {
        check_egress(c);
    }
}

int verify_connectivity_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    struct call call = {.cluster = &c};
    if (read_names(&call, e) < 0 || check_name("--mesh-name", mesh_name, e) < 0 ||
        cluster_open(&c, e) < 0 || cluster_answers(&c, e) < 0) {
        return -1;
    }
    const struct object_name *from = &call.from.name, *to = &call.to.name;
    call.whole =
        to_pod
            ? verify_new(c.arena, NULL,
                         "Verify if pod \"%s/%s\" can access pod \"%s/%s\" for service \"%s/%s\"",
                         from->namespace, from->name, to->namespace, to->name, to->namespace,
                         to_service)
            : verify_new(c.arena, NULL,
                         "Verify if pod \"%s/%s\" can access \"%s\" port %lld outside the mesh",
                         from->namespace, from->name, to_host, (long long)to_port);
    check(&call);
    policy_mesh_done(&call.mesh);
    return verify_print(call.whole);
}
