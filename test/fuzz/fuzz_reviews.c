/* Any bytes as an AdmissionReview: the validator gives a verdict with a sentence, and what is sent
 * back is JSON. */
#include <stdint.h>

#include "webhook/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char cluster[] =
    "{apiVersion: v1, kind: Namespace, metadata: {name: ns, labels: "
    "{openservicemesh.io/monitored-by: osm}}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: ns}, spec: {clusterIP: "
    "10.0.0.1, selector: {app: a}, ports: [{port: 80, targetPort: web}]}}\n---\n"
    "{apiVersion: split.smi-spec.io/v1alpha4, kind: TrafficSplit, metadata: {name: s, namespace: "
    "ns}, spec: {service: a, backends: [{service: a, weight: 1}]}}\n---\n"
    "{apiVersion: access.smi-spec.io/v1alpha3, kind: TrafficTarget, metadata: {name: t, namespace: "
    "ns}, spec: {destination: {kind: ServiceAccount, name: a}, sources: [{kind: ServiceAccount, "
    "name: b}], rules: [{kind: HTTPRouteGroup, name: g, matches: [m]}]}}\n---\n"
    "{apiVersion: policy.openservicemesh.io/v1alpha1, kind: IngressBackend, metadata: {name: i, "
    "namespace: ns}, spec: {backends: [{name: a, port: {number: 80, protocol: http}}], sources: "
    "[{kind: IPRange, name: 10.0.0.0/8}]}}\n---\n"
    "{apiVersion: config.openservicemesh.io/v1alpha2, kind: MeshRootCertificate, metadata: {name: "
    "r, namespace: ns}, spec: {role: active, provider: {tresor: {ca: {secretRef: {name: a, "
    "namespace: b}}}}}}\n";

static void put(void *arg, struct object *o)
{
    store_put(arg, o);
}

static const struct validator *validator(void)
{
    static const struct mesh_options options = {.mesh_name = "osm",
                                                .osm_namespace = "ns",
                                                .config_name = "osm-mesh-config",
                                                .trust_domain = "cluster.local"};
    static struct validator v = {.mesh = &options};
    if (!v.store) {
        struct findings f = {0};
        struct store *s = store_new();
        ASSERT(objects_read(str_of(cluster), NULL, put, s, &f) == 0);
        findings_done(&f);
        v.store = s;
    }
    return &v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct admission_request q;
    struct admission_verdict v = {0};
    struct err e = ERR_INIT;
    if (admission_read(a, (struct str){(const char *)data, len}, &q, &e) < 0) {
        ASSERT(e.text[0]);
        return 0;
    }
    validate((void *)validator(), a, &q, &v);
    ASSERT(v.allowed || v.message.len > 0);
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1 << 22);
    admission_write(a, q.uid, &v, &out);
    struct value *written;
    ASSERT(value_read_json(a, buf_str(&out), &written, &e) == 0);
    ASSERT(value_bool_at(written, "response.allowed") == v.allowed);
    return 0;
}
