/* Owners of bootstrap Secrets. */
#include "daemon/duties_internal.h"

/* The name that the injector gives it (as in Open Service Mesh). */
#define SECRET_PREFIX "envoy-bootstrap-config-"

static void set_text(struct arena *a, struct value *object, const char *key, struct str text)
{
    value_set(a, object, key, value_new_string(a, text));
}

/* In the place of the workload, which owned the Secret while there was no pod yet. */
static struct value *owner_patch(struct arena *a, const struct object *pod)
{
    struct value *owner = value_new(a, VALUE_OBJECT);
    set_text(a, owner, "apiVersion", STR("v1"));
    set_text(a, owner, "kind", STR("Pod"));
    set_text(a, owner, "name", pod->meta.name);
    set_text(a, owner, "uid", pod->meta.uid);
    struct value *owners = value_new(a, VALUE_ARRAY);
    value_push(a, owners, owner);
    struct value *metadata = value_new(a, VALUE_OBJECT);
    value_set(a, metadata, "ownerReferences", owners);
    struct value *patch = value_new(a, VALUE_OBJECT);
    value_set(a, patch, "metadata", metadata);
    return patch;
}

static void write_owner(const struct store *store, struct str uuid, struct str key,
                        struct kube_writes *w)
{
    struct str namespace, name;
    str_cut(key, '/', &namespace, &name);
    const struct object *pod = store_find(store, KIND_POD, namespace, name);
    if (!pod || pod->meta.uid.len == 0) {
        return;
    }
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct str secret = arena_printf(a, SECRET_PREFIX "%.*s", STR_ARG(uuid));
    struct kube_request q = {.method = "PATCH",
                             .path = kube_path(a, KIND_SECRET, namespace, secret, NULL),
                             .content_type = KUBE_MERGE_PATCH,
                             .brief = true,
                             .body = owner_patch(a, pod)};
    kube_writes_put(
        w, arena_printf(a, "owner of Secret %.*s/%.*s", STR_ARG(namespace), STR_ARG(secret)), &q);
}

/* Of a namespace's pods with copies of one label none can be told to be the Secret's. */
static bool one_in_its_namespace(const struct mesh_proxy *p, size_t which)
{
    struct str mine, other, rest;
    str_cut(p->pods.at[which].pod, '/', &mine, &rest);
    for (size_t i = 0; i < p->pods.len; i++) {
        str_cut(p->pods.at[i].pod, '/', &other, &rest);
        if (i != which && str_eq(mine, other)) {
            return false;
        }
    }
    return true;
}

void owner_write(const struct store *store, const struct mesh_proxy *proxy, struct kube_writes *w)
{
    for (size_t i = 0; i < proxy->pods.len; i++) {
        if (one_in_its_namespace(proxy, i)) {
            write_owner(store, proxy->uuid, proxy->pods.at[i].pod, w);
        }
    }
}
