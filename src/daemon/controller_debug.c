/* Debug pages, on loopback only and only while MeshConfig asks for them. They tell no key. */
#include "base/limits.h"
#include "daemon/controller.h"
#include "doc/value.h"

static bool enabled(const struct controller *c, struct http_request *q)
{
    if (mesh_config(c->mesh)->observability.enable_debug_server) {
        return true;
    }
    http_replyf(q, 404, "set MeshConfig spec.observability.enableDebugServer to true for this\n");
    return false;
}

static void reply_json(struct http_request *q, const struct value *v)
{
    struct buf out;
    buf_init(&out, LIMIT_CONTROL_REPLY_BYTES);
    value_write_json(v, &out);
    http_reply(q, 200, "application/json", buf_str(&out));
    buf_done(&out);
}

void controller_on_debug(void *arg, struct http_request *q)
{
    if (enabled(arg, q)) {
        http_reply(q, 200, "text/html",
                   STR("<html><body><ul><li><a href=\"/debug/certs\">certs</a>"
                       "<li><a href=\"/debug/feature-flags\">feature-flags</a>"
                       "<li><a href=\"/debug/mesh\">mesh</a>"
                       "<li><a href=\"/debug/namespaces\">namespaces</a>"
                       "<li><a href=\"/debug/proxy\">proxy</a>"
                       "<li><a href=\"/debug/xds\">xds</a></ul></body></html>\n"));
    }
}

void controller_on_debug_proxies(void *arg, struct http_request *q)
{
    if (enabled(arg, q)) {
        controller_on_status(arg, q);
    }
}

void controller_on_debug_mesh(void *arg, struct http_request *q)
{
    struct controller *c = arg;
    if (enabled(c, q)) {
        struct buf out;
        buf_init(&out, LIMIT_CONTROL_REPLY_BYTES);
        mesh_dump(c->mesh, &out);
        http_reply(q, 200, "text/plain", buf_str(&out));
        buf_done(&out);
    }
}

void controller_on_debug_certs(void *arg, struct http_request *q)
{
    struct controller *c = arg;
    if (enabled(c, q)) {
        AUTO(arena_free) struct arena *a = arena_new(8192);
        AUTO(blob_unref) struct blob *roots = issuer_roots(c->issuer);
        struct value *v = value_new(a, VALUE_OBJECT);
        value_set(a, v, "signing", value_new_string(a, issuer_id(c->issuer)));
        value_set(a, v, "roots", value_new_string(a, blob_str(roots)));
        value_set(a, v, "certificates",
                  value_new_int(a, (int64_t)planner_stats(c->planner).certificates));
        reply_json(q, v);
    }
}

void controller_on_debug_flags(void *arg, struct http_request *q)
{
    struct controller *c = arg;
    if (enabled(c, q)) {
        AUTO(arena_free) struct arena *a = arena_new(1024);
        struct value *v = value_new(a, VALUE_OBJECT);
        struct feature_flag flags[FEATURE_FLAGS_MAX];
        size_t n = controller_feature_flags(mesh_config(c->mesh), flags);
        for (size_t i = 0; i < n; i++) {
            value_set(a, v, flags[i].name, value_new_bool(a, flags[i].enabled));
        }
        reply_json(q, v);
    }
}

struct listing {
    const struct controller *controller;
    struct arena *arena;
    struct value *names;
};

static void list_namespace(void *arg, struct object *o)
{
    struct listing *l = arg;
    if (controller_monitors(l->controller, o)) {
        value_push(l->arena, l->names, value_new_string(l->arena, o->meta.name));
    }
}

void controller_on_debug_namespaces(void *arg, struct http_request *q)
{
    struct controller *c = arg;
    if (enabled(c, q)) {
        AUTO(arena_free) struct arena *a = arena_new(1024);
        struct value *v = value_new(a, VALUE_OBJECT);
        struct listing l = {c, a, value_ensure(a, v, "namespaces", VALUE_ARRAY)};
        store_each(c->store, KIND_NAMESPACE, list_namespace, &l);
        reply_json(q, v);
    }
}
