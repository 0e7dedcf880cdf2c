/* Any bytes as the body of a webhook's call. What is understood gets an answer that is an
 * AdmissionReview with the same uid; a pod in it is injected, and the patch makes the injected pod
 * of the one that came. */
#include <stdint.h>

#include "base/limits.h"
#include "inject/inject.h"
#include "webhook/admission.h"
#include "webhook/json_patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void inject(struct arena *a, const struct value *document, struct admission_verdict *v)
{
    AUTO(findings_done) struct findings found = {0};
    AUTO(object_unref) struct object *pod = object_decode_one(document, KIND_POD, &found);
    for (int native = 0; pod && native <= 1; native++) {
        struct inject_options o = {.config = mesh_config_default(),
                                   .mesh_name = "osm",
                                   .osm_namespace = "osm-system",
                                   .trust_domain = "cluster.local",
                                   .ads_host = "osm-controller.osm-system.svc.cluster.local",
                                   .ads_port = 15128,
                                   .ipv6 = native,
                                   .probes = true,
                                   .native = native};
        struct value *injected = NULL, *again = NULL;
        struct err e = ERR_INIT;
        if (inject_pod(a, document, (struct pod *)pod, STR("5e1b3c60-2a6a-4f1e-9d3f-3a1f7f6e0001"),
                       true, &o, &injected, &e) < 0) {
            ASSERT(e.text[0]);
            admission_deny(a, v, 422, "%s", e.text);
            return;
        }
        inject_warnings(a, document, (struct pod *)pod, &o);
        v->allowed = true;
        v->patch = json_patch_diff(a, document, injected);
        ASSERT(json_patch_apply(a, document, v->patch, &again, &e) == 0);
        ASSERT(value_equal(injected, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    AUTO(buf_done) struct buf out;
    struct admission_request q;
    struct admission_verdict v = {0};
    struct value *answer = NULL;
    struct err e = ERR_INIT;
    buf_init(&out, LIMIT_JSON_BYTES);
    if (admission_read(a, (struct str){(const char *)data, len}, &q, &e) < 0) {
        ASSERT(e.text[0]);
        return 0;
    }
    if (q.object) {
        inject(a, q.object, &v);
    }
    admission_write(a, q.uid, &v, &out);
    ASSERT(value_read_json(a, buf_str(&out), &answer, &e) == 0);
    ASSERT(str_eq(value_string_at(answer, "response.uid"), q.uid));
    return 0;
}
