/* Follows a cluster and says what a controller would know: a line of JSON whenever that changes.
 *
 *     follow KUBECONFIG MESH NAMESPACE
 *
 * {"in_sync": true, "objects": {"Pod shop/a": "3"}, "findings": ["warning: ..."], "states": {"Pod":
 * "live"}}; an object's value is that of its label `v`. Ends when its input does. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "source/cluster_source.h"

static const char *const state_names[] = {
    [KUBE_WATCH_LISTING] = "listing", [KUBE_WATCH_LIVE] = "live",
    [KUBE_WATCH_BROKEN] = "broken",   [KUBE_WATCH_MISSING] = "missing",
    [KUBE_WATCH_DENIED] = "denied",
};

struct follow {
    struct loop *loop;
    struct store *store;
    struct source *source;
    enum kube_watch_state states[KIND_COUNT];
    struct arena *arena; /* of the line being written */
    struct value *objects;
};

static void add_object(void *arg, struct object *o)
{
    struct follow *f = arg;
    const struct str *v = pairs_find(&o->meta.labels, "v");
    value_set(f->arena, f->objects, object_title(f->arena, o).ptr,
              value_new_string(f->arena, v ? *v : STR("")));
}

static void print(struct follow *f)
{
    struct value *line = value_new(f->arena, VALUE_OBJECT);
    struct value *findings = value_new(f->arena, VALUE_ARRAY);
    struct value *states = value_new(f->arena, VALUE_OBJECT);
    f->objects = value_new(f->arena, VALUE_OBJECT);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        store_each(f->store, (enum kind)i, add_object, f);
        value_set(f->arena, states, kind_info((enum kind)i)->name,
                  value_new_string(f->arena, str_of(state_names[f->states[i]])));
    }
    VEC_EACH(source_findings(f->source)->list, x) {
        AUTO(free) char *text = finding_text(x);
        value_push(f->arena, findings, value_new_string(f->arena, str_of(text)));
    }
    value_set(f->arena, line, "in_sync", value_new_bool(f->arena, source_in_sync(f->source)));
    value_set(f->arena, line, "objects", f->objects);
    value_set(f->arena, line, "findings", findings);
    value_set(f->arena, line, "states", states);
    AUTO(buf_done) struct buf out;
    buf_init(&out, LIMIT_JSON_BYTES);
    value_write_json(line, &out);
    puts(out.data);
    fflush(stdout);
}

static void on_change(void *arg)
{
    struct follow *f = arg;
    struct changes changes;
    store_take_changes(f->store, &changes);
    changes_done(&changes);
    f->arena = arena_new(1 << 16);
    print(f);
    arena_free(f->arena);
}

static void on_state(void *arg, enum kind kind, enum kube_watch_state state, const struct err *e)
{
    struct follow *f = arg;
    f->states[kind] = state;
    fprintf(stderr, "%s %s %s\n", kind_info(kind)->name, state_names[state], e->text);
}

static void on_input(void *arg, int events)
{
    char piece[64];
    if (read(0, piece, sizeof(piece)) <= 0) {
        loop_stop(((struct follow *)arg)->loop);
    }
}

int main(int argc, char **argv)
{
    struct follow f = {0};
    struct err e = ERR_INIT;
    struct kube_config *config = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (argc != 4) {
        fprintf(stderr, "usage: follow KUBECONFIG MESH NAMESPACE\n");
        return 2;
    }
    if (kube_config_load(&(struct kube_config_options){.kubeconfig = argv[1]}, &config, &e) < 0) {
        fprintf(stderr, "error: %s\n", e.text);
        return 1;
    }
    f.loop = loop_new();
    f.store = store_new();
    struct kube_client *client = kube_client_new(config, f.loop);
    f.source =
        cluster_source_start(&(struct cluster_source_options){.client = client,
                                                              .store = f.store,
                                                              .mesh_name = argv[2],
                                                              .osm_namespace = argv[3],
                                                              .config_name = "osm-mesh-config",
                                                              .on_change = on_change,
                                                              .on_state = on_state,
                                                              .arg = &f});
    struct loop_watch *input = loop_watch_new(f.loop, 0, LOOP_READ, on_input, &f);
    loop_run(f.loop);
    loop_watch_free(input);
    source_free(f.source);
    kube_client_free(client);
    store_free(f.store);
    loop_free(f.loop);
    return 0;
}
