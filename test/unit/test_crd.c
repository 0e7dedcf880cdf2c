/* Definitions made from the tables: that each is whole, and that what a server must not do to old
 * objects isn't in them. test/cluster shows that a real server takes them. */
#include "kinds_fixture.h"

#include "kinds/object.h"

static struct str text_at(const struct value *v, const char *path)
{
    struct str s = value_string_at(v, path);
    assert_true(s.len > 0);
    return s;
}

/* Of a path of properties: "spec.sidecar.mode". */
static const struct value *property(const struct value *schema, const char *path)
{
    struct str name, rest = str_of(path);
    bool more = true;
    while (more && schema) {
        more = str_cut(rest, '.', &name, &rest);
        char *key = mem_printf("%.*s", STR_ARG(name));
        if (value_member(schema, "items")) {
            schema = value_member(schema, "items");
        }
        schema = value_member(value_member(schema, "properties"), key);
        free(key);
    }
    return schema;
}

static const struct value *version_of(const struct value *crd, const char *name)
{
    const struct value *versions = value_at(crd, "spec.versions");
    for (size_t i = 0; i < value_len(versions); i++) {
        if (str_is(value_string_at(&versions->array.at[i], "name"), name)) {
            return &versions->array.at[i];
        }
    }
    fail_msg("no version %s", name);
    return NULL;
}

static const struct value *schema_of(struct arena *a, enum kind kind, const char *version)
{
    return value_at(version_of(kind_crd(a, kind), version), "schema.openAPIV3Schema");
}

static void check_described(const struct value *schema)
{
    const struct value *p = value_member(schema, "properties");
    if (value_member(schema, "items")) {
        check_described(value_member(schema, "items"));
    }
    for (size_t i = 0; p && i < p->object.len; i++) {
        const struct member *m = &p->object.at[i];
        bool status = str_is(m->key, "status") && !value_member(&m->value, "description");
        if (!status && value_string_at(&m->value, "description").len == 0) {
            fail_msg("no description: %.*s", STR_ARG(m->key));
        }
        check_described(&m->value);
    }
}

static void all_are_whole(void **state)
{
    struct arena *a = arena_new(1 << 16);
    size_t n = 0;
    for (int k = 0; k < KIND_COUNT; k++) {
        const struct value *crd = kind_crd(a, (enum kind)k);
        assert_int_equal(crd != NULL, kind_is_custom((enum kind)k));
        if (!crd) {
            continue;
        }
        n++;
        ASSERT_STR(value_string_at(crd, "spec.conversion.strategy"), "None");
        struct str name = text_at(crd, "metadata.name");
        assert_true(str_starts(name, kind_info((enum kind)k)->plural));
        const struct value *versions = value_at(crd, "spec.versions");
        size_t stored = 0;
        for (size_t i = 0; i < value_len(versions); i++) {
            const struct value *v = &versions->array.at[i];
            stored += value_bool_at(v, "storage");
            assert_non_null(value_at(v, "schema.openAPIV3Schema.type"));
            if (value_bool_at(v, "served")) {
                text_at(v, "schema.openAPIV3Schema.description");
                check_described(value_at(v, "schema.openAPIV3Schema"));
            }
        }
        assert_int_equal(stored, 1);
    }
    assert_int_equal(n, 14);
    arena_free(a);
}

/* A server writes defaults into objects that it reads; these would turn "not set" into a limit. */
static void defaults(void **state)
{
    struct arena *a = arena_new(1 << 16);
    const struct value *upstream = schema_of(a, KIND_UPSTREAM_TRAFFIC_SETTING, "v1alpha1");
    assert_non_null(property(upstream, "spec.connectionSettings.tcp.maxConnections"));
    assert_null(
        value_member(property(upstream, "spec.connectionSettings.tcp.maxConnections"), "default"));
    assert_null(value_member(
        property(schema_of(a, KIND_RETRY, "v1alpha1"), "spec.retryPolicy.numRetries"), "default"));
    const struct value *config = schema_of(a, KIND_MESH_CONFIG, "v1alpha2");
    ASSERT_STR(text_at(property(config, "spec.sidecar.tlsMinProtocolVersion"), "default"),
               "TLSv1_2");
    ASSERT_STR(text_at(property(config, "spec.sidecar.mode"), "default"), "auto");
    arena_free(a);
}

static void versions(void **state)
{
    struct arena *a = arena_new(1 << 16);
    const struct value *config = kind_crd(a, KIND_MESH_CONFIG);
    assert_true(value_bool_at(version_of(config, "v1alpha2"), "storage"));
    assert_true(value_bool_at(version_of(config, "v1alpha1"), "deprecated"));
    assert_true(str_starts(text_at(version_of(config, "v1alpha1"), "deprecationWarning"),
                           "config.openservicemesh.io/v1alpha1 MeshConfig is deprecated"));
    const struct value *target = kind_crd(a, KIND_TRAFFIC_TARGET);
    assert_false(value_bool_at(version_of(target, "v1alpha1"), "served"));
    assert_string_equal(kind_newest_version(KIND_MESH_CONFIG), "v1alpha2");
    assert_string_equal(kind_newest_version(KIND_TRAFFIC_SPLIT), "v1alpha4");
    assert_string_equal(kind_newest_version(KIND_POD), "v1");
    arena_free(a);
}

static void rules(void **state)
{
    struct arena *a = arena_new(1 << 16);
    const struct value *split = schema_of(a, KIND_TRAFFIC_SPLIT, "v1alpha2");
    const struct value *backends = property(split, "spec.backends");
    assert_int_equal(value_len(value_member(backends, "x-kubernetes-validations")), 2);
    assert_non_null(value_member(backends, "maxItems"));
    const struct value *ingress = schema_of(a, KIND_INGRESS_BACKEND, "v1alpha1");
    ASSERT_STR(text_at(property(ingress, "spec.backends.port.protocol"), "pattern"),
               "^(?i:http|https)$");
    assert_non_null(property(ingress, "status.currentStatus"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_whole),
        cmocka_unit_test(defaults),
        cmocka_unit_test(versions),
        cmocka_unit_test(rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
