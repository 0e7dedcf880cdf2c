/* Documents of our own to objects. */
#include "local/decode.h"

static void keep(void *arg, struct object *o)
{
    struct object **ret = arg;
    object_unref(*ret);
    *ret = o;
}

int decode_one(const struct value *document, struct object **ret, struct err *e)
{
    AUTO(findings_done) struct findings f = {0};
    struct object *o = NULL;
    int result = object_decode(document, NULL, keep, &o, &f);
    if (result < 0 || !o) {
        VEC_EACH(f.list, x) {
            if (x->level == FINDING_ERROR) {
                AUTO(free) char *text = finding_text(x);
                object_unref(o);
                return err_set(e, "%s", str_starts(str_of(text), "error: ") ? text + 7 : text);
            }
        }
        object_unref(o);
        return err_set(e, "expected an object");
    }
    *ret = o;
    return 0;
}
