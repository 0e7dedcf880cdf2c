/* From what the server says to the store, and to findings. */
#include "base/limits.h"
#include "kinds/slim.h"
#include "source/cluster.h"

static struct str key_of(struct arena *a, struct str namespace, struct str name)
{
    return arena_printf(a, "%.*s/%.*s", STR_ARG(namespace), STR_ARG(name));
}

static void findings_free(void *f)
{
    findings_done(f);
    free(f);
}

static void set_findings(struct collection *c, struct str key, struct findings *f)
{
    struct findings *old = map_remove(&c->refused, key);
    if (old) {
        findings_free(old);
        c->source->findings_stale = true;
    }
    if (f && f->list.len > 0 && map_len(&c->refused) < LIMIT_CLUSTER_FINDINGS) {
        struct findings *own = NEW(struct findings);
        *own = *f;
        *f = (struct findings){0};
        map_put(&c->refused, key, own);
        c->source->findings_stale = true;
    }
}

static struct findings *findings_of(struct collection *c, struct str key)
{
    return map_find(&c->refused, key);
}

/* The same findings again change nothing. */
static bool same_findings(const struct findings *a, const struct findings *b)
{
    if (!a || a->list.len != b->list.len) {
        return !a && b->list.len == 0;
    }
    for (size_t i = 0; i < a->list.len; i++) {
        if (a->list.at[i].level != b->list.at[i].level ||
            !str_eq(str_of(a->list.at[i].text), str_of(b->list.at[i].text))) {
            return false;
        }
    }
    return true;
}

static void add_note_of_last_form(struct collection *c, struct findings *f, struct str namespace,
                                  struct str name)
{
    if (store_find(c->source->options.store, c->kind, namespace, name)) {
        AUTO(free) char *title = mem_strdup(f->list.at[0].object ? f->list.at[0].object : "");
        findings_add(f, FINDING_WARNING, NULL, 0, title,
                     "its last good form stays in force until this is corrected");
    }
}

void cluster_put(struct collection *c, const struct value *object)
{
    AUTO(arena_free) struct arena *a = arena_new(512);
    AUTO(findings_done) struct findings f = {0};
    struct str namespace = value_string_at(object, "metadata.namespace");
    struct str name = value_string_at(object, "metadata.name");
    struct str key = key_of(a, namespace, name);
    struct object *o = object_decode_slim(object, c->kind, &f);
    if (!o) {
        add_note_of_last_form(c, &f, namespace, name);
    }
    if (!same_findings(findings_of(c, key), &f)) {
        set_findings(c, key, &f);
    }
    if (o && c->scope == CLUSTER_NAMESPACES) {
        cluster_join(c->source, o);
    } else if (o) {
        store_put(c->source->options.store, o);
    }
}

void cluster_remove(struct collection *c, struct str namespace, struct str name)
{
    AUTO(arena_free) struct arena *a = arena_new(512);
    /* Copies: the names may be those of the finding or of the object that goes. */
    namespace = arena_str(a, namespace);
    name = arena_str(a, name);
    set_findings(c, key_of(a, namespace, name), NULL);
    store_remove(c->source->options.store, c->kind, namespace, name);
}

static void add_state(struct cluster_source *s, const struct collection *c)
{
    const struct kind_info *info = kind_info(c->kind);
    switch (c->state) {
    case KUBE_WATCH_LIVE:
        break;
    case KUBE_WATCH_LISTING:
    case KUBE_WATCH_BROKEN:
        if (c->why.text[0]) {
            findings_add(
                &s->findings, FINDING_WARNING, NULL, 0, info->name, "%s, and is tried again: %s",
                c->state == KUBE_WATCH_BROKEN ? "what is known may be old" : "can't be listed yet",
                c->why.text);
        }
        break;
    case KUBE_WATCH_MISSING:
        findings_add(&s->findings, FINDING_WARNING, NULL, 0, info->name,
                     "the cluster has no CustomResourceDefinition %s.%s; install it, and objects "
                     "of this kind count",
                     info->plural, info->group);
        break;
    case KUBE_WATCH_DENIED:
        findings_add(&s->findings, FINDING_ERROR, NULL, 0, info->name,
                     "can't be read, and sidecars wait for it; allow \"list\" and \"watch\" of "
                     "%s%s%s to the controller's service account: %s",
                     info->plural, *info->group ? "." : "", info->group, c->why.text);
        break;
    }
}

void cluster_gather(struct cluster_source *s)
{
    findings_done(&s->findings);
    for (size_t i = 0; i < s->n; i++) {
        struct collection *c = &s->collections[i];
        add_state(s, c);
        AUTO(free) struct str *keys = map_sorted_keys(&c->refused);
        for (size_t k = 0; k < map_len(&c->refused); k++) {
            findings_append(&s->findings, map_find(&c->refused, keys[k]));
        }
    }
}
