/* Which annotations of a pod say to Prometheus where its metrics are. Who scrapes reads one port a
 * pod: when that is the sidecar's, where the application said that it offers metrics is kept under
 * names of ours. */
#include "inject/build.h"
#include "inject/inject.h"
#include "inject/names.h"

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

static const struct {
    const char *name, *aside, *value;
} known[] = {{ANNOTATION_SCRAPE, ANNOTATION_APP_SCRAPE, "true"},
             {ANNOTATION_SCRAPE_PORT, ANNOTATION_APP_PORT, TEXT(PORT_METRICS)},
             {ANNOTATION_SCRAPE_PATH, ANNOTATION_APP_PATH, "/stats/prometheus"}};

static bool is_sidecars(const struct value *annotations)
{
    const struct value *port = value_member(annotations, ANNOTATION_SCRAPE_PORT);
    return port && port->type == VALUE_STRING && str_is(port->string, TEXT(PORT_METRICS));
}

static struct value *take(struct arena *a, const struct value *annotations)
{
    struct value *patch = value_new(a, VALUE_OBJECT);
    bool taken = is_sidecars(annotations);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const struct value *own = value_member(annotations, known[i].name);
        if (own && !taken && !value_member(annotations, known[i].aside)) {
            value_set(a, patch, known[i].aside, value_copy(a, own));
        }
        value_set(a, patch, known[i].name, build_text(a, known[i].value));
    }
    return patch;
}

static struct value *give_back(struct arena *a, const struct value *annotations)
{
    struct value *patch = value_new(a, VALUE_OBJECT);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const struct value *aside = value_member(annotations, known[i].aside);
        value_set(a, patch, known[i].name, aside ? value_copy(a, aside) : value_new(a, VALUE_NULL));
        value_set(a, patch, known[i].aside, value_new(a, VALUE_NULL));
    }
    return patch;
}

struct value *inject_metrics_patch(struct arena *a, const struct value *annotations, bool sidecars)
{
    if (sidecars) {
        return take(a, annotations);
    }
    return is_sidecars(annotations) ? give_back(a, annotations) : NULL;
}
