/* osm-preinstall: run before an install. Says why a mesh can't be installed here, in one sentence,
 * before anything was changed. */
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "daemon/flags.h"
#include "daemon/patience.h"

#define OLDEST_MINOR 29

static struct {
    const char *verbosity, *kubeconfig, *namespace;
    bool enforce_single_mesh;
} flags = {.verbosity = "info", .namespace = "osm-system", .enforce_single_mesh = true};

/* --- other meshes --- */

struct search {
    struct arena *arena;
    const char *here;   /* namespace of the install */
    struct str other;   /* "MESH in namespace NS" of any mesh */
    struct str single;  /* of one that wants to be alone */
    struct str present; /* of one in this namespace */
};

static struct str label(const struct value *item, const char *key)
{
    const struct value *v = value_member(value_at(item, "metadata.labels"), key);
    return v && v->type == VALUE_STRING ? v->string : (struct str){0};
}

static void look(void *arg, struct value *item)
{
    struct search *s = arg;
    struct str ns = value_string_at(item, "metadata.namespace"), mesh = label(item, "meshName");
    struct str found =
        arena_printf(s->arena, "mesh \"%.*s\" in namespace %.*s", STR_ARG(mesh), STR_ARG(ns));
    if (str_is(ns, s->here)) {
        s->present = found;
        return;
    }
    s->other = found;
    if (str_is(label(item, "enforceSingleMesh"), "true")) {
        s->single = found;
    }
}

static int check_meshes(struct kube_client *client, struct arena *a, struct err *e)
{
    struct search s = {.arena = a, .here = flags.namespace};
    /* osm-controller of every mesh, also of those that Open Service Mesh installed. */
    const char *path =
        kube_path(a, KIND_DEPLOYMENT, STR(""), STR(""), "labelSelector=app%3Dosm-controller");
    if (kube_list(client, path, look, &s, e) < 0) {
        return -1;
    }
    if (s.present.len) {
        return err_set(e,
                       "there is a control plane already: %.*s; install into another namespace, or "
                       "upgrade that one",
                       STR_ARG(s.present));
    }
    if (s.single.len) {
        return err_set(e,
                       "%.*s was installed with enforceSingleMesh, so that no other may be "
                       "installed beside it; uninstall it, or set enforceSingleMesh=false there",
                       STR_ARG(s.single));
    }
    if (flags.enforce_single_mesh && s.other.len) {
        return err_set(e,
                       "this mesh wants to be the only one (enforceSingleMesh), and there is %.*s; "
                       "uninstall that, or set osm.enforceSingleMesh=false",
                       STR_ARG(s.other));
    }
    return 0;
}

/* --- what an earlier mesh left --- */

struct leftovers {
    struct kube_client *client;
    struct arena *arena;
};

/* Is there a control plane in the namespace that the webhook's service is in? */
static bool is_served(struct leftovers *l, struct str namespace)
{
    struct kube_request q = {
        .path = kube_path(l->arena, KIND_DEPLOYMENT, namespace, STR("osm-controller"), NULL)};
    struct err e = ERR_INIT;
    return kube_do(l->client, &q, l->arena, NULL, &e) != 404;
}

static void look_at_webhook(void *arg, struct value *item)
{
    struct leftovers *l = arg;
    const struct value *hooks = value_member(item, "webhooks");
    if (value_len(hooks) == 0) {
        return;
    }
    struct str ns = value_string_at(&hooks->array.at[0], "clientConfig.service.namespace");
    if (ns.len == 0 || str_is(ns, flags.namespace) || is_served(l, ns)) {
        return;
    }
    struct str kind = value_string_at(item, "kind"), name = value_string_at(item, "metadata.name");
    log_event(LOG_WARN,
              "left by a mesh that is gone: the API server refuses what it would ask this webhook; "
              "delete it",
              "kind", arena_str(l->arena, kind).ptr, "name", arena_str(l->arena, name).ptr,
              "namespace", arena_str(l->arena, ns).ptr, NULL);
}

/* They don't keep a mesh from being installed. */
static void warn_of_leftovers(struct kube_client *client, struct arena *a)
{
    static const char *const plurals[] = {"mutatingwebhookconfigurations",
                                          "validatingwebhookconfigurations"};
    for (size_t i = 0; i < COUNT_OF(plurals); i++) {
        struct leftovers l = {client, a};
        struct err e = ERR_INIT;
        const char *path =
            kube_path_of(a, "admissionregistration.k8s.io/v1", plurals[i], STR(""), STR(""), NULL,
                         "labelSelector=app.kubernetes.io%2Fname%3Dopenservicemesh.io");
        if (kube_list(client, path, look_at_webhook, &l, &e) < 0) {
            log_event(LOG_WARN, "can't look for webhooks of earlier meshes", "reason", e.text,
                      NULL);
        }
    }
}

/* --- the server --- */

static int check_version(struct kube_client *client, struct err *e)
{
    int major, minor;
    if (kube_server_version(client, &major, &minor, e) < 0) {
        return -1;
    }
    if (major < 1 || (major == 1 && minor < OLDEST_MINOR)) {
        return err_set(e, "expected Kubernetes 1.%d or later, found %d.%d; upgrade the cluster",
                       OLDEST_MINOR, major, minor);
    }
    return 0;
}

static int check(struct kube_client *client, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    /* The first that is asked, so the one that waits for a server which isn't up. */
    struct kube_request q = {.path = "/version"};
    int status = patient_do(client, &q, false, a, NULL, e);
    if (status < 0 || status >= 400) {
        return -1;
    }
    if (check_version(client, e) < 0 || check_meshes(client, a, e) < 0) {
        return -1;
    }
    warn_of_leftovers(client, a);
    return 0;
}

static int run(const struct args *args, struct err *e)
{
    struct kube_config *config = NULL;
    struct kube_config_options options = {.kubeconfig = flags.kubeconfig};
    struct daemon_flags common = {.verbosity = flags.verbosity};
    const char *human = getenv("OSM_HUMAN_DEBUG_LOG");
    signal(SIGPIPE, SIG_IGN);
    log_set_component("osm-preinstall");
    log_set_json(!(human && strcmp(human, "true") == 0));
    daemon_log_level(&common, (struct str){0});
    if (kube_config_load(&options, &config, e) < 0) {
        return -1;
    }
    struct kube_client *client = kube_client_new(config, NULL);
    int result = check(client, e);
    kube_client_free(client);
    if (result == 0) {
        log_event(LOG_INFO, "a mesh can be installed", "namespace", flags.namespace, NULL);
    }
    return result == 0 ? EXIT_OK : -1;
}

static const struct flag flag_table[] = {
    {.name = "verbosity",
     .letter = 'v',
     .type = FLAG_STRING,
     .value = "trace|debug|info|warn|error|fatal|panic|disabled",
     .help = "log level",
     .to = &flags.verbosity},
    DAEMON_FLAG_TEXT("kubeconfig", "FILE", "where the API server is (a pod: its service account)",
                     flags.kubeconfig),
    DAEMON_FLAG_TEXT("namespace", "NAME", "namespace that the mesh is to be installed into",
                     flags.namespace),
    {.name = "enforce-single-mesh",
     .type = FLAG_BOOL,
     .help = "refuse when there is another mesh in the cluster",
     .to = &flags.enforce_single_mesh},
    {0},
};

static const struct command root = {
    .name = "osm-preinstall",
    .summary = "Tells whether a mesh can be installed",
    .help = "Looks for other meshes and at the API server's version. Exits with 1 and a sentence\n"
            "that says why when a mesh can't be installed; changes nothing.",
    .flags = flag_table,
    .run = run,
};

int main(int argc, char **argv)
{
    return command_run(&root, argc, argv);
}
