/* What is wrong with the user's objects, each said once, at the place where the user wrote it. */
#include <string.h>

#include "inject/build.h"
#include "kinds/config.h"
#include "local/internal.h"

struct report {
    struct arena *arena;
    const struct runtime *runtime;
    struct map said; /* what a reader would take for the same */
    struct value *list;
    char *copies; /* folder of the documents that the runtime makes */
};

/* The object of the user that a title such as "Service shop/web" means; NULL: none. */
static const struct object *written(const struct runtime *r, struct str title)
{
    struct str kind, place, ns = STR(""), name;
    if (!str_cut(title, ' ', &kind, &place)) {
        return NULL;
    }
    if (!str_cut(place, '/', &ns, &name)) {
        name = place;
        ns = STR("");
    }
    for (int k = 0; k < KIND_COUNT; k++) {
        if (str_is(kind, kind_info((enum kind)k)->name)) {
            return store_find(r->store, (enum kind)k, ns, name);
        }
    }
    return NULL;
}

/* Our copies of an object are called as the user's own file. */
static void add(struct report *p, struct str level, struct str file, int64_t line, struct str title,
                struct str text)
{
    struct arena *a = p->arena;
    if (file.len == 0 || str_starts(file, p->copies)) {
        const struct object *o = written(p->runtime, title);
        file = o ? o->file : STR("");
        line = o ? o->line : 0;
    }
    struct str key =
        arena_printf(a, "%.*s %.*s %.*s", STR_ARG(level), STR_ARG(title), STR_ARG(text));
    if (map_has(&p->said, key) && title.len > 0) {
        return;
    }
    map_put(&p->said, key, p);
    value_push(a, p->list,
               build_object(a, "level", value_new_string(a, level), "file",
                            value_new_string(a, file), "line", value_new_int(a, line), "object",
                            value_new_string(a, title), "text", value_new_string(a, text), NULL));
}

static void add_told(struct report *p, const struct value *findings)
{
    for (size_t i = 0; i < findings->array.len; i++) {
        const struct value *f = &findings->array.at[i], *line = value_member(f, "line");
        add(p, value_string_at(f, "level"), value_string_at(f, "file"),
            line && line->type == VALUE_INT ? line->integer : 0, value_string_at(f, "object"),
            value_string_at(f, "text"));
    }
}

static void add_own(struct report *p)
{
    VEC_EACH(dir_source_findings(p->runtime->source)->list, f) {
        add(p, f->level == FINDING_ERROR ? STR("error") : STR("warning"), str_of(f->file), f->line,
            str_of(f->object), str_of(f->text));
    }
}

static void add_without_effect(void *arg, struct object *o)
{
    struct report *p = arg;
    if (((const struct mesh_config *)o)->certificate.ingress_gateway.present) {
        add(p, STR("warning"), o->file, o->line, object_title(p->arena, o),
            STR("spec.certificate.ingressGateway: has no effect without a cluster: no Secret is "
                "made"));
    }
}

/* A workload whose pods can't be made: "Kind/ns/name" -> why. */
static void add_refusals(struct report *p)
{
    MAP_EACH(&p->runtime->refusals, it) {
        struct str kind, name;
        str_cut(it.key, '/', &kind, &name);
        struct str title = arena_printf(p->arena, "%.*s %.*s", STR_ARG(kind), STR_ARG(name));
        add(p, STR("error"), STR(""), 0, title, str_of(it.value));
    }
}

struct value *report_findings(struct arena *a, const struct runtime *r, const struct value *told)
{
    struct report p = {.arena = a,
                       .runtime = r,
                       .list = value_new(a, VALUE_ARRAY),
                       .copies = state_path(&r->state, "objects/")};
    if (told) {
        add_told(&p, told);
    } else if (r->source) {
        add_own(&p);
    }
    store_each(r->store, KIND_MESH_CONFIG, add_without_effect, &p);
    add_refusals(&p);
    map_done(&p.said, NULL);
    free(p.copies);
    return p.list;
}
