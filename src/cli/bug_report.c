/* osm support bug-report: what is needed to find out what is wrong, in an archive. No Secrets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/forward.h"
#include "cli/meshes.h"
#include "local/state.h"

static bool all, ingress;
static struct texts app_namespaces, app_deployments, app_pods;
static const char *out_file;

const struct flag bug_report_flags[] = {
    {"all", 0, FLAG_BOOL, NULL, "of all pods with a sidecar", &all},
    {"app-namespaces", 0, FLAG_LIST, "LIST", "of the pods of these namespaces", &app_namespaces,
     .complete = complete_namespaces},
    {"app-deployments", 0, FLAG_LIST, "LIST", "of the pods of these, NAMESPACE/NAME",
     &app_deployments},
    {"app-pods", 0, FLAG_LIST, "LIST", "of these pods, NAMESPACE/NAME", &app_pods,
     .complete = complete_pods},
    {"ingress", 0, FLAG_BOOL, NULL, "also what the cluster says of ingress", &ingress},
    {"out-file", 'o', FLAG_STRING, "FILE", "the archive (in the folder for temporary files)",
     &out_file, .complete = complete_files},
    {0},
};

struct report {
    struct cluster *cluster;
    char *folder; /* private, removed in the end */
    size_t files, failures;
};

/* --- files of the report --- */

static int make_folders(const char *path, struct err *e)
{
    AUTO(free) char *copy = mem_strdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
            return err_errno(e, "can't make %s", copy);
        }
        *slash = '/';
    }
    return 0;
}

static bool write_file(const struct report *r, const char *name, struct str text)
{
    struct err e = ERR_INIT;
    AUTO(free) char *path = mem_printf("%s/%s", r->folder, name);
    bool written = make_folders(path, &e) == 0 && state_write(path, text, 0600, &e) == 0;
    if (!written) {
        fprintf(stderr, "warning: %s\n", e.text);
    }
    return written;
}

static void put(struct report *r, const char *name, struct str text)
{
    bool written = write_file(r, name, text);
    r->files += written;
    r->failures += !written;
}

/* What couldn't be had, or not whole, says why in its place. */
static void put_missing(struct report *r, const char *name, struct str text)
{
    AUTO(free) char *missing = mem_printf("%s.missing", name);
    write_file(r, missing, text);
    r->failures++;
}

static void put_failure(struct report *r, const char *name, const struct err *e)
{
    put_missing(r, name, str_of(e->text));
}

/* silent_failure: only a program that failed and said nothing on stdout gave nothing. */
static void put_output(struct report *r, const char *name, const struct argv *a,
                       bool silent_failure)
{
    AUTO(buf_done) struct buf out, err;
    struct err e = ERR_INIT;
    buf_init(&out, LIMIT_CONTROL_REPLY_BYTES);
    buf_init(&err, 1 << 20);
    int code = program_run(a, &out, &err, &e);
    if (code < 0) {
        put_failure(r, name, &e);
        return;
    }
    bool had = code == 0 || (silent_failure && out.len > 0);
    buf_adds(&out, buf_str(&err));
    if (had) {
        put(r, name, buf_str(&out));
    } else {
        put_missing(r, name, buf_str(&out));
    }
}

/* words: of the command line, with spaces between. */
static void add_words(struct argv *a, const char *words)
{
    struct str word, rest = str_of(words);
    while (rest.len > 0) {
        if (!str_cut(rest, ' ', &word, &rest)) {
            rest = STR("");
        }
        argv_add(a, "%.*s", STR_ARG(word));
    }
}

static void put_osm(struct report *r, const char *name, const char *words)
{
    AUTO(argv_done) struct argv a = {0};
    argv_add(&a, "/proc/self/exe");
    add_words(&a, words);
    argv_add(&a, "--osm-namespace=%s", r->cluster->osm_namespace);
    if (cluster_kubeconfig()) {
        argv_add(&a, "--kubeconfig=%s", cluster_kubeconfig());
    }
    if (cluster_context()) {
        argv_add(&a, "--context=%s", cluster_context());
    }
    /* osm check finds something wrong, says it, and fails. */
    put_output(r, name, &a, true);
}

static void put_kubectl(struct report *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void put_kubectl(struct report *r, const char *name, const char *fmt, ...)
{
    AUTO(argv_done) struct argv a = {0};
    struct err e = ERR_INIT;
    va_list ap;
    va_start(ap, fmt);
    AUTO(free) char *words = mem_vprintf(fmt, ap);
    va_end(ap);
    if (kubectl_argv(&a, &e) < 0) {
        put_failure(r, name, &e);
    } else {
        add_words(&a, words);
        put_output(r, name, &a, false);
    }
}

/* --- what is collected --- */

static void collect_mesh(struct report *r)
{
    put_osm(r, "osm/version.txt", "version");
    put_osm(r, "osm/mesh-list.txt", "mesh list");
    put_osm(r, "osm/namespace-list.txt", "namespace list");
    put_osm(r, "osm/check.txt", "check");
    put_osm(r, "osm/proxy-status.txt", "proxy status");
    put_kubectl(r, "cluster/nodes.txt", "get nodes -o wide");
    put_kubectl(r, "cluster/webhooks.yaml",
                "get mutatingwebhookconfigurations,validatingwebhookconfigurations -o yaml");
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct kind_info *info = kind_info(kind);
        AUTO(free) char *name = mem_printf("policies/%s.yaml", info->plural);
        if (kind_is_custom(kind)) {
            put_kubectl(r, name, "get %s.%s -A -o yaml", info->plural, info->group);
        }
    }
    if (ingress) {
        put_kubectl(r, "ingress/ingresses.yaml", "get ingresses,ingressclasses -A -o yaml");
    }
}

/* Names of pods become those of files and words of command lines: only what can be one is taken
 * from a server that may be anybody's. */
static bool may_be_named(struct report *r, const char *namespace, const char *pod)
{
    struct err e = ERR_INIT;
    if (check_name("namespace of a pod", namespace, &e) < 0 ||
        check_name("name of a pod", pod, &e) < 0) {
        put_failure(r, "pods", &e);
        return false;
    }
    return true;
}

static bool was_restarted(const struct value *pod)
{
    const struct value *list = value_at(pod, "status.containerStatuses");
    for (size_t i = 0; i < value_len(list); i++) {
        const struct value *restarts = value_at(&list->array.at[i], "restartCount");
        if (restarts && restarts->type == VALUE_INT && restarts->integer > 0) {
            return true;
        }
    }
    return false;
}

static void collect_pod_logs(struct report *r, const char *namespace, const struct value *object)
{
    const char *pod = arena_str(r->cluster->arena, value_string_at(object, "metadata.name")).ptr;
    if (!may_be_named(r, namespace, pod)) {
        return;
    }
    AUTO(free) char *now = mem_printf("control-plane/%s.log", pod);
    AUTO(free) char *before = mem_printf("control-plane/%s-previous.log", pod);
    put_kubectl(r, now, "logs -n %s %s --all-containers --prefix", namespace, pod);
    if (was_restarted(object)) {
        put_kubectl(r, before, "logs -n %s %s --all-containers --prefix --previous", namespace,
                    pod);
    }
}

static void collect_control_plane(struct report *r)
{
    static const char *const apps[] = {"osm-controller", "osm-injector", "osm-bootstrap"};
    const char *namespace = r->cluster->osm_namespace;
    put_kubectl(r, "control-plane/objects.yaml",
                "get deployments,replicasets,pods,services,endpointslices,configmaps,leases,"
                "serviceaccounts -n %s -o yaml",
                namespace);
    put_kubectl(r, "control-plane/events.txt", "get events -n %s --sort-by=.lastTimestamp",
                namespace);
    for (size_t i = 0; i < COUNT_OF(apps); i++) {
        struct value *pods = NULL;
        struct err e = ERR_INIT;
        if (mesh_pods(r->cluster, namespace, apps[i], &pods, &e) < 0) {
            AUTO(free) char *name = mem_printf("control-plane/%s.log", apps[i]);
            put_failure(r, name, &e);
        }
        for (size_t k = 0; k < value_len(pods); k++) {
            collect_pod_logs(r, namespace, &pods->array.at[k]);
        }
    }
}

static void collect_envoy(struct report *r, const char *namespace, const char *pod)
{
    static const char *const pages[] = {"config_dump", "ready",     "stats",
                                        "clusters",    "listeners", "certs"};
    AUTO(forward_stop) struct forward f = {0};
    struct err e = ERR_INIT;
    AUTO(free) char *target = mem_printf("pod/%s", pod);
    if (forward_start(namespace, target, PORT_ENVOY_ADMIN, 0, &f, &e) < 0) {
        AUTO(free) char *name = mem_printf("apps/%s/%s/envoy", namespace, pod);
        put_failure(r, name, &e);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        AUTO(free) char *name = mem_printf("apps/%s/%s/%s", namespace, pod, pages[i]);
        struct buf text;
        if (forward_ask(&f, NULL, pages[i], &text, &e) < 0) {
            put_failure(r, name, &e);
        } else {
            put(r, name, buf_str(&text));
        }
        buf_done(&text);
    }
}

static void collect_pod(struct report *r, const char *namespace, const char *pod)
{
    if (!may_be_named(r, namespace, pod)) {
        return;
    }
    AUTO(free) char *yaml = mem_printf("apps/%s/%s/pod.yaml", namespace, pod);
    AUTO(free) char *log = mem_printf("apps/%s/%s/envoy.log", namespace, pod);
    printf("[+] Pod %s/%s\n", namespace, pod);
    put_kubectl(r, yaml, "get pod -n %s %s -o yaml", namespace, pod);
    put_kubectl(r, log, "logs -n %s %s -c envoy", namespace, pod);
    collect_envoy(r, namespace, pod);
}

/* Pods with a sidecar, of a namespace or with NULL of all. */
static void collect_pods(struct report *r, const char *namespace, const char *selector)
{
    struct value *pods = NULL;
    struct err e = ERR_INIT;
    struct cluster *c = r->cluster;
    const char *query =
        selector ? label_query(c, LABEL_PROXY ",%s", selector) : label_query(c, LABEL_PROXY);
    if (cluster_list(c, core_path(c, "pods", namespace, NULL, query), &pods, &e) < 0) {
        put_failure(r, "apps/pods", &e);
        return;
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        const struct value *pod = &pods->array.at[i];
        collect_pod(r, arena_str(c->arena, value_string_at(pod, "metadata.namespace")).ptr,
                    arena_str(c->arena, value_string_at(pod, "metadata.name")).ptr);
    }
}

static void collect_namespace(struct report *r, const char *namespace)
{
    AUTO(free) char *objects = mem_printf("apps/%s/objects.yaml", namespace);
    AUTO(free) char *events = mem_printf("apps/%s/events.txt", namespace);
    put_kubectl(r, objects,
                "get deployments,statefulsets,daemonsets,jobs,services,endpointslices,"
                "serviceaccounts -n %s -o yaml",
                namespace);
    put_kubectl(r, events, "get events -n %s --sort-by=.lastTimestamp", namespace);
}

static void collect_deployment(struct report *r, const struct object_name *name)
{
    struct value *d = NULL;
    struct err e = ERR_INIT;
    struct cluster *c = r->cluster;
    struct kube_request q = {.path = kube_path_of(c->arena, "apps/v1", "deployments",
                                                  str_of(name->namespace), str_of(name->name), NULL,
                                                  NULL)};
    if (cluster_do(c, &q, &d, &e) < 0) {
        put_failure(r, "apps/deployment", &e);
        return;
    }
    AUTO(buf_done) struct buf selector;
    buf_init(&selector, 4096);
    const struct value *labels = value_at(d, "spec.selector.matchLabels");
    for (size_t i = 0; labels && labels->type == VALUE_OBJECT && i < labels->object.len; i++) {
        const struct member *m = &labels->object.at[i];
        if (m->value.type == VALUE_STRING) {
            buf_printf(&selector, "%s%.*s=%.*s", i > 0 ? "," : "", STR_ARG(m->key),
                       STR_ARG(m->value.string));
        }
    }
    collect_pods(r, name->namespace, selector.len > 0 ? selector.data : NULL);
}

static int collect_apps(struct report *r, struct err *e)
{
    struct object_name name;
    VEC_EACH(app_namespaces, ns) {
        if (check_name("--app-namespaces", *ns, e) < 0) {
            return -1;
        }
        collect_namespace(r, *ns);
        collect_pods(r, *ns, NULL);
    }
    VEC_EACH(app_deployments, text) {
        if (object_name_parse(*text, "default", "Deployment", &name, e) < 0) {
            return -1;
        }
        collect_deployment(r, &name);
    }
    VEC_EACH(app_pods, text) {
        if (object_name_parse(*text, "default", "pod", &name, e) < 0) {
            return -1;
        }
        collect_pod(r, name.namespace, name.name);
    }
    if (all) {
        collect_pods(r, NULL, NULL);
    }
    return 0;
}

/* --- the archive --- */

static int pack(const struct report *r, const char *archive, struct err *e)
{
    AUTO(argv_done) struct argv a = {0};
    AUTO(buf_done) struct buf out, err;
    AUTO(free) char *tar = program_find("tar", "OSM_TAR", "a package of every distribution", e);
    buf_init(&out, 4096);
    buf_init(&err, 65536);
    if (!tar) {
        return -1;
    }
    argv_add(&a, "%s", tar);
    argv_add(&a, "-czf");
    argv_add(&a, "%s", archive);
    argv_add(&a, "-C");
    argv_add(&a, "%s", r->folder);
    argv_add(&a, ".");
    int code = program_run(&a, &out, &err, e);
    return code == 0 ? 0
           : code < 0
               ? -1
               : err_set(e, "can't write %s: %.*s", archive, STR_ARG(str_trim(buf_str(&err))));
}

int support_bug_report_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    const char *tmp = getenv("TMPDIR");
    tmp = tmp && tmp[0] ? tmp : "/tmp";
    AUTO(free) char *folder = mem_printf("%s/osm-bug-report-XXXXXX", tmp);
    struct report r = {.cluster = &c, .folder = folder};
    if (cluster_open(&c, e) < 0 || cluster_answers(&c, e) < 0) {
        return -1;
    }
    program_hold_interrupts();
    if (!mkdtemp(folder)) {
        return err_errno(e, "can't make a folder like %s", folder);
    }
    AUTO(free)
    char *archive = out_file && out_file[0] ? mem_strdup(out_file)
                                            : mem_printf("%s_osm-bug-report.tar.gz", folder);
    printf("[+] The mesh's objects, and what osm says of it\n");
    collect_mesh(&r);
    printf("[+] The control plane in namespace %s\n", c.osm_namespace);
    collect_control_plane(&r);
    int result = collect_apps(&r, e);
    result = result < 0 || program_interrupted() ? -1 : pack(&r, archive, e);
    state_remove(folder, NULL);
    if (program_interrupted()) {
        return err_set(e, "interrupted");
    }
    if (result == 0) {
        printf("[+] Bug report: %s (%zu files, %zu that couldn't be had). Look through it before "
               "you give it to somebody\n",
               archive, r.files, r.failures);
    }
    return result < 0 ? -1 : EXIT_OK;
}
