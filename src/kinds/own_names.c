/* Names under openservicemesh.io/ that people write on their pods and namespaces. */
#include "kinds/own_names.h"

#include <string.h>

#include "doc/fields.h"

#define PREFIX "openservicemesh.io/"

/* Of a row; what isn't a label is an annotation. */
enum { ON_POD = 1, ON_NAMESPACE = 2, IS_LABEL = 4 };

static const struct {
    const char *name;
    unsigned is;
} known[] = {
    {PREFIX "monitored-by", ON_NAMESPACE | IS_LABEL},
    {PREFIX "ignore", ON_NAMESPACE | IS_LABEL},
    {PREFIX "sidecar-injection", ON_NAMESPACE | ON_POD},
    {PREFIX "metrics", ON_NAMESPACE},
    {PREFIX "deleted", ON_NAMESPACE | ON_POD},
    {PREFIX "outbound-port-exclusion-list", ON_POD},
    {PREFIX "inbound-port-exclusion-list", ON_POD},
    {PREFIX "outbound-ip-range-exclusion-list", ON_POD},
    {PREFIX "outbound-ip-range-inclusion-list", ON_POD},
    {PREFIX "sidecar-cpu-request", ON_POD},
    {PREFIX "sidecar-cpu-limit", ON_POD},
    {PREFIX "sidecar-memory-request", ON_POD},
    {PREFIX "sidecar-memory-limit", ON_POD},
    {PREFIX "original-probes", ON_POD},
    {PREFIX "app-prometheus-scrape", ON_POD},
    {PREFIX "app-prometheus-port", ON_POD},
    {PREFIX "app-prometheus-path", ON_POD},
};

static unsigned side_of(enum kind kind)
{
    return kind == KIND_POD ? ON_POD : kind == KIND_NAMESPACE ? ON_NAMESPACE : 0;
}

static bool is_known(size_t row, enum kind kind, bool label)
{
    return known[row].is & side_of(kind) && !(known[row].is & IS_LABEL) == !label;
}

bool own_name_is_wrong(enum kind kind, struct str key, bool label)
{
    if (side_of(kind) == 0 || !str_starts(key, PREFIX)) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (str_is(key, known[i].name)) {
            return !is_known(i, kind, label);
        }
    }
    return true;
}

static const char *place_of(unsigned is)
{
    return is & IS_LABEL          ? "is a label of namespaces"
           : !(is & ON_POD)       ? "is an annotation of namespaces"
           : !(is & ON_NAMESPACE) ? "is an annotation of pods"
                                  : "is an annotation";
}

static struct str problem_of(struct arena *a, enum kind kind, struct str key, bool label)
{
    const char *names[COUNT_OF(known) + 1] = {0};
    size_t n = 0, prefix = strlen(PREFIX);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (str_is(key, known[i].name)) {
            return arena_printf(a, "%s and has no effect as %s here", place_of(known[i].is),
                                label ? "a label" : "an annotation");
        }
        if (is_known(i, kind, label)) {
            names[n++] = known[i].name + prefix;
        }
    }
    struct str rest = {key.ptr + prefix, key.len - prefix};
    const char *near = fields_nearest(rest, names);
    return arena_printf(a, "isn't known and has no effect%s%s%s",
                        near ? "; did you mean \"" PREFIX : "", near ? near : "",
                        near ? "\"?" : "");
}

static void check(struct arena *a, enum kind kind, const struct pairs *p, bool label,
                  own_name_fn *each, void *arg)
{
    for (size_t i = 0; i < p->len; i++) {
        struct str key = p->at[i].key;
        if (own_name_is_wrong(kind, key, label)) {
            each(arg, key, label, problem_of(a, kind, key, label));
        }
    }
}

void own_names_check(struct arena *a, enum kind kind, const struct meta *m, own_name_fn *each,
                     void *arg)
{
    check(a, kind, &m->annotations, false, each, arg);
    check(a, kind, &m->labels, true, each, arg);
}
