/* Manifests of the meshes that are measured. */
#include "world.h"

#include <stdio.h>

/* Services that one identity may call. */
enum { CALLEES = 5 };

int world_pods(const struct world *w, int service)
{
    return service == 0 && w->hot_pods > 0 ? w->hot_pods : w->per_service;
}

int world_proxies(const struct world *w)
{
    return world_pods(w, 0) + (w->services - 1) * w->per_service;
}

void world_init(struct world *w)
{
    w->generations = mem_zalloc((size_t)world_proxies(w) * sizeof(*w->generations));
    w->based = mem_zalloc((size_t)world_proxies(w) * sizeof(*w->based));
    w->slices = mem_zalloc((size_t)w->services * sizeof(*w->slices));
}

void world_done(struct world *w)
{
    free(w->generations);
    free(w->based);
    free(w->slices);
}

int world_pod_index(const struct world *w, int service, int pod)
{
    return service == 0 ? pod : world_pods(w, 0) + (service - 1) * w->per_service + pod;
}

static int generation_of(const struct world *w, int service, int pod)
{
    return w->generations ? w->generations[world_pod_index(w, service, pod)] : 0;
}

/* One pod is missing, by turns; when there is only one, each second time. */
bool world_is_listed(const struct world *w, int service, int pod)
{
    int n = world_pods(w, service), variant = w->slices ? w->slices[service] : 0;
    return n == 1 ? variant % 2 == 0 : pod != variant % n;
}

char *world_uuid(const struct world *w, int service, int pod)
{
    return mem_printf("00000000-0000-4000-%04x-%06x%06x", generation_of(w, service, pod), service,
                      pod);
}

char *world_account(int service)
{
    return mem_printf("service-%04d", service);
}

char *world_pod_account(const struct world *w, int service)
{
    return w->moved && service == w->services - 1 ? mem_printf("moved-%d", w->moved)
                                                  : world_account(service);
}

/* Another generation, another address: eight of them, in the upper bits. */
static void write_ip(int generation, int service, int pod, struct buf *out)
{
    int n = service * WORLD_PODS_MAX + pod;
    buf_printf(out, "10.%d.%d.%d", (generation & 7) << 3 | (n >> 16 & 7), n >> 8 & 255, n & 255);
}

static char *pod_name(int generation, int service, int pod)
{
    return generation ? mem_printf("service-%04d-%d-%d", service, pod, generation)
                      : mem_printf("service-%04d-%d", service, pod);
}

static void write_head(const char *api, const char *kind, const char *name, struct buf *out)
{
    buf_printf(out,
               "---\napiVersion: %s\nkind: %s\nmetadata:\n  namespace: " WORLD_NAMESPACE
               "\n  name: %s\n",
               api, kind, name);
}

void world_write_deleted(const char *api, const char *kind, const char *name, struct buf *out)
{
    write_head(api, kind, name, out);
    buf_addz(out, "  annotations: {openservicemesh.io/deleted: \"true\"}\n");
}

void world_write_config(const struct world *w, struct buf *out)
{
    buf_printf(out,
               "---\napiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n"
               "metadata: {namespace: osm-system, name: osm-mesh-config}\n"
               "spec: {traffic: {enablePermissiveTrafficPolicyMode: %s, enableEgress: %s}, "
               "certificate: {serviceCertValidityDuration: %ds}}\n",
               w->policy == WORLD_PERMISSIVE ? "true" : "false", w->egress ? "true" : "false",
               w->short_lived ? WORLD_SHORT_S : 24 * 3600);
}

void world_write_base(const struct world *w, struct buf *out)
{
    buf_addz(out, "apiVersion: v1\nkind: Namespace\nmetadata: {name: " WORLD_NAMESPACE
                  ", labels: {openservicemesh.io/monitored-by: osm}}\n");
    world_write_config(w, out);
    write_head("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "routes", out);
    buf_addz(out, "spec: {matches: [{name: all, pathRegex: \".*\", methods: [\"*\"]}]}\n");
}

static void write_pod(const struct world *w, int service, int pod, struct buf *out)
{
    int generation = generation_of(w, service, pod);
    AUTO(free) char *uuid = world_uuid(w, service, pod);
    AUTO(free) char *name = pod_name(generation, service, pod);
    AUTO(free) char *account = world_pod_account(w, service);
    write_head("v1", "Pod", name, out);
    buf_printf(out,
               "  labels: {app: service-%04d, osm-proxy-uuid: %s}\n"
               "spec: {serviceAccountName: %s, containers: [{name: app, image: app}]}\n"
               "status: {phase: Running, podIP: ",
               service, uuid, account);
    write_ip(generation, service, pod, out);
    buf_addz(out, ", podIPs: [{ip: ");
    write_ip(generation, service, pod, out);
    buf_addz(out, "}]}\n");
}

static void write_slice(const struct world *w, int service, struct buf *out)
{
    int n = world_pods(w, service);
    AUTO(free) char *name = mem_printf("service-%04d-slice", service);
    write_head("discovery.k8s.io/v1", "EndpointSlice", name, out);
    buf_printf(out,
               "  labels: {kubernetes.io/service-name: service-%04d}\n"
               "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n",
               service);
    for (int pod = 0; pod < n; pod++) {
        bool listed = world_is_listed(w, service, pod);
        if (listed || n == 1) {
            buf_addz(out, "- {addresses: [");
            write_ip(generation_of(w, service, pod), service, pod, out);
            buf_printf(out, "], conditions: {ready: %s}}\n", listed ? "true" : "false");
        }
    }
}

void world_write_gone(const struct world *w, int service, int pod, struct buf *out)
{
    AUTO(free) char *name = pod_name(generation_of(w, service, pod), service, pod);
    world_write_deleted("v1", "Pod", name, out);
}

static int based_of(const struct world *w, int service, int pod)
{
    return w->based ? w->based[world_pod_index(w, service, pod)] : 0;
}

void world_based(struct world *w, int service)
{
    for (int pod = 0; pod < world_pods(w, service); pod++) {
        w->based[world_pod_index(w, service, pod)] = generation_of(w, service, pod);
    }
}

/* Those of the base are hidden by what is written here, those between are not written any more. */
void world_write_members(const struct world *w, int service, struct buf *out)
{
    for (int pod = 0; pod < world_pods(w, service); pod++) {
        int based = based_of(w, service, pod);
        if (generation_of(w, service, pod) != based) {
            AUTO(free) char *hidden = pod_name(based, service, pod);
            world_write_deleted("v1", "Pod", hidden, out);
            write_pod(w, service, pod, out);
        }
    }
    write_slice(w, service, out);
}

static void write_sources(int first, int count, const struct world *w, struct buf *out)
{
    for (int i = 0; i < count; i++) {
        int source = ((first - i) % w->services + w->services) % w->services;
        buf_printf(out, "  - {kind: ServiceAccount, name: service-%04d, namespace: %s}\n", source,
                   WORLD_NAMESPACE);
    }
}

/* Variant 1 lets one more in. */
void world_write_target(const struct world *w, int service, int variant, struct buf *out)
{
    AUTO(free) char *name = mem_printf("target-%04d", service);
    write_head("access.smi-spec.io/v1alpha3", "TrafficTarget", name, out);
    buf_printf(out,
               "spec:\n  destination: {kind: ServiceAccount, name: service-%04d, namespace: %s}\n"
               "  rules: [{kind: HTTPRouteGroup, name: routes, matches: [all]}]\n  sources:\n",
               service, WORLD_NAMESPACE);
    if (w->policy == WORLD_HOT) {
        write_sources(w->services - 1, w->services - variant % 2, w, out);
    } else {
        write_sources(service - 1, CALLEES + variant % 2, w, out);
    }
}

void world_write_split(const struct world *w, int service, int variant, struct buf *out)
{
    AUTO(free) char *name = mem_printf("split-%04d", service);
    write_head("split.smi-spec.io/v1alpha4", "TrafficSplit", name, out);
    buf_printf(out,
               "spec:\n  service: service-%04d\n  backends:\n"
               "  - {service: service-%04d, weight: %d}\n  - {service: service-%04d, weight: 1}\n",
               service, service, 9 - variant % 2, (service + 1) % w->services);
}

void world_write_account(const char *name, struct buf *out)
{
    write_head("v1", "ServiceAccount", name, out);
}

static void write_named_service(int service, struct buf *out)
{
    AUTO(free) char *name = world_account(service);
    world_write_account(name, out);
    write_head("v1", "Service", name, out);
    buf_printf(out,
               "spec: {clusterIP: 10.%d.%d.%d, selector: {app: %s}, "
               "ports: [{name: http, port: 80, targetPort: 8080}]}\n",
               96 + (service >> 16), service >> 8 & 255, service & 255, name);
}

void world_write_service(const struct world *w, int service, struct buf *out)
{
    write_named_service(service, out);
    for (int pod = 0; pod < world_pods(w, service); pod++) {
        write_pod(w, service, pod, out);
    }
    write_slice(w, service, out);
    if (w->policy == WORLD_SMI || (w->policy == WORLD_HOT && service == 0)) {
        world_write_target(w, service, 0, out);
    }
}
