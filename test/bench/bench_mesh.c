/* What one change costs in meshes of different sizes, all services in one namespace: the claim is
 * that it doesn't grow with the mesh. Writes a line of JSON for each size. */
#include <stdio.h>
#include <time.h>

#include "../unit/mesh_fixture.h"

#define ROUNDS 400

/* Our own time: what else the machine does counts little. */
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static const int sizes[] = {10, 100, 1000, 5000};

static void write_base(struct buf *b)
{
    buf_addz(b, "apiVersion: v1\nkind: Namespace\n"
                "metadata: {name: a, labels: {openservicemesh.io/monitored-by: osm}}\n---\n"
                "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\n"
                "metadata: {namespace: a, name: g}\nspec: {matches: [{name: m}]}\n");
}

static void write_pod(struct buf *b, int i, const char *suffix)
{
    buf_printf(b,
               "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: p%d%s, labels: "
               "{app: s%d, part-of: all, osm-proxy-uuid: u%d%s}}\n"
               "spec: {serviceAccountName: s%d, containers: [{name: c, image: i}]}\n"
               "status: {phase: Running, podIP: 10.%d.%d.1, podIPs: [{ip: 10.%d.%d.1}]}\n",
               i, suffix, i, i, suffix, i, i / 250, i % 250, i / 250, i % 250);
}

static void write_slice(struct buf *b, int i, int variant)
{
    buf_printf(b,
               "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
               "metadata: {namespace: a, name: s%d-x, labels: {kubernetes.io/service-name: s%d}}\n"
               "endpoints: [{addresses: [10.%d.%d.1]}, {addresses: [10.%d.%d.%d]}]\n"
               "ports: [{port: 8080}]\n",
               i, i, i / 250, i % 250, i / 250, i % 250, 2 + variant);
}

static void write_target(struct buf *b, int i, int variant)
{
    buf_printf(b,
               "---\napiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\n"
               "metadata: {namespace: a, name: t%d}\nspec:\n"
               "  destination: {kind: ServiceAccount, name: s%d, namespace: a}\n"
               "  sources: [{kind: ServiceAccount, name: s%d, namespace: a}]\n"
               "  rules: [{kind: HTTPRouteGroup, name: g}]\n",
               i, i, i + 1 + variant);
}

static void write_split(struct buf *b, int i, int variant)
{
    buf_printf(b,
               "---\napiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\n"
               "metadata: {namespace: a, name: x%d}\nspec: {service: s%d, backends: "
               "[{service: s%d, weight: %d}, {service: s%d, weight: 1}]}\n",
               i, i, i, variant + 1, i + 1);
}

static void write_unit(struct buf *b, int i)
{
    buf_printf(b,
               "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: a, name: s%d}\n"
               "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: a, name: s%d}\n"
               "spec: {clusterIP: 10.100.%d.%d, selector: {part-of: all, app: s%d}, ports: [{port: "
               "80, targetPort: 8080}]}\n",
               i, i, i / 250, i % 250, i);
    write_pod(b, i, "");
    write_slice(b, i, 0);
    write_target(b, i, 0);
}

static void keep(void *arg, struct object *o)
{
    *(struct object **)arg = o;
}

static struct object *decode(struct buf *b)
{
    AUTO(findings_done) struct findings found = {0};
    struct object *o = NULL;
    ASSERT(objects_read(buf_str(b), "bench.yaml", keep, &o, &found) == 0 && o);
    buf_reset(b);
    return o;
}

/* Mean microseconds of putting two objects in turn and bringing the mesh up to date. */
static double alternate(struct fixture *f, struct object *one, struct object *two)
{
    store_put(f->store, object_ref(one));
    fixture_update(f);
    int64_t start = cpu_us();
    for (int i = 0; i < ROUNDS; i++) {
        store_put(f->store, object_ref(i % 2 ? one : two));
        fixture_update(f);
    }
    double us = (double)(cpu_us() - start) / ROUNDS;
    object_unref(one);
    object_unref(two);
    return us;
}

static double pod_churn(struct fixture *f, struct object *pod)
{
    int64_t start = cpu_us();
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 2) {
            store_remove(f->store, KIND_POD, pod->meta.namespace, pod->meta.name);
        } else {
            store_put(f->store, object_ref(pod));
        }
        fixture_update(f);
    }
    double us = (double)(cpu_us() - start) / ROUNDS;
    object_unref(pod);
    return us;
}

enum { ENDPOINT, SPLIT, TARGET, POD, CHANGES };

static void measure(int n, double us[CHANGES])
{
    struct fixture f;
    fixture_init(&f);
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1u << 20);
    write_base(&b);
    for (int i = 0; i < n; i++) {
        write_unit(&b, i);
        fixture_put(&f, b.data);
        buf_reset(&b);
    }
    int64_t start = cpu_us();
    fixture_update(&f);
    printf("{\"services\": %d, \"built_ms\": %.3f", n, (double)(cpu_us() - start) / 1000);
    struct object *o[6];
    for (int variant = 0; variant < 2; variant++) {
        write_slice(&b, n / 2, variant);
        o[variant] = decode(&b);
        write_split(&b, n / 2, variant);
        o[2 + variant] = decode(&b);
        write_target(&b, n / 2, variant);
        o[4 + variant] = decode(&b);
    }
    us[ENDPOINT] = alternate(&f, o[0], o[1]);
    us[SPLIT] = alternate(&f, o[2], o[3]);
    us[TARGET] = alternate(&f, o[4], o[5]);
    write_pod(&b, n / 2, "-new");
    us[POD] = pod_churn(&f, decode(&b));
    fixture_done(&f);
}

int main(void)
{
    static const char *const names[CHANGES] = {"endpoint", "split", "target", "pod"};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        double us[CHANGES];
        measure(sizes[i], us);
        for (int c = 0; c < CHANGES; c++) {
            printf(", \"%s_us\": %.3f", names[c], us[c]);
        }
        printf("}\n");
    }
    return 0;
}
