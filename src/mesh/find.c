/* Questions to the store that several units ask, and the notes that units take. */
#include "mesh/internal.h"

#include <stdio.h>

struct str key_of(struct update *u, struct str namespace, struct str name)
{
    return arena_printf(u->scratch, "%.*s/%.*s", STR_ARG(namespace), STR_ARG(name));
}

void key_cut(struct str key, struct str *namespace, struct str *name)
{
    *name = STR("");
    str_cut(key, '/', namespace, name);
}

bool monitored(const struct update *u, struct str namespace)
{
    const struct object *o = store_find(u->s, KIND_NAMESPACE, STR(""), namespace);
    const struct str *by = o ? pairs_find(&o->meta.labels, LABEL_MONITORED_BY) : NULL;
    return by && str_is(*by, u->m->options.mesh_name);
}

bool service_takes_part(const struct service *svc)
{
    return !str_is(svc->type, "ExternalName");
}

struct service *service_of_key(struct update *u, struct str key)
{
    struct str namespace, name;
    key_cut(key, &namespace, &name);
    struct service *svc = (struct service *)store_find(u->s, KIND_SERVICE, namespace, name);
    return svc && service_takes_part(svc) && monitored(u, namespace) ? svc : NULL;
}

struct object_list lookup(struct update *u, enum store_index index, struct str namespace,
                          struct str name)
{
    return store_lookup(u->s, index, key_of(u, namespace, name));
}

struct object_list lookup_kind(struct update *u, struct str namespace, enum kind kind)
{
    return lookup(u, INDEX_NAMESPACE, namespace, str_of(kind_info(kind)->name));
}

struct str pod_identity(struct update *u, const struct pod *p)
{
    return key_of(u, p->object.meta.namespace, p->service_account);
}

static struct str label_key(struct update *u, struct str namespace, const struct pair *p)
{
    return arena_printf(u->scratch, "%.*s/%.*s=%.*s", STR_ARG(namespace), STR_ARG(p->key),
                        STR_ARG(p->value));
}

/* Looks at the pods of the rarest pair, so that a label which all pods bear costs nothing. */
void pods_of_service(struct update *u, const struct service *svc, struct pods *ret)
{
    struct object_list fewest = {0};
    for (size_t i = 0; i < svc->selector.len; i++) {
        struct str key = label_key(u, svc->object.meta.namespace, &svc->selector.at[i]);
        struct object_list some = store_lookup(u->s, INDEX_POD_BY_LABEL, key);
        if (i == 0 || some.len < fewest.len) {
            fewest = some;
        }
    }
    for (size_t i = 0; i < fewest.len; i++) {
        if (pairs_selects(&svc->selector, &fewest.at[i]->meta.labels)) {
            VEC_PUSH(ret->list, (struct pod *)fewest.at[i]);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    const struct service *x = *(struct service *const *)a, *y = *(struct service *const *)b;
    return str_cmp(x->object.meta.name, y->object.meta.name);
}

/* A service is found by one pair of its selector, so by one label only: none comes twice. */
void services_of_labels(struct update *u, struct str namespace, const struct pairs *labels,
                        struct services *ret)
{
    for (size_t i = 0; i < labels->len; i++) {
        struct str key = label_key(u, namespace, &labels->at[i]);
        struct object_list some = store_lookup(u->s, INDEX_SERVICE_BY_SELECTOR, key);
        for (size_t j = 0; j < some.len; j++) {
            struct service *svc = (struct service *)some.at[j];
            if (pairs_selects(&svc->selector, labels)) {
                VEC_PUSH(ret->list, svc);
            }
        }
    }
    if (ret->list.len > 1) {
        qsort(ret->list.at, ret->list.len, sizeof(*ret->list.at), by_name);
    }
}

void notes_begin(struct update *u, struct findings *f)
{
    *f = (struct findings){0};
    u->notes = f;
}

void note(struct update *u, const struct object *o, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct str title = object_title(u->scratch, o), file = arena_str(u->scratch, o->file);
    VEC_EACH(u->notes->list, f) {
        if (f->object && str_is(title, f->object) && str_is(str_of(text), f->text)) {
            return;
        }
    }
    findings_add(u->notes, FINDING_WARNING, file.len > 0 ? file.ptr : NULL, o->line, title.ptr,
                 "%s", text);
}

void notes_end(struct update *u, const char *unit, struct str key)
{
    struct str name = arena_printf(u->scratch, "%s %.*s", unit, STR_ARG(key));
    struct findings *now = NULL;
    if (u->notes->list.len > 0) {
        now = NEW(struct findings);
        *now = *u->notes;
    }
    struct findings *old =
        now ? map_put(&u->m->findings, name, now) : map_remove(&u->m->findings, name);
    if (old) {
        findings_done(old);
        free(old);
    }
    u->m->gathered->stale |= now || old;
    u->notes = NULL;
}
