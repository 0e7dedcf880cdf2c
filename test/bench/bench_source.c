/* What it costs to know a cluster: reads one from an API server as a controller does, makes the
 * mesh of it, and says what that took and what is held.
 *
 *     bench_source KUBECONFIG MESH NAMESPACE
 *
 * What a kind holds is measured by taking it away: all its objects are removed from the store, with
 * their indexes, and the memory that comes back is counted by the allocator. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/map.h"
#include "mesh/mesh.h"
#include "source/cluster_source.h"

struct bench {
    struct loop *loop;
    struct store *store;
    struct mesh *mesh;
    struct source *source;
    double listed_s; /* CPU */
    VEC(struct object *) objects;
};

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static size_t held_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void on_change(void *arg)
{
    struct bench *b = arg;
    struct changes changes = {0};
    struct mesh_delta delta;
    if (b->listed_s == 0) { /* a second call may come before the loop ends */
        b->listed_s = cpu_s();
    }
    store_take_changes(b->store, &changes);
    mesh_update(b->mesh, b->store, &changes, &delta);
    mesh_delta_done(&delta);
    changes_done(&changes);
    loop_stop(b->loop);
}

static void collect(void *arg, struct object *o)
{
    struct bench *b = arg;
    VEC_PUSH(b->objects, o);
}

static void print_kind(struct bench *b, enum kind kind)
{
    struct changes changes = {0};
    store_each(b->store, kind, collect, b);
    size_t n = b->objects.len, before = held_bytes();
    for (size_t i = n; i-- > 0;) {
        struct object *o = b->objects.at[i];
        store_remove(b->store, kind, o->meta.namespace, o->meta.name);
        if (i % 256 == 0) { /* the record of changes isn't what is held */
            store_take_changes(b->store, &changes);
            changes_done(&changes);
        }
    }
    VEC_DONE(b->objects);
    if (n > 0) {
        size_t after = held_bytes();
        printf("%s %zu %.0f\n", kind_info(kind)->name, n, (double)(before - after) / (double)n);
    }
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct err e = ERR_INIT;
    struct kube_config *config = NULL;
    struct kube_config_options where = {.kubeconfig = argc > 1 ? argv[1] : NULL};
    signal(SIGPIPE, SIG_IGN);
    if (argc != 4 || kube_config_load(&where, &config, &e) < 0) {
        fprintf(stderr, "bench_source: %s\n", argc == 4 ? e.text : "KUBECONFIG MESH NAMESPACE");
        return 1;
    }
    struct mesh_options options = {.mesh_name = argv[2],
                                   .osm_namespace = argv[3],
                                   .config_name = "osm-mesh-config",
                                   .trust_domain = "cluster.local"};
    b.loop = loop_new();
    b.store = store_new();
    b.mesh = mesh_new(&options);
    struct kube_client *client = kube_client_new(config, b.loop);
    double began = cpu_s();
    int64_t began_ms = clock_mono_ms();
    b.source =
        cluster_source_start(&(struct cluster_source_options){.client = client,
                                                              .store = b.store,
                                                              .mesh_name = argv[2],
                                                              .osm_namespace = argv[3],
                                                              .config_name = options.config_name,
                                                              .on_change = on_change,
                                                              .arg = &b});
    loop_run(b.loop);
    printf("listed_s %.4f\nready_s %.4f\nwall_s %.3f\n", b.listed_s - began, cpu_s() - began,
           (double)(clock_mono_ms() - began_ms) / 1e3);
    printf("mesh_services %zu\nmesh_proxies %zu\n", map_len(mesh_map(b.mesh, MESH_SERVICES)),
           map_len(mesh_map(b.mesh, MESH_PROXIES)));
    source_free(b.source);
    kube_client_free(client);
    mesh_free(b.mesh);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        print_kind(&b, (enum kind)i);
    }
    store_free(b.store);
    loop_free(b.loop);
    return 0;
}
