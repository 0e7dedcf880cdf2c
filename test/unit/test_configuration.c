/* Webhook configurations: exactly the documents in test/data/webhooks, which a real API server has
 * taken. The folder is the first argument. */
#include "kinds_fixture.h"

#include <stdio.h>

#include "webhook/configuration.h"

static const char *data_dir;

static const struct webhook_configuration plain = {
    .name = "osm-webhook-osm",
    .mesh_name = "osm",
    .osm_namespace = "osm-system",
    .osm_version = "v1",
    .ca_bundle = {"PEM\n", 4},
};

static void check(const struct value *found, const char *file)
{
    char *path = mem_printf("%s/webhooks/%s", data_dir, file), text[1 << 16];
    FILE *f = fopen(path, "rb");
    if (!f) {
        fail_msg("%s: can't be opened", path);
    }
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    struct buf out;
    buf_init(&out, sizeof(text));
    value_write_yaml(found, &out);
    buf_addc(&out, '\0');
    assert_string_equal(out.data, text);
    buf_done(&out);
    free(path);
}

static void mutating(void **state)
{
    struct arena *a = arena_new(4096);
    struct webhook_configuration c = plain;
    c.timeout_s = 20;
    check(webhook_mutating(a, &c), "mutating.yaml");
    arena_free(a);
}

static void validating(void **state)
{
    struct arena *a = arena_new(4096);
    struct webhook_configuration c = plain;
    c.name = "osm-validator-mesh-osm";
    check(webhook_validating(a, &c), "validating.yaml");
    arena_free(a);
}

static bool has_resource(const struct value *configuration, const char *resource)
{
    const struct value *hooks = value_member(configuration, "webhooks");
    for (size_t i = 0; i < value_len(hooks); i++) {
        const struct value *rules = value_member(&hooks->array.at[i], "rules");
        for (size_t k = 0; k < value_len(rules); k++) {
            const struct value *r = value_member(&rules->array.at[k], "resources");
            if (value_len(r) == 1 && str_is(r->array.at[0].string, resource)) {
                return true;
            }
        }
    }
    return false;
}

static void without_traffic_targets(void **state)
{
    struct arena *a = arena_new(4096);
    struct webhook_configuration c = plain;
    assert_true(has_resource(webhook_validating(a, &c), "traffictargets"));
    c.without_traffic_targets = true;
    const struct value *v = webhook_validating(a, &c);
    assert_false(has_resource(v, "traffictargets"));
    assert_true(has_resource(v, "egresses"));
    arena_free(a);
}

int main(int argc, char **argv)
{
    data_dir = argc > 1 ? argv[1] : "test/data";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutating),
        cmocka_unit_test(validating),
        cmocka_unit_test(without_traffic_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
