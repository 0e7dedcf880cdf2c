/* A pod injected as in a mesh `osm`, and what came of it. */
#ifndef OSM_TEST_INJECT_FIXTURE_H
#define OSM_TEST_INJECT_FIXTURE_H

#include "kinds_fixture.h"

#include "inject/inject.h"

#define NOW INT64_C(1800000000)
#define UUID "5e1b3c60-2a6a-4f1e-9d3f-3a1f7f6e0001"
#define TEXT_MAX (4u << 20)
#define CONFIG(spec)                                                                               \
    "apiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n"                           \
    "metadata: {namespace: osm-system, name: osm-mesh-config}\nspec: {" spec "}\n"

/* config may be NULL: the defaults. */
static inline struct inject_options options_with(struct object *config)
{
    return (struct inject_options){
        .config = config ? (struct mesh_config *)config : mesh_config_default(),
        .mesh_name = "osm",
        .osm_namespace = "osm-system",
        .trust_domain = "cluster.local",
        .ads_host = "osm-controller.osm-system.svc.cluster.local",
        .ads_port = 15128,
    };
}

static inline struct value *inject(struct arena *a, const struct object *pod, const char *uuid,
                                   bool metrics, const struct inject_options *o)
{
    struct value *out = NULL;
    struct err e = ERR_INIT;
    if (inject_pod(a, pod->raw, (const struct pod *)pod, str_of(uuid), metrics, o, &out, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return out;
}

static inline const struct value *named(const struct value *list, const char *name)
{
    const struct value *found = NULL;
    for (size_t i = 0; i < value_len(list); i++) {
        if (str_is(value_string_at(&list->array.at[i], "name"), name)) {
            assert_null(found); /* once at most */
            found = &list->array.at[i];
        }
    }
    return found;
}

/* The value as JSON, for comparison; "" when there is none. Lives in a. */
static inline const char *json(struct arena *a, const struct value *v)
{
    if (!v) {
        return "";
    }
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    value_write_json(v, &out);
    return arena_str(a, buf_str(&out)).ptr;
}

#endif
