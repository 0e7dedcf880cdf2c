/* What the replicas of osm-controller say. */
#include "cli/controllers.h"

#include <string.h>

#include "base/map.h"
#include "cli/forward.h"

struct merge {
    struct cluster *cluster;
    struct map proxies;  /* uuid -> struct value */
    struct map findings; /* text -> struct value */
};

static void add_controller(struct arena *a, struct value *proxy, const char *pod)
{
    value_set(a, proxy, "controller",
              value_new_string(a, value_bool_at(proxy, "connected") ? str_of(pod) : STR("")));
}

static void merge_proxies(struct merge *m, const struct value *list, const char *pod)
{
    struct arena *a = m->cluster->arena;
    for (size_t i = 0; i < value_len(list); i++) {
        struct value *proxy = value_copy(a, &list->array.at[i]);
        struct str uuid = value_string_at(proxy, "uuid");
        const struct value *known = map_find(&m->proxies, uuid);
        add_controller(a, proxy, pod);
        if (!known || (value_bool_at(proxy, "connected") && !value_bool_at(known, "connected"))) {
            map_put(&m->proxies, uuid, proxy);
        }
    }
}

static void merge_findings(struct merge *m, const struct value *list)
{
    for (size_t i = 0; i < value_len(list); i++) {
        struct value *finding = value_copy(m->cluster->arena, &list->array.at[i]);
        struct str key = arena_printf(m->cluster->arena, "%.*s: %.*s",
                                      STR_ARG(value_string_at(finding, "object")),
                                      STR_ARG(value_string_at(finding, "text")));
        map_put(&m->findings, key, finding);
    }
}

static int ask(struct merge *m, const char *namespace, const char *pod, struct err *e)
{
    struct buf page;
    struct value *status = NULL;
    int result = pod_page(namespace, pod, PORT_STATUS, "/status", &page, e);
    if (result == 0) {
        result = value_read_json(m->cluster->arena, buf_str(&page), &status, e);
    }
    buf_done(&page);
    if (result == 0) {
        merge_proxies(m, value_member(status, "proxies"), pod);
        merge_findings(m, value_member(status, "findings"));
    }
    return result;
}

static struct value *sorted(struct arena *a, const struct map *from)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    struct str *keys = map_sorted_keys(from);
    for (size_t i = 0; i < map_len(from); i++) {
        value_push(a, list, map_find(from, keys[i]));
    }
    free(keys);
    return list;
}

int controllers_status(struct cluster *c, const char *namespace, struct controllers_status *ret,
                       struct err *e)
{
    struct value *pods = NULL;
    struct merge m = {.cluster = c};
    if (mesh_pods(c, namespace, "osm-controller", &pods, e) < 0) {
        return -1;
    }
    *ret = (struct controllers_status){.asked = value_len(pods)};
    for (size_t i = 0; i < value_len(pods); i++) {
        struct str pod = arena_str(c->arena, value_string_at(&pods->array.at[i], "metadata.name"));
        if (ask(&m, namespace, pod.ptr, &ret->problem) == 0) {
            ret->answered++;
        }
    }
    ret->proxies = sorted(c->arena, &m.proxies);
    ret->findings = sorted(c->arena, &m.findings);
    map_done(&m.proxies, NULL);
    map_done(&m.findings, NULL);
    return 0;
}
