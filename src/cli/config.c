/* osm's own config file, and `osm env`, which shows it. */
#include "cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "doc/value.h"
#include "local/state.h"

static const char *output = "yaml";

const struct flag env_flags[] = {
    {"output", 'o', FLAG_STRING, "json|yaml", "how to print it", &output},
    {0},
};

static struct cli_config config = {.namespace = "osm-system"};

static int copy_text(const struct value *v, const char *path, char *to, size_t size, struct err *e)
{
    const struct value *text = value_at(v, path);
    if (!text || text->type == VALUE_NULL) {
        return 0;
    }
    if (text->type != VALUE_STRING || text->string.len >= size) {
        return err_set(e, "%s: expected a text of at most %zu characters", path, size - 1);
    }
    snprintf(to, size, "%.*s", STR_ARG(text->string));
    return 0;
}

static int parse(struct str text, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct value *v = NULL;
    char kind[16] = "self-hosted";
    if (str_trim(text).len == 0) {
        return 0;
    }
    if (value_read_yaml(a, text, 1, &v, NULL, e) < 0 ||
        copy_text(v, "install.kind", kind, sizeof(kind), e) < 0 ||
        copy_text(v, "install.distribution", config.distribution, sizeof(config.distribution), e) <
            0 ||
        copy_text(v, "install.namespace", config.namespace, sizeof(config.namespace), e) < 0) {
        return -1;
    }
    config.managed = strcmp(kind, "managed") == 0;
    if (!config.managed && strcmp(kind, "self-hosted") != 0) {
        return err_set(e, "install.kind: expected self-hosted or managed, found \"%s\"", kind);
    }
    return config.namespace[0] ? 0 : err_set(e, "install.namespace: expected a name, found \"\"");
}

static int load(struct err *e)
{
    const char *named = getenv("OSM_CONFIG"), *home = getenv("HOME");
    AUTO(free)
    char *path =
        named && named[0] ? mem_strdup(named) : mem_printf("%s/.osm/config.yaml", home ? home : "");
    struct buf text;
    buf_init(&text, LIMIT_DOC_BYTES);
    errno = 0;
    int result = state_read(path, &text, e);
    if (result < 0 && errno == ENOENT && !(named && named[0])) {
        result = 0;
    } else if (result == 0 && parse(buf_str(&text), e) < 0) {
        result = err_wrap(e, "%s", path);
    }
    buf_done(&text);
    return result;
}

int cli_config_load(const struct cli_config **ret, struct err *e)
{
    static int result = 1;
    static struct err problem;
    if (result == 1) {
        result = load(&problem);
    }
    if (result < 0) {
        return err_set(e, "%s", problem.text);
    }
    *ret = &config;
    return 0;
}

const char *cli_config_managed(void)
{
    static char why[256];
    const struct cli_config *c;
    if (cli_config_load(&c, NULL) < 0 || !c->managed) {
        return NULL;
    }
    snprintf(why, sizeof(why),
             "this mesh is managed by %s, which installs, upgrades and removes it (install.kind in "
             "osm's config file, see: osm env)",
             c->distribution[0] ? c->distribution : "the cluster's provider");
    return why;
}

int env_run(const struct args *args, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    const struct cli_config *c;
    if (cli_config_load(&c, e) < 0) {
        return -1;
    }
    struct value *v = value_new(a, VALUE_OBJECT);
    struct value *install = value_ensure(a, v, "install", VALUE_OBJECT);
    value_set(a, install, "kind",
              value_new_string(a, str_of(c->managed ? "managed" : "self-hosted")));
    value_set(a, install, "distribution", value_new_string(a, str_of(c->distribution)));
    value_set(a, install, "namespace", value_new_string(a, str_of(c->namespace)));
    printf("%s", strcmp(output, "yaml") == 0 ? "---\n" : "");
    document_print(v, output);
    return EXIT_OK;
}
