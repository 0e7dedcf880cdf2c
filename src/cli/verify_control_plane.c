/* osm verify control-plane: are its pods ready, and do they say that they are well? */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/verify.h"

static const struct part {
    const char *app, *pages[3];
} parts[] = {
    {"osm-controller", {"/health/ready", "/health/alive"}},
    {"osm-injector", {"/healthz"}},
    {"osm-bootstrap", {"/healthz"}},
};

static void check_pages(struct cluster *c, struct verify *v, const struct part *part,
                        const char *pod)
{
    for (size_t i = 0; part->pages[i]; i++) {
        struct buf text;
        struct err e = ERR_INIT;
        int status =
            pod_proxy_text(c, c->osm_namespace, pod, PORT_PAGES, part->pages[i], &text, &e);
        buf_done(&text);
        if (status < 0) {
            verify_unknown(v, &e);
        } else if (status != 200) {
            verify_fail(v, "see its log: kubectl logs", "%s", e.text);
        }
    }
}

static void check_pod(struct cluster *c, struct verify *parent, const struct part *part,
                      const struct value *pod)
{
    const char *name = arena_str(c->arena, value_string_at(pod, "metadata.name")).ptr;
    struct verify *v = verify_new(c->arena, parent, "Verify if pod \"%s\" is ready and well", name);
    const char *problem = pod_problem(c->arena, pod);
    if (problem) {
        verify_fail(v, "see kubectl describe pod, and its log", "%s", problem);
    } else {
        check_pages(c, v, part, name);
    }
}

static void check_part(struct cluster *c, struct verify *whole, const struct part *part)
{
    struct verify *v =
        verify_new(c->arena, whole, "Verify %s in namespace \"%s\"", part->app, c->osm_namespace);
    struct value *pods = NULL;
    struct err e = ERR_INIT;
    if (mesh_pods(c, c->osm_namespace, part->app, &pods, &e) < 0) {
        verify_unknown(v, &e);
        return;
    }
    if (value_len(pods) == 0) {
        verify_fail(v, "is the mesh in another namespace? see: osm mesh list", "it has no pods");
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        check_pod(c, v, part, &pods->array.at[i]);
    }
}

int verify_control_plane_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    if (cluster_open(&c, e) < 0 || cluster_answers(&c, e) < 0) {
        return -1;
    }
    struct verify *whole =
        verify_new(c.arena, NULL, "Verify the health of OSM control plane in namespace \"%s\"",
                   c.osm_namespace);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        check_part(&c, whole, &parts[i]);
    }
    return verify_print(whole);
}
