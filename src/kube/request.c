/* Where things are in the API, and the requests that change them. */
#include <string.h>

#include "kube/client.h"

const char *kube_path_of(struct arena *a, const char *group_version, const char *plural,
                         struct str namespace, struct str name, const char *subresource,
                         const char *query)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 64 << 10);
    buf_addz(&b, strchr(group_version, '/') ? "/apis/" : "/api/");
    buf_addz(&b, group_version);
    if (namespace.len > 0) {
        buf_printf(&b, "/namespaces/%.*s", STR_ARG(namespace));
    }
    buf_printf(&b, "/%s", plural);
    if (name.len > 0) {
        buf_printf(&b, "/%.*s", STR_ARG(name));
    }
    if (subresource && *subresource) {
        buf_printf(&b, "/%s", subresource);
    }
    if (query && *query) {
        buf_printf(&b, "?%s", query);
    }
    return arena_str(a, buf_str(&b)).ptr;
}

const char *kube_api_version(struct arena *a, enum kind kind)
{
    const struct kind_info *info = kind_info(kind);
    return arena_printf(a, "%s%s%s", info->group, *info->group ? "/" : "",
                        kind_newest_version(kind))
        .ptr;
}

const char *kube_path(struct arena *a, enum kind kind, struct str namespace, struct str name,
                      const char *query)
{
    const struct kind_info *info = kind_info(kind);
    return kube_path_of(a, kube_api_version(a, kind), info->plural,
                        info->namespaced ? namespace : STR(""), name, NULL, query);
}

static const char *object_path(struct arena *a, const char *plural, const struct value *object,
                               bool named, const char *query)
{
    struct str version = arena_str(a, value_string_at(object, "apiVersion"));
    return kube_path_of(a, version.len ? version.ptr : "v1", plural,
                        value_string_at(object, "metadata.namespace"),
                        named ? value_string_at(object, "metadata.name") : STR(""), NULL, query);
}

struct kube_request kube_apply_request(struct arena *a, const char *plural,
                                       const struct value *object)
{
    return (struct kube_request){
        .method = "PATCH",
        .path =
            object_path(a, plural, object, true, "fieldManager=" KUBE_FIELD_MANAGER "&force=true"),
        .body = object,
        .content_type = "application/apply-patch+yaml"};
}

struct kube_request kube_create_request(struct arena *a, const char *plural,
                                        const struct value *object)
{
    return (struct kube_request){
        .method = "POST",
        .path = object_path(a, plural, object, false, "fieldManager=" KUBE_FIELD_MANAGER),
        .body = object};
}

struct kube_request kube_replace_request(struct arena *a, const char *plural,
                                         const struct value *object)
{
    return (struct kube_request){
        .method = "PUT",
        .path = object_path(a, plural, object, true, "fieldManager=" KUBE_FIELD_MANAGER),
        .body = object};
}
