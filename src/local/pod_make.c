/* A pod's making: from a document to namespaces, addresses, files and what to start in them. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "inject/names.h"
#include "local/admin.h"
#include "local/hosts.h"
#include "local/internal.h"
#include "local/launch.h"
#include "local/volumes.h"

/* The namespace, also when nobody declared it. */
static int find_namespace(struct runtime *r, struct str name, struct object **ret, struct err *e)
{
    struct object *known = store_find(r->store, KIND_NAMESPACE, STR(""), name);
    if (known) {
        *ret = object_ref(known);
        return 0;
    }
    AUTO(arena_free) struct arena *a = arena_new(1024);
    return object_expect(objects_namespace(a, name, r->options.mesh_name), KIND_NAMESPACE, ret, e);
}

static int make_bootstrap(struct pod_run *p, struct arena *a, const struct value *document,
                          const struct inject_options *o, struct err *e)
{
    struct identity id = {p->pod->object.meta.namespace, p->pod->spec->service_account_name};
    struct cert *cert = NULL;
    if (issuer_issue_proxy(p->runtime->issuer, str_of(p->uuid), id, clock_wall_s(), &cert, e) < 0) {
        return -1;
    }
    struct value *bootstrap = NULL;
    struct object *secret = NULL;
    int rv = inject_bootstrap_secret(a, document, p->pod, str_of(p->uuid), cert, o, &bootstrap, e);
    cert_unref(cert);
    if (rv < 0 || object_expect(bootstrap, KIND_SECRET, &secret, e) < 0) {
        return err_wrap(e, "bootstrap");
    }
    p->bootstrap = (struct secret *)secret;
    return 0;
}

/* Replaces the pod by the same with its sidecar, when it wants one. */
static int inject(struct pod_run *p, struct arena *a, const struct value *document, struct err *e)
{
    AUTO(object_unref) struct object *ns = NULL;
    struct inject_options o;
    char gateway[IP_TEXT];
    struct value *injected = NULL;
    struct object *pod = NULL;
    if (find_namespace(p->runtime, p->pod->object.meta.namespace, &ns, e) < 0) {
        return -1;
    }
    runtime_inject_options(p->runtime, gateway, &o);
    int wanted = inject_wanted(p->pod, (const struct namespace *)ns, &o, e);
    if (wanted <= 0) {
        return wanted;
    }
    inject_uuid(p->uuid);
    if (inject_pod(a, document, p->pod, str_of(p->uuid),
                   inject_metrics_wanted((const struct namespace *)ns), &o, &injected, e) < 0 ||
        make_bootstrap(p, a, document, &o, e) < 0 ||
        object_expect(injected, KIND_POD, &pod, e) < 0) {
        return -1;
    }
    object_unref(&p->pod->object);
    p->pod = (struct pod *)pod;
    return 0;
}

static int make_folders(struct pod_run *p, struct err *e)
{
    static const char *const below[] = {"", "/etc", "/logs", "/scratch", "/volumes"};
    for (size_t i = 0; i < COUNT_OF(below); i++) {
        AUTO(free) char *path = mem_printf("%s%s", p->folder, below[i]);
        if (state_make_dir(path, 0700, e) < 0) {
            return -1;
        }
    }
    /* What is mounted into the pod must be open to all its users. */
    AUTO(free) char *etc = mem_printf("%s/etc", p->folder);
    return chmod(etc, 0755) < 0 ? err_errno(e, "can't open %s to the pod", etc) : 0;
}

void pod_add_containers(struct pod_run *p)
{
    const struct pod_spec *s = p->pod->spec;
    for (size_t i = 0; i < s->init_containers.len; i++) {
        VEC_PUSH(p->init, NEW(struct container_run));
        container_init(p->init.at[i], p, &s->init_containers.at[i]);
    }
    for (size_t i = 0; i < s->containers.len; i++) {
        VEC_PUSH(p->containers, NEW(struct container_run));
        container_init(p->containers.at[i], p, &s->containers.at[i]);
        if (p->uuid[0] && str_is(s->containers.at[i].name, SIDECAR_CONTAINER)) {
            p->sidecar = p->containers.at[i];
        }
    }
}

static int give_addresses(struct pod_run *p, struct err *e)
{
    struct addresses *all = &p->runtime->addresses;
    p->number = addresses_take_pod(all);
    if (p->number == 0) {
        return err_set(e, "pod %s: expected at most %d pods, found more", p->key,
                       ADDRESSES_COUNT - 3);
    }
    struct ip ip4 = addresses_pod4(all, p->number), ip6 = addresses_pod6(all, p->number);
    ip_text(&ip4, p->ip4);
    ip_text(&ip6, p->ip6);
    return 0;
}

int pod_new(struct runtime *r, const char *owner, const char *workload, uint64_t owner_hash,
            const struct value *document, struct pod_run **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    AUTO(pod_free) struct pod_run *p = NEW(struct pod_run);
    struct object *pod = NULL;
    p->runtime = r;
    sandbox_init(&p->sandbox);
    if (object_expect(document, KIND_POD, &pod, e) < 0) {
        return -1;
    }
    p->pod = (struct pod *)pod;
    const struct meta *m = &pod->meta;
    p->key = mem_printf("%.*s/%.*s", STR_ARG(m->namespace), STR_ARG(m->name));
    p->owner = mem_strdup(owner);
    p->workload = mem_strdup(workload);
    p->owner_hash = owner_hash;
    p->folder = state_path(&r->state, "pods/%.*s_%.*s", STR_ARG(m->namespace), STR_ARG(m->name));
    if (inject(p, a, document, e) < 0 || make_folders(p, e) < 0 || give_addresses(p, e) < 0) {
        return -1;
    }
    pod_add_containers(p);
    *ret = TAKE(p);
    runtime_changed(r);
    return 0;
}

void pod_free_containers(struct pod_run *p)
{
    VEC_EACH(p->init, c) {
        container_done(*c);
        free(*c);
    }
    VEC_EACH(p->containers, c) {
        container_done(*c);
        free(*c);
    }
    VEC_DONE(p->init);
    VEC_DONE(p->containers);
}

void pod_free(struct pod_run *p)
{
    if (!p) {
        return;
    }
    struct err e = ERR_INIT;
    pod_free_containers(p);
    admin_free(p->admin);
    children_forget(&p->runtime->children, p);
    sandbox_done(&p->sandbox);
    addresses_release_pod(&p->runtime->addresses, p->number);
    if (p->folder && state_remove(p->folder, &e) < 0) {
        log_event(LOG_WARN, "pod's folder stays", "reason", e.text, NULL);
    }
    object_unref(p->pod ? &p->pod->object : NULL);
    object_unref(p->bootstrap ? &p->bootstrap->object : NULL);
    free(p->key);
    free(p->owner);
    free(p->workload);
    free(p->folder);
    free(p->reason);
    free(p);
}

/* --- its namespaces --- */

static void on_sandbox_end(void *arg, int status)
{
    struct pod_run *p = arg;
    p->sandbox_alive = false;
    p->sandbox.pid = 0;
    namespaces_done(&p->sandbox.ns);
    admin_free(p->admin);
    p->admin = NULL;
    runtime_changed(p->runtime);
}

static int write_etc(struct pod_run *p, struct err *e)
{
    struct str name = p->pod->object.meta.name, ns = p->pod->object.meta.namespace;
    AUTO(free) char *hostname = mem_printf("%.*s\n", STR_ARG(name));
    AUTO(free) char *own = mem_printf("%s/etc/hostname", p->folder);
    AUTO(free) char *resolv = mem_printf("%s/etc/resolv.conf", p->folder);
    AUTO(free) char *nsswitch = mem_printf("%s/etc/nsswitch.conf", p->folder);
    struct buf text;
    buf_init(&text, 4096);
    hosts_resolv_conf(&text, ns);
    int result = state_write(own, str_of(hostname), 0644, e) < 0 ||
                         state_write(resolv, buf_str(&text), 0644, e) < 0 ||
                         state_write(nsswitch, STR("passwd: files\ngroup: files\nhosts: files\n"),
                                     0644, e) < 0
                     ? -1
                     : 0;
    buf_done(&text);
    return result;
}

static int connect_sandbox(struct pod_run *p, struct err *e)
{
    struct runtime *r = p->runtime;
    char link[16];
    snprintf(link, sizeof(link), "%.8s.%x", r->bridge + 3, ++r->links & 0xffffff);
    struct sandbox_network net = {.link = link,
                                  .alias = r->alias,
                                  .bridge = r->bridge_index,
                                  .ip4 = addresses_pod4(&r->addresses, p->number),
                                  .gateway4 = addresses_gateway4(&r->addresses),
                                  .ip6 = addresses_pod6(&r->addresses, p->number),
                                  .gateway6 = addresses_gateway6(&r->addresses),
                                  .prefix4 = ADDRESSES_PREFIX4,
                                  .prefix6 = ADDRESSES_PREFIX6};
    return sandbox_connect(&p->sandbox, r->netlink, &net, e);
}

int pod_start_sandbox(struct pod_run *p, struct err *e)
{
    AUTO(free) char *volumes = mem_printf("%s/volumes", p->folder);
    AUTO(free) char *scratch = mem_printf("%s/scratch", p->folder);
    AUTO(free) char *etc = mem_printf("%s/etc", p->folder);
    struct str name =
        p->pod->spec->hostname.len > 0 ? p->pod->spec->hostname : p->pod->object.meta.name;
    AUTO(free) char *hostname = mem_printf("%.*s", name.len < 63 ? (int)name.len : 63, name.ptr);
    struct sandbox_options o = {hostname, scratch, etc};
    if (write_etc(p, e) < 0 ||
        volumes_make(volumes, p->pod, p->bootstrap, p->runtime->store, e) < 0 ||
        sandbox_start(&p->sandbox, &o, e) < 0) {
        return -1;
    }
    children_add(&p->runtime->children, p->sandbox.pid, on_sandbox_end, p);
    p->sandbox_alive = true;
    if (connect_sandbox(p, e) < 0) {
        sandbox_kill(&p->sandbox);
        return -1;
    }
    if (p->sidecar) {
        p->admin = admin_new(p->runtime->loop, p->sandbox.ns.fd[NS_NET]);
    }
    return 0;
}

/* --- its containers --- */

int pod_launch(struct pod_run *p, struct arena *a, const struct container *c,
               struct process_options *ret, struct err *e)
{
    struct runtime *r = p->runtime;
    struct ip host = addresses_gateway4(&r->addresses);
    char host_ip[IP_TEXT];
    struct launch_context x = {.images = &r->options.images,
                               .envoy = r->options.envoy,
                               .store = r->store,
                               .volumes = arena_printf(a, "%s/volumes", p->folder).ptr,
                               .pod_ip = p->ip4,
                               .pod_ips = arena_printf(a, "%s,%s", p->ip4, p->ip6).ptr,
                               .host_ip = ip_text(&host, host_ip)};
    if (launch_build(a, &x, p->pod, c, ret, e) < 0) {
        return -1;
    }
    ret->ns = &p->sandbox.ns;
    ret->hidden = arena_strz(a, r->state.base).ptr;
    return 0;
}

int pod_exec(struct pod_run *p, struct container_run *c, const struct strs *command, pid_t *ret,
             struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16384);
    struct process_options o;
    if (command->len == 0 || pod_launch(p, a, c->spec, &o, e) < 0) {
        return command->len == 0 ? err_set(e, "expected a command") : -1;
    }
    char **argv = arena_array(a, command->len + 1, sizeof(char *));
    for (size_t i = 0; i < command->len; i++) {
        argv[i] = (char *)arena_str(a, command->at[i]).ptr;
    }
    AUTO(free) char *path = process_find(argv[0]);
    if (!path) {
        return err_set(e, "expected a program on this machine, found no executable file \"%s\"",
                       argv[0]);
    }
    argv[0] = path;
    o.argv = argv;
    if (log_file_dup(c->log, &o.out, e) < 0) {
        return -1;
    }
    int result = process_start(&o, ret, e);
    close(o.out);
    return result;
}
