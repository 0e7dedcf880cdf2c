/* What exactly to start for a container. */
#include <stdio.h>
#include <string.h>

#include "inject/names.h"
#include "local/launch.h"

/* Programs that are started without one. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TEXT_MAX (2u << 20)

struct env {
    VEC(struct pair) list;
};

static struct str *env_find(struct env *env, struct str name)
{
    VEC_EACH(env->list, p) {
        if (str_eq(p->key, name)) {
            return &p->value;
        }
    }
    return NULL;
}

static void env_set(struct env *env, struct str name, struct str value)
{
    struct str *known = env_find(env, name);
    if (known) {
        *known = value;
    } else {
        VEC_PUSH(env->list, (struct pair){name, value});
    }
}

/* "$(NAME)" becomes the variable's value when there is one; "$$" is "$". As kubelets do. */
static struct str expand(struct arena *a, struct env *env, struct str text)
{
    if (!memchr(text.ptr ? text.ptr : "", '$', text.len)) {
        return text;
    }
    struct buf out;
    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < text.len; i++) {
        const char *end = NULL;
        if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '(') {
            end = memchr(text.ptr + i + 2, ')', text.len - i - 2);
        }
        if (end) {
            struct str name = {text.ptr + i + 2, (size_t)(end - text.ptr) - i - 2};
            struct str *value = env_find(env, name);
            if (value) {
                buf_adds(&out, *value);
                i = (size_t)(end - text.ptr);
                continue;
            }
        }
        buf_addc(&out, text.ptr[i]);
        if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '$') {
            i++;
        }
    }
    struct str result = arena_str(a, buf_str(&out));
    buf_done(&out);
    return result;
}

/* fieldRef: metadata.labels['x'] and the like. */
static struct str field_of_map(const struct pairs *map, struct str path)
{
    char key[512];
    const char *from = memchr(path.ptr, '\'', path.len);
    size_t len = from ? path.len - (size_t)(from + 1 - path.ptr) : 0;
    if (len < 2 || len - 2 >= sizeof(key)) {
        return STR("");
    }
    memcpy(key, from + 1, len - 2);
    key[len - 2] = '\0';
    const struct str *value = pairs_find(map, key);
    return value ? *value : STR("");
}

static int field_value(const struct launch_context *x, const struct pod *pod, struct str path,
                       struct str *ret, struct err *e)
{
    const struct meta *m = &pod->object.meta;
    const struct {
        const char *path;
        struct str value;
    } fields[] = {
        {"metadata.name", m->name},
        {"metadata.namespace", m->namespace},
        {"metadata.uid", m->uid},
        {"spec.serviceAccountName", pod->spec->service_account_name},
        {"spec.nodeName", STR("localhost")},
        {"status.podIP", str_of(x->pod_ip)},
        {"status.podIPs", str_of(x->pod_ips)},
        {"status.hostIP", str_of(x->host_ip)},
        {"status.hostIPs", str_of(x->host_ip)},
    };
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (str_is(path, fields[i].path)) {
            *ret = fields[i].value;
            return 0;
        }
    }
    if (str_starts(path, "metadata.labels['")) {
        *ret = field_of_map(&m->labels, path);
        return 0;
    }
    if (str_starts(path, "metadata.annotations['")) {
        *ret = field_of_map(&m->annotations, path);
        return 0;
    }
    return err_set(e,
                   "fieldPath: expected metadata.name, metadata.namespace, status.podIP or their "
                   "like, found \"%.*s\"",
                   STR_ARG(path));
}

static int map_value(const struct launch_context *x, const struct pod *pod, enum kind kind,
                     struct str name, struct str key, struct str *ret, struct err *e)
{
    const struct object *o = store_find(x->store, kind, pod->object.meta.namespace, name);
    const char *title = kind == KIND_SECRET ? "Secret" : "ConfigMap";
    if (!o) {
        return err_set(e, "expected %s %.*s/%.*s, found none", title,
                       STR_ARG(pod->object.meta.namespace), STR_ARG(name));
    }
    const struct pairs *data = kind == KIND_SECRET ? &((const struct secret *)o)->data
                                                   : &((const struct config_map *)o)->data;
    for (size_t i = 0; i < data->len; i++) {
        if (str_eq(data->at[i].key, key)) {
            *ret = data->at[i].value;
            return 0;
        }
    }
    return err_set(e, "expected the key %.*s in %s %.*s/%.*s, found none", STR_ARG(key), title,
                   STR_ARG(pod->object.meta.namespace), STR_ARG(name));
}

static int env_build(struct arena *a, const struct launch_context *x, const struct pod *pod,
                     const struct container *c, struct env *env, struct err *e)
{
    env_set(env, STR("PATH"), STR(PATH_DEFAULT));
    env_set(env, STR("HOME"), STR("/"));
    env_set(env, STR("HOSTNAME"), pod->object.meta.name);
    for (size_t i = 0; i < c->env.len; i++) {
        const struct env_var *v = &c->env.at[i];
        struct str value = v->value;
        int result = 0;
        if (v->field_path.len > 0) {
            result = field_value(x, pod, v->field_path, &value, e);
        } else if (v->config_map.len > 0) {
            result =
                map_value(x, pod, KIND_CONFIG_MAP, v->config_map, v->config_map_key, &value, e);
        } else if (v->secret.len > 0) {
            result = map_value(x, pod, KIND_SECRET, v->secret, v->secret_key, &value, e);
        } else {
            value = expand(a, env, value);
        }
        if (result < 0) {
            return err_wrap(e, "env %.*s", STR_ARG(v->name));
        }
        env_set(env, v->name, value);
    }
    return 0;
}

static char **c_strings(struct arena *a, const struct str *at, size_t len)
{
    char **out = arena_array(a, len + 1, sizeof(char *));
    for (size_t i = 0; i < len; i++) {
        out[i] = (char *)arena_str(a, at[i]).ptr;
    }
    return out;
}

static const struct volume *volume_find(const struct pod *pod, struct str name)
{
    for (size_t i = 0; i < pod->spec->volumes.len; i++) {
        if (str_eq(pod->spec->volumes.at[i].name, name)) {
            return &pod->spec->volumes.at[i];
        }
    }
    return NULL;
}

static int mounts_build(struct arena *a, const struct launch_context *x, const struct pod *pod,
                        const struct container *c, struct process_options *ret, struct err *e)
{
    struct process_mount *mounts = arena_array(a, c->volume_mounts.len, sizeof(*mounts));
    for (size_t i = 0; i < c->volume_mounts.len; i++) {
        const struct volume_mount *m = &c->volume_mounts.at[i];
        const struct volume *v = volume_find(pod, m->name);
        if (!v) {
            return err_set(e,
                           "volumeMounts: expected a volume \"%.*s\" in spec.volumes, found none",
                           STR_ARG(m->name));
        }
        const char *slash = m->sub_path.len > 0 ? "/" : "";
        struct str source =
            v->host_path.len > 0
                ? arena_printf(a, "%.*s%s%.*s", STR_ARG(v->host_path), slash, STR_ARG(m->sub_path))
                : arena_printf(a, "%s/%.*s%s%.*s", x->volumes, STR_ARG(v->name), slash,
                               STR_ARG(m->sub_path));
        bool files = v->secret_name.len > 0 || v->config_map_name.len > 0;
        mounts[i] = (struct process_mount){source.ptr, arena_str(a, m->mount_path).ptr,
                                           m->read_only || files};
    }
    ret->mounts = mounts;
    ret->n_mounts = c->volume_mounts.len;
    return 0;
}

static int user_build(const struct pod *pod, const struct container *c, struct process_options *ret,
                      struct err *e)
{
    int64_t uid = c->security.run_as_user >= 0 ? c->security.run_as_user : pod->spec->run_as_user;
    int64_t gid =
        c->security.run_as_group >= 0 ? c->security.run_as_group : pod->spec->run_as_group;
    ret->uid = uid >= 0 ? (uid_t)uid : 0;
    ret->gid = gid >= 0 ? (gid_t)gid : ret->uid;
    ret->capabilities = c->security.privileged ? ~0ull : PROCESS_CAPABILITIES;
    for (size_t i = 0; i < c->security.capabilities_add.len; i++) {
        AUTO(free) char *name = mem_printf("%.*s", STR_ARG(c->security.capabilities_add.at[i]));
        int bit = process_capability(name);
        if (strcmp(name, "ALL") == 0) {
            ret->capabilities = ~0ull;
        } else if (bit < 0) {
            return err_set(e, "capabilities.add: expected a name such as NET_ADMIN, found \"%s\"",
                           name);
        } else {
            ret->capabilities |= 1ull << bit;
        }
    }
    return 0;
}

int launch_build(struct arena *a, const struct launch_context *x, const struct pod *pod,
                 const struct container *c, struct process_options *ret, struct err *e)
{
    struct strs argv;
    struct env env = {0};
    int result = images_argv(a, x->images, x->envoy, pod, c, &argv, e) < 0
                     ? -1
                     : env_build(a, x, pod, c, &env, e);
    if (result == 0) {
        for (size_t i = 1; i < argv.len; i++) {
            argv.at[i] = expand(a, &env, argv.at[i]);
        }
        struct str *lines = arena_array(a, env.list.len, sizeof(*lines));
        for (size_t i = 0; i < env.list.len; i++) {
            lines[i] = arena_printf(a, "%.*s=%.*s", STR_ARG(env.list.at[i].key),
                                    STR_ARG(env.list.at[i].value));
        }
        *ret = (struct process_options){
            .argv = c_strings(a, argv.at, argv.len),
            .envp = c_strings(a, lines, env.list.len),
            .working_dir = c->working_dir.len > 0 ? arena_str(a, c->working_dir).ptr : NULL,
        };
        result = mounts_build(a, x, pod, c, ret, e) < 0 ? -1 : user_build(pod, c, ret, e);
    }
    VEC_DONE(env.list);
    /* Of which pod is known to whoever reads it. */
    return result < 0 ? err_wrap(e, "container \"%.*s\"", STR_ARG(c->name)) : 0;
}
