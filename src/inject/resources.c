/* Resources of sidecars. */
#include "inject/resources.h"

#include <ctype.h>

#include "base/limits.h"
#include "inject/build.h"
#include "inject/names.h"

static size_t digits(struct str s, size_t from)
{
    size_t n = 0;
    while (from + n < s.len && isdigit((unsigned char)s.ptr[from + n])) {
        n++;
    }
    return n;
}

/* resource.Quantity of k8s.io/apimachinery: digits, a fraction, and a suffix or an exponent. */
bool quantity_ok(struct str s)
{
    static const char *const suffixes[] = {"",  "n", "u",  "m",  "k",  "M",  "G",  "T",
                                           "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    size_t whole = digits(s, 0), at = whole, fraction = 0;
    if (s.len > LIMIT_QUANTITY_BYTES) {
        return false;
    }
    if (at < s.len && s.ptr[at] == '.') {
        fraction = digits(s, ++at);
        at += fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    struct str rest = {s.ptr + at, s.len - at};
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        if (str_is(rest, suffixes[i])) {
            return true;
        }
    }
    int64_t exponent;
    struct str number = {rest.ptr + 1, rest.len - 1};
    if (number.len > 1 && number.ptr[0] == '+') {
        number = (struct str){number.ptr + 1, number.len - 1};
    }
    return (rest.ptr[0] == 'e' || rest.ptr[0] == 'E') && str_int(number, -30, 30, &exponent);
}

int resources_of(struct arena *a, const struct pod *pod, const struct mesh_config *c,
                 const struct value **ret, struct err *e)
{
    static const struct {
        const char *annotation, *list, *resource;
    } known[] = {
        {ANNOTATION_CPU_REQUEST, "requests", "cpu"},
        {ANNOTATION_MEMORY_REQUEST, "requests", "memory"},
        {ANNOTATION_CPU_LIMIT, "limits", "cpu"},
        {ANNOTATION_MEMORY_LIMIT, "limits", "memory"},
    };
    struct value *own = NULL;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const struct str *text = pairs_find(&pod->object.meta.annotations, known[i].annotation);
        if (!text) {
            continue;
        }
        if (!quantity_ok(*text)) {
            return err_set(e,
                           "Pod %.*s/%.*s: annotation %s: expected a quantity such as %s, found "
                           "\"%.*s\"",
                           STR_ARG(pod->object.meta.namespace), STR_ARG(pod->object.meta.name),
                           known[i].annotation, known[i].resource[0] == 'c' ? "100m" : "128Mi",
                           STR_ARG(*text));
        }
        if (!own) {
            own = c->sidecar.resources ? value_copy(a, c->sidecar.resources)
                                       : value_new(a, VALUE_OBJECT);
        }
        value_set(a, value_ensure(a, own, known[i].list, VALUE_OBJECT), known[i].resource,
                  value_new_string(a, *text));
    }
    *ret = own ? own : c->sidecar.resources;
    return 0;
}
