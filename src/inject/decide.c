/* Which pods get a sidecar, and the random name that each sidecar bears. */
#include <stdio.h>
#include <sys/random.h>

#include "inject/inject.h"
#include "inject/names.h"

/* 1 on, 0 off, -1 neither. */
static int switch_of(struct str text)
{
    static const char *const on[] = {"enabled", "yes", "true"};
    static const char *const off[] = {"disabled", "no", "false"};
    for (size_t i = 0; i < COUNT_OF(on); i++) {
        if (str_is_nocase(text, on[i]) || str_is_nocase(text, off[i])) {
            return str_is_nocase(text, on[i]);
        }
    }
    return -1;
}

/* The switch in annotations: 1 on, 0 off, -1 error; `otherwise` when it is absent. */
static int switch_read(const struct meta *meta, const char *kind, int otherwise, struct err *e)
{
    const struct str *text = pairs_find(&meta->annotations, ANNOTATION_INJECTION);
    if (!text) {
        return otherwise;
    }
    int on = switch_of(*text);
    if (on >= 0) {
        return on;
    }
    return err_set(e,
                   "%s %.*s%s%.*s: annotation " ANNOTATION_INJECTION
                   ": expected enabled, yes, true, disabled, no or false, found \"%.*s\"",
                   kind, STR_ARG(meta->namespace), meta->namespace.len > 0 ? "/" : "",
                   STR_ARG(meta->name), STR_ARG(*text));
}

static bool namespace_in_mesh(const struct namespace *ns, const struct inject_options *o)
{
    if (!ns) {
        return false;
    }
    struct str name = ns->object.meta.name;
    if (str_is(name, "kube-system") || str_is(name, "kube-public") ||
        str_is(name, o->osm_namespace)) {
        return false;
    }
    const struct str *mesh = pairs_find(&ns->object.meta.labels, LABEL_MONITORED_BY);
    return mesh && str_is(*mesh, o->mesh_name) &&
           !pairs_find(&ns->object.meta.labels, LABEL_IGNORE);
}

int inject_asked_for(const struct pod *pod, const struct namespace *ns,
                     const struct inject_options *o, struct err *e)
{
    if (!namespace_in_mesh(ns, o)) {
        return 0;
    }
    int by_pod = switch_read(&pod->object.meta, "Pod", 2, e);
    if (by_pod != 2) {
        return by_pod;
    }
    return switch_read(&ns->object.meta, "Namespace", 0, e);
}

int inject_wanted(const struct pod *pod, const struct namespace *ns, const struct inject_options *o,
                  struct err *e)
{
    return pod->spec->host_network ? 0 : inject_asked_for(pod, ns, o, e);
}

bool inject_metrics_wanted(const struct namespace *ns)
{
    const struct str *text = pairs_find(&ns->object.meta.annotations, ANNOTATION_METRICS);
    return text && switch_of(*text) == 1;
}

void inject_uuid(char out[37])
{
    unsigned char b[16];
    ssize_t n = getrandom(b, sizeof(b), 0);
    ASSERT(n == sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80); /* RFC 4122 variant */
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}
