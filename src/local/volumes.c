/* The files of a pod's volumes. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "inject/names.h"
#include "local/state.h"
#include "local/volumes.h"

/* Keys become file names. */
static bool key_ok(struct str key)
{
    return key.len > 0 && key.len <= LIMIT_NAME_BYTES && !memchr(key.ptr, '/', key.len) &&
           !str_is(key, ".") && !str_is(key, "..");
}

static bool same(const char *path, struct str text)
{
    struct buf now;
    struct err ignored;
    buf_init(&now, LIMIT_DOC_BYTES);
    bool equal = state_read(path, &now, &ignored) == 0 && str_eq(buf_str(&now), text);
    buf_done(&now);
    return equal;
}

static int write_files(const char *folder, const struct pairs *data, mode_t mode, uid_t owner,
                       struct err *e)
{
    for (size_t i = 0; i < data->len; i++) {
        struct str key = data->at[i].key;
        if (!key_ok(key)) {
            return err_set(e, "key \"%.*s\": expected a file name", STR_ARG(key));
        }
        AUTO(free) char *path = mem_printf("%s/%.*s", folder, STR_ARG(key));
        if (same(path, data->at[i].value)) {
            continue;
        }
        /* The owner is set on the file's final name: until then it is root's alone. */
        if (state_write(path, data->at[i].value, owner ? 0600 : mode, e) < 0) {
            return -1;
        }
        if (owner && chown(path, owner, owner) < 0) {
            return err_errno(e, "can't give %s to user %u", path, owner);
        }
    }
    return 0;
}

static int make_one(const char *folder, const struct volume *v, const struct pod *pod,
                    const struct secret *bootstrap, const struct store *store, struct err *e)
{
    struct str ns = pod->object.meta.namespace;
    if (v->secret_name.len > 0) {
        bool ours = bootstrap && str_eq(bootstrap->object.meta.name, v->secret_name);
        const struct secret *s =
            ours ? bootstrap
                 : (const struct secret *)store_find(store, KIND_SECRET, ns, v->secret_name);
        return s ? write_files(folder, &s->data, 0644, ours ? SIDECAR_USER : 0, e)
                 : err_set(e, "expected Secret %.*s/%.*s, found none", STR_ARG(ns),
                           STR_ARG(v->secret_name));
    }
    if (v->config_map_name.len > 0) {
        const struct config_map *m =
            (const struct config_map *)store_find(store, KIND_CONFIG_MAP, ns, v->config_map_name);
        return m ? write_files(folder, &m->data, 0644, 0, e)
                 : err_set(e, "expected ConfigMap %.*s/%.*s, found none", STR_ARG(ns),
                           STR_ARG(v->config_map_name));
    }
    if (chmod(folder, 0777) < 0) {
        return err_errno(e, "can't open %s to the pod", folder);
    }
    return 0;
}

int volumes_make(const char *folder, const struct pod *pod, const struct secret *bootstrap,
                 const struct store *store, struct err *e)
{
    for (size_t i = 0; i < pod->spec->volumes.len; i++) {
        const struct volume *v = &pod->spec->volumes.at[i];
        if (v->host_path.len > 0) {
            continue;
        }
        AUTO(free) char *path = mem_printf("%s/%.*s", folder, STR_ARG(v->name));
        if (state_make_dir(path, 0755, e) < 0 || make_one(path, v, pod, bootstrap, store, e) < 0) {
            return err_wrap(e, "pod %.*s/%.*s: volume \"%.*s\"",
                            STR_ARG(pod->object.meta.namespace), STR_ARG(pod->object.meta.name),
                            STR_ARG(v->name));
        }
    }
    return 0;
}

int volumes_renew(const char *folder, const struct pod *pod, const struct secret *bootstrap,
                  struct err *e)
{
    for (size_t i = 0; i < pod->spec->volumes.len; i++) {
        const struct volume *v = &pod->spec->volumes.at[i];
        if (str_eq(v->secret_name, bootstrap->object.meta.name)) {
            AUTO(free) char *path = mem_printf("%s/%.*s", folder, STR_ARG(v->name));
            return write_files(path, &bootstrap->data, 0644, SIDECAR_USER, e);
        }
    }
    return 0;
}
