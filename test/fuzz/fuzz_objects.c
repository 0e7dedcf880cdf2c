/* Any bytes as manifests: what is accepted has a name, what isn't has a finding that says why. */
#include <stdint.h>
#include <string.h>

#include "kinds/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(void *arg, struct object *o)
{
    AUTO(arena_free) struct arena *a = arena_new(256);
    size_t *n = arg;
    ASSERT(o->meta.name.len > 0 && o->kind < KIND_COUNT);
    ASSERT(kind_info(o->kind)->namespaced == (o->meta.namespace.len > 0));
    ASSERT(object_title(a, o).len > 0);
    object_unref(o);
    (*n)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct findings f = {0};
    size_t n = 0;
    int result = objects_read((struct str){(const char *)data, len}, "f.yaml", check, &n, &f);
    ASSERT((result < 0) == (f.errors > 0));
    VEC_EACH(f.list, x) {
        ASSERT(x->text[0] && x->line >= 0);
    }
    findings_done(&f);
    return 0;
}
