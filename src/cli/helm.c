/* The user's helm. */
#include "cli/helm.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/meshes.h"

/* Helm's own words from "Error: INSTALLATION FAILED: " on, in one line. */
static const char *reason(const char *said, char text[700])
{
    static const char *const heads[] = {"Error: ", "INSTALLATION FAILED: ", "UPGRADE FAILED: "};
    size_t len = 0;
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        const char *at = said ? strstr(said, heads[i]) : NULL;
        said = at ? at + strlen(heads[i]) : said;
    }
    struct str line, rest = str_trim(str_of(said));
    while (rest.len > 0 && len < 600) {
        if (!str_cut(rest, '\n', &line, &rest)) {
            rest = STR("");
        }
        line = str_trim(line);
        len += (size_t)snprintf(text + len, 700 - len, "%s%.*s",
                                len == 0                ? ""
                                : str_starts(line, "-") ? " "
                                                        : "; ",
                                (int)(line.len < 600 - len ? line.len : 600 - len), line.ptr);
    }
    return len > 0 ? text : "it doesn't say why";
}

static int run(struct argv *a, struct err *e)
{
    AUTO(buf_done) struct buf out, err;
    buf_init(&out, 1 << 20);
    buf_init(&err, 1 << 20);
    int code = program_run(a, &out, &err, e);
    if (cluster_verbose()) {
        fprintf(stderr, "%.*s%.*s", STR_ARG(buf_str(&out)), STR_ARG(buf_str(&err)));
    }
    if (code == 0 || code == -1) {
        return code;
    }
    char text[700];
    return program_interrupted() ? err_set(e, "interrupted")
                                 : err_set(e, "helm: %s", reason(err.data, text));
}

static int begin(struct argv *a, const char *verb, const struct helm_options *o, struct err *e)
{
    if (helm_argv(a, e) < 0) {
        return -1;
    }
    argv_add(a, "%s", verb);
    argv_add(a, "%s", o->release);
    if (o->chart) {
        argv_add(a, "%s", o->chart);
    }
    argv_add(a, "--namespace=%s", o->namespace);
    argv_add(a, "--wait");
    argv_add(a, "--timeout=%llds", (long long)o->timeout_s);
    return 0;
}

static void add_values(struct argv *a, const struct helm_options *o)
{
    for (size_t i = 0; o->values[i]; i++) {
        argv_add(a, "--set=%s", o->values[i]);
    }
    VEC_EACH(*o->set, value) {
        argv_add(a, "--set=%s", *value);
    }
}

int helm_install(const struct helm_options *o, struct err *e)
{
    AUTO(argv_done) struct argv a = {0};
    if (begin(&a, "install", o, e) < 0) {
        return -1;
    }
    add_values(&a, o);
    argv_add(&a, "--create-namespace");
    return run(&a, e);
}

int helm_upgrade(const struct helm_options *o, struct err *e)
{
    AUTO(argv_done) struct argv a = {0};
    if (begin(&a, "upgrade", o, e) < 0) {
        return -1;
    }
    add_values(&a, o);
    argv_add(&a, "--reset-values");
    return run(&a, e);
}

int helm_uninstall(const struct helm_options *o, struct err *e)
{
    AUTO(argv_done) struct argv a = {0};
    if (begin(&a, "uninstall", o, e) < 0) {
        return -1;
    }
    if (o->no_hooks) {
        argv_add(&a, "--no-hooks");
    }
    return run(&a, e);
}

int helm_release_status(struct cluster *c, const char *namespace, const char *release,
                        const char **ret, struct err *e)
{
    struct value *secrets = NULL;
    const char *path =
        core_path(c, "secrets", namespace, NULL, label_query(c, "owner=helm,name=%s", release));
    int64_t newest = -1;
    *ret = NULL;
    if (cluster_list(c, path, &secrets, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < value_len(secrets); i++) {
        int64_t revision = 0;
        const struct value *secret = &secrets->array.at[i];
        str_int(label_of(secret, "version"), 0, INT32_MAX, &revision);
        if (revision > newest) {
            newest = revision;
            *ret = arena_str(c->arena, label_of(secret, "status")).ptr;
        }
    }
    return 0;
}

const char *control_plane_problem(struct cluster *c, const char *namespace)
{
    static const char *const apps[] = {"osm-preinstall", "osm-bootstrap", "osm-controller",
                                       "osm-injector", "osm-cleanup"};
    for (size_t i = 0; i < COUNT_OF(apps); i++) {
        struct value *pods = NULL;
        if (mesh_pods(c, namespace, apps[i], &pods, NULL) < 0) {
            return NULL;
        }
        for (size_t k = 0; k < value_len(pods); k++) {
            const struct value *pod = &pods->array.at[k];
            const char *problem = pod_problem(c->arena, pod);
            if (problem) {
                return arena_printf(c->arena, "pod %.*s: %s",
                                    STR_ARG(value_string_at(pod, "metadata.name")), problem)
                    .ptr;
            }
        }
    }
    return NULL;
}
