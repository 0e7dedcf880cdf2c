/* The runtime of a local mesh. */
#include "local/runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "local/internal.h"

/* How long pods get to end by themselves when all of the mesh ends. */
enum { END_GRACE_MS = 5000, RETRY_MS = 2000 };

/* --- small things others ask for --- */

void runtime_changed(struct runtime *r)
{
    r->changed = true;
}

const struct mesh_config *runtime_mesh_config(const struct runtime *r)
{
    struct object *o =
        store_find(r->store, KIND_MESH_CONFIG, STR(OSM_NAMESPACE), STR(MESH_CONFIG_NAME));
    return o ? (const struct mesh_config *)o : mesh_config_default();
}

void runtime_inject_options(const struct runtime *r, char gateway[IP_TEXT],
                            struct inject_options *ret)
{
    struct ip ip = addresses_gateway4(&r->addresses);
    *ret = (struct inject_options){.config = runtime_mesh_config(r),
                                   .mesh_name = r->options.mesh_name,
                                   .osm_namespace = OSM_NAMESPACE,
                                   .trust_domain = TRUST_DOMAIN,
                                   .ads_host = ip_text(&ip, gateway),
                                   .ads_port = (uint16_t)r->options.ads_port,
                                   .ipv6 = true,
                                   .delta = true};
}

struct pod_run *runtime_pod(const struct runtime *r, struct str key)
{
    VEC_EACH(r->pods, p) {
        if (str_is(key, (*p)->key)) {
            return *p;
        }
    }
    return NULL;
}

/* --- the bridge --- */

void runtime_link_names(const struct state *state, char bridge[16], char alias[64])
{
    /* The folder too: two meshes of one name in two state folders have two bridges. */
    uint64_t hash = hash_str(str_of(state->dir));
    snprintf(bridge, 16, "osm%08x", (unsigned)hash);
    snprintf(alias, 64, "osm-local %s %08x", state->name, (unsigned)hash);
}

struct removal {
    VEC(int) links;
};

static void on_link(void *arg, int index, const char *name)
{
    struct removal *removal = arg;
    VEC_PUSH(removal->links, index);
}

int runtime_remove_links(const struct state *state, int *ret, struct err *e)
{
    char bridge[16], alias[64];
    struct removal removal = {0};
    AUTO(netlink_free) struct netlink *n = NULL;
    runtime_link_names(state, bridge, alias);
    if (netlink_open(-1, &n, e) < 0) {
        return -1;
    }
    int result = netlink_each_alias(n, alias, on_link, &removal, e);
    VEC_EACH(removal.links, index) {
        if (result == 0) {
            result = netlink_delete(n, *index, e);
        }
    }
    *ret = (int)removal.links.len;
    VEC_DONE(removal.links);
    return result;
}

static int make_bridge(struct runtime *r, struct err *e)
{
    int leftovers;
    runtime_link_names(&r->state, r->bridge, r->alias);
    if (runtime_remove_links(&r->state, &leftovers, e) < 0 ||
        netlink_open(-1, &r->netlink, e) < 0 ||
        addresses_init(&r->addresses, r->netlink, r->state.name, e) < 0 ||
        netlink_bridge(r->netlink, r->bridge, r->alias, e) < 0) {
        return -1;
    }
    struct ip gateway4 = addresses_gateway4(&r->addresses);
    struct ip gateway6 = addresses_gateway6(&r->addresses);
    r->bridge_index = netlink_find(r->netlink, r->bridge);
    if (netlink_add_address(r->netlink, r->bridge_index, &gateway4, ADDRESSES_PREFIX4, e) < 0) {
        return -1;
    }
    /* A machine without IPv6 still gets a mesh. */
    struct err ignored;
    if (netlink_add_address(r->netlink, r->bridge_index, &gateway6, ADDRESSES_PREFIX6, &ignored) <
        0) {
        log_event(LOG_INFO, "no IPv6 on this machine's bridge", "reason", ignored.text, NULL);
    }
    return netlink_up(r->netlink, r->bridge_index, e);
}

/* --- the loop --- */

static void step_pods(struct runtime *r, int64_t now)
{
    for (size_t i = 0; i < r->pods.len; i++) {
        pod_step(r->pods.at[i], now);
    }
    for (size_t i = r->pods.len; i-- > 0;) {
        struct pod_run *p = r->pods.at[i];
        if (p->phase == POD_GONE && !p->sandbox_alive) {
            log_event(LOG_INFO, "pod ended", "pod", p->key, NULL);
            pod_free(p);
            VEC_REMOVE(r->pods, i);
            r->changed = true;
        }
    }
}

static void step_ending(struct runtime *r, int64_t now)
{
    bool late = now >= r->end_at_ms;
    VEC_EACH(r->pods, p) {
        pod_end(*p, now);
        if (late) {
            pod_kill(*p);
        }
    }
    step_pods(r, now);
    if (r->pods.len == 0 && r->process && !controller_ended(r->process) && !late) {
        controller_end(r->process);
    } else if (r->pods.len == 0) {
        loop_stop(r->loop);
    }
}

static void on_tick(void *arg)
{
    struct runtime *r = arg;
    int64_t now = clock_mono_ms();
    children_reap(&r->children);
    if (r->ending) {
        step_ending(r, now);
        return;
    }
    if (!r->configured) {
        return;
    }
    step_pods(r, now);
    controller_tick(r->process, now);
    if (r->changed || r->rescan || now >= r->retry_at_ms) {
        r->retry_at_ms = now + RETRY_MS;
        r->changed = r->rescan = false;
        roots_follow(r);
        workloads_reconcile(r, now);
        runtime_publish(r);
    }
}

static void on_child(void *arg, int signo)
{
    on_tick(arg);
}

void runtime_end(struct runtime *r)
{
    if (!r->ending) {
        r->ending = true;
        r->end_at_ms = clock_mono_ms() + END_GRACE_MS;
        log_event(LOG_INFO, "ending", NULL);
    }
}

static void on_signal(void *arg, int signo)
{
    runtime_end(arg);
}

/* --- options --- */

static void on_source(void *arg)
{
    struct runtime *r = arg;
    struct changes changes = {0};
    store_take_changes(r->store, &changes);
    changes_done(&changes);
    r->rescan = true;
}

struct paths {
    VEC(const char *) list;
};

/* Folders in order of precedence; objects/ first for the controller only: in it are copies of what
 * the user wrote, which would hide later edits from us. */
static void roots_of(struct runtime *r, bool objects, char *own[2], struct paths *ret)
{
    own[0] = state_path(&r->state, "objects");
    own[1] = state_path(&r->state, "applied");
    if (objects) {
        VEC_PUSH(ret->list, own[0]);
    }
    VEC_PUSH(ret->list, own[1]);
    VEC_EACH(r->options.roots, root) {
        VEC_PUSH(ret->list, *root);
    }
}

static int watch_sources(struct runtime *r, struct err *e)
{
    char *own[2];
    struct paths roots = {0};
    roots_of(r, false, own, &roots);
    struct store *store = store_new();
    struct dir_source *source = NULL;
    struct dir_source_options o = {.loop = r->loop,
                                   .store = store,
                                   .roots = roots.list.at,
                                   .n_roots = roots.list.len,
                                   .on_change = on_source,
                                   .arg = r};
    int result = dir_source_start(&o, &source, e);
    if (result == 0) {
        dir_source_free(r->source);
        store_free(r->store);
        r->source = source;
        r->store = store;
        on_source(r);
    } else {
        store_free(store);
    }
    VEC_DONE(roots.list);
    free(own[0]);
    free(own[1]);
    return result;
}

static void start_controller(struct runtime *r)
{
    char *own[2], gateway[IP_TEXT];
    struct paths roots = {0};
    roots_of(r, true, own, &roots);
    if (r->process) {
        controller_set_sources(r->process, roots.list.at, roots.list.len);
    } else {
        struct ip ip = addresses_gateway4(&r->addresses);
        AUTO(free) char *ads = mem_printf("%s:%d", ip_text(&ip, gateway), (int)r->options.ads_port);
        AUTO(free) char *ca = state_path(&r->state, "ca.yaml");
        AUTO(free) char *socket = state_path(&r->state, "controller.sock");
        AUTO(free) char *log = state_path(&r->state, "controller.log");
        struct controller_options o = {.loop = r->loop,
                                       .children = &r->children,
                                       .program = r->options.controller,
                                       .ca_file = ca,
                                       .ads_address = ads,
                                       .http_socket = socket,
                                       .log_file = log,
                                       .mesh_name = r->options.mesh_name,
                                       .osm_namespace = OSM_NAMESPACE,
                                       .trust_domain = TRUST_DOMAIN,
                                       .sources = roots.list.at,
                                       .n_sources = roots.list.len};
        r->process = controller_new(&o);
    }
    VEC_DONE(roots.list);
    free(own[0]);
    free(own[1]);
}

/* Sidecars have these in their configuration: they stay as long as the mesh. */
static int check_fixed(const struct runtime *r, const struct run_options *new, struct err *e)
{
    if (!r->configured) {
        return 0;
    }
    if (new->ads_port != r->options.ads_port) {
        return err_set(e,
                       "--ads-port: mesh \"%s\" runs with %lld; to change it, end the mesh first "
                       "with: osm local down",
                       r->state.name, (long long)r->options.ads_port);
    }
    if (strcmp(new->mesh_name, r->options.mesh_name) != 0) {
        return err_set(
            e,
            "--mesh-name: mesh \"%s\" runs with \"%s\"; to change it, end the mesh first "
            "with: osm local down",
            r->state.name, r->options.mesh_name);
    }
    return 0;
}

/* Reads from the folders of r->options. */
static int take_options(struct runtime *r, bool new_roots, struct err *e)
{
    AUTO(free) char *path = state_path(&r->state, "run.json");
    struct buf text;
    buf_init(&text, LIMIT_CONTROL_REQUEST_BYTES);
    run_options_write(&r->options, &text);
    int result = state_write(path, buf_str(&text), 0600, e);
    buf_done(&text);
    if (result < 0 || (new_roots && watch_sources(r, e) < 0)) {
        return -1;
    }
    if (new_roots) {
        start_controller(r);
    }
    return 0;
}

int runtime_configure(struct runtime *r, struct str json, struct err *e)
{
    struct run_options other = {.ads_port = ADS_PORT_DEFAULT,
                                .mesh_name = mem_strdup(MESH_NAME_DEFAULT)};
    int result = run_options_read(&other, json, e) < 0 ? -1 : check_fixed(r, &other, e);
    if (result == 0) {
        struct run_options before = r->options;
        r->options = other;
        other = before;
        bool same = r->configured && run_options_same_roots(&before, &r->options);
        result = take_options(r, !same, e);
        if (result < 0) {
            other = r->options;
            r->options = before;
        }
    }
    if (result == 0) {
        r->configured = r->rescan = true;
        controller_retry(r->process);
        VEC_EACH(r->pods, p) {
            pod_retry(*p);
        }
    }
    run_options_done(&other);
    return result;
}

/* --- start and end --- */

static int empty_folder(const struct state *s, const char *name, struct err *e)
{
    AUTO(free) char *path = state_path(s, "%s", name);
    return state_remove(path, e) < 0 ? -1 : state_make_dir(path, 0700, e);
}

static int start(struct runtime *r, struct err *e)
{
    AUTO(free) char *objects = state_path(&r->state, "objects");
    r->options.ads_port = ADS_PORT_DEFAULT;
    r->options.mesh_name = mem_strdup(MESH_NAME_DEFAULT);
    r->store = store_new();
    r->loop = loop_new();
    publisher_init(&r->publisher, objects);
    if (empty_folder(&r->state, "objects", e) < 0 || empty_folder(&r->state, "pods", e) < 0 ||
        roots_load(r, e) < 0 || make_bridge(r, e) < 0 || api_start(r, e) < 0) {
        return -1;
    }
    loop_on_signal(r->loop, SIGCHLD, on_child, r);
    loop_on_signal(r->loop, SIGTERM, on_signal, r);
    loop_on_signal(r->loop, SIGINT, on_signal, r);
    r->tick = loop_timer_new(r->loop, TICK_MS, true, on_tick, r);
    return 0;
}

static void stop(struct runtime *r)
{
    int links;
    struct err e = ERR_INIT;
    VEC_EACH(r->pods, p) {
        pod_free(*p);
    }
    VEC_DONE(r->pods);
    loop_timer_free(r->tick);
    controller_free(r->process);
    http_server_free(r->http);
    dir_source_free(r->source);
    store_free(r->store);
    issuer_free(r->issuer);
    publisher_done(&r->publisher);
    map_done(&r->refusals, free);
    addresses_done(&r->addresses);
    children_done(&r->children);
    if (runtime_remove_links(&r->state, &links, &e) < 0) {
        log_event(LOG_WARN, "network links stay", "reason", e.text, NULL);
    }
    netlink_free(r->netlink);
    run_options_done(&r->options);
    free(r->problem);
    loop_free(r->loop);
}

int runtime_run(const struct state *state, struct err *e)
{
    umask(022);
    if (state_inherit(state, e) < 0) {
        return -1;
    }
    struct runtime *r = NEW(struct runtime);
    r->state = *state;
    signal(SIGPIPE, SIG_IGN);
    int result = start(r, e);
    if (result == 0) {
        log_event(LOG_INFO, "runtime started", "mesh", state->name, "bridge", r->bridge, NULL);
        loop_run(r->loop);
        log_event(LOG_INFO, "runtime ended", NULL);
    }
    stop(r);
    free(r);
    return result;
}
