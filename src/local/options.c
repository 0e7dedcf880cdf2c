/* What `osm local up` says to the runtime. */
#include <string.h>

#include "doc/value.h"
#include "inject/build.h"
#include "local/options.h"

void run_options_done(struct run_options *o)
{
    VEC_EACH(o->roots, root) {
        free(*root);
    }
    VEC_DONE(o->roots);
    images_done(&o->images);
    free(o->envoy);
    free(o->controller);
    free(o->mesh_name);
    *o = (struct run_options){0};
}

void run_options_write(const struct run_options *o, struct buf *out)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct value *roots = value_new(a, VALUE_ARRAY), *images = value_new(a, VALUE_ARRAY);
    VEC_EACH(o->roots, root) {
        value_push(a, roots, build_text(a, *root));
    }
    VEC_EACH(o->images.list, i) {
        value_push(a, images, value_new_stringf(a, "%s=%s", i->image, i->command));
    }
    value_write_json(
        build_object(a, "roots", roots, "images", images, "envoy", build_text(a, o->envoy),
                     "controller", build_text(a, o->controller), "mesh_name",
                     build_text(a, o->mesh_name), "ads_port", value_new_int(a, o->ads_port), NULL),
        out);
}

static void set(char **to, const struct value *v, const char *key)
{
    struct str s = value_string_at(v, key);
    if (s.len > 0) {
        free(*to);
        *to = mem_printf("%.*s", STR_ARG(s));
    }
}

int run_options_read(struct run_options *o, struct str json, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct value *v;
    if (value_read_json(a, json, &v, e) < 0) {
        return err_wrap(e, "options");
    }
    set(&o->envoy, v, "envoy");
    set(&o->controller, v, "controller");
    set(&o->mesh_name, v, "mesh_name");
    const struct value *port = value_member(v, "ads_port");
    if (port && port->type == VALUE_INT) {
        o->ads_port = port->integer;
    }
    const struct value *roots = value_member(v, "roots");
    if (roots && roots->type == VALUE_ARRAY) {
        VEC_EACH(o->roots, root) {
            free(*root);
        }
        o->roots.len = 0;
        for (size_t i = 0; i < roots->array.len; i++) {
            VEC_PUSH(o->roots, mem_printf("%.*s", STR_ARG(roots->array.at[i].string)));
        }
    }
    const struct value *images = value_member(v, "images");
    for (size_t i = 0; images && images->type == VALUE_ARRAY && i < images->array.len; i++) {
        AUTO(free) char *text = mem_printf("%.*s", STR_ARG(images->array.at[i].string));
        if (images_add(&o->images, text, e) < 0) {
            return -1;
        }
    }
    return 0;
}

bool run_options_same_roots(const struct run_options *x, const struct run_options *y)
{
    if (x->roots.len != y->roots.len) {
        return false;
    }
    for (size_t i = 0; i < x->roots.len; i++) {
        if (strcmp(x->roots.at[i], y->roots.at[i]) != 0) {
            return false;
        }
    }
    return true;
}
