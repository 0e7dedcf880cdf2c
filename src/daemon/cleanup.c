/* osm-cleanup: run after an uninstall. What the control plane made while it ran belongs to no
 * release of a chart, and would stay: webhook configurations that point nowhere and refuse every
 * pod of the mesh's namespaces, the MeshConfig, the root certificate, leases. */
#include <signal.h>
#include <string.h>

#include "base/command.h"
#include "base/log.h"
#include "daemon/flags.h"
#include "kube/client.h"

static struct daemon_flags common = DAEMON_FLAGS_DEFAULTS;
static const char *webhook_config, *validator_config;

struct remains {
    const char *group_version, *plural;
    bool cluster_wide;
    const char *name;
    /* Somebody may have brought his own; that stays. */
    bool only_if_made;
};

static bool was_made(const struct value *object)
{
    const struct value *labels = value_at(object, "metadata.labels");
    const struct value *name = value_member(labels, "app.kubernetes.io/name");
    return name && name->type == VALUE_STRING && str_is(name->string, "openservicemesh.io");
}

/* The request's status; 404 isn't an error: the kind may be gone too. */
static int ask(struct kube_client *client, const struct kube_request *q, struct arena *a,
               struct value **ret, struct err *e)
{
    struct err why = ERR_INIT;
    int status = kube_do(client, q, a, ret, &why);
    return status == 404 || (status >= 0 && status < 400) ? status : err_set(e, "%s", why.text);
}

static int remove_one(struct kube_client *client, const struct remains *r, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct str namespace = str_of(r->cluster_wide ? "" : common.osm_namespace);
    struct kube_request q = {.path = kube_path_of(a, r->group_version, r->plural, namespace,
                                                  str_of(r->name), NULL, NULL)};
    const char *what = "removed";
    struct value *found = NULL;
    int status = r->only_if_made ? ask(client, &q, a, &found, e) : 0;
    if (status < 0) {
        return -1;
    }
    if (found && status != 404 && !was_made(found)) {
        what = "left alone, as the mesh didn't make it";
    } else {
        q.method = "DELETE";
        status = ask(client, &q, a, NULL, e);
        what = status == 404 ? "not there" : what;
    }
    if (status >= 0) {
        log_event(LOG_INFO, what, "kind", r->plural, "name", r->name, NULL);
    }
    return status < 0 ? -1 : 0;
}

/* All that can go goes, whatever fails; the error is the last one's. */
static int remove_all(struct kube_client *client, struct err *e)
{
    const struct remains all[] = {
        {"admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", true, webhook_config},
        {"admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", true,
         validator_config},
        {"config.openservicemesh.io/v1alpha2", "meshconfigs", false, common.osm_config_name},
        {"config.openservicemesh.io/v1alpha2", "meshrootcertificates", false,
         "osm-mesh-root-certificate"},
        {"v1", "secrets", false, common.ca_bundle_secret_name, .only_if_made = true},
        {"coordination.k8s.io/v1", "leases", false, "osm-controller"},
        {"coordination.k8s.io/v1", "leases", false, "osm-bootstrap"},
    };
    int result = 0;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct err why = ERR_INIT;
        if (remove_one(client, &all[i], &why) < 0) {
            result = err_set(e, "not everything is removed: %s", why.text);
            log_event(LOG_ERROR, "not removed", "kind", all[i].plural, "name", all[i].name,
                      "reason", why.text, NULL);
        }
    }
    return result;
}

static int run(const struct args *args, struct err *e)
{
    struct kube_config_options options = {.kubeconfig = common.kubeconfig};
    struct kube_config *config = NULL;
    signal(SIGPIPE, SIG_IGN);
    log_set_component("osm-cleanup");
    log_set_json(true);
    daemon_log_level(&common, (struct str){0});
    if (kube_config_load(&options, &config, e) < 0) {
        return -1;
    }
    struct kube_client *client = kube_client_new(config, NULL);
    int result = remove_all(client, e);
    kube_client_free(client);
    return result;
}

static const struct flag flags[] = {
    {.name = "verbosity",
     .letter = 'v',
     .type = FLAG_STRING,
     .value = "trace|debug|info|warn|error|fatal|panic|disabled",
     .help = "log level (info)",
     .to = &common.verbosity},
    DAEMON_FLAG_TEXT("kubeconfig", "FILE", "where the API server is (a pod: its service account)",
                     common.kubeconfig),
    DAEMON_FLAG_TEXT("osm-namespace", "NAME", "namespace of the control plane",
                     common.osm_namespace),
    DAEMON_FLAG_TEXT("osm-config-name", "NAME", "name of the MeshConfig", common.osm_config_name),
    DAEMON_FLAG_TEXT("ca-bundle-secret-name", "NAME",
                     "Secret with the mesh's root; stays when it wasn't made by the mesh",
                     common.ca_bundle_secret_name),
    {.name = "webhook-config-name",
     .type = FLAG_STRING,
     .value = "NAME",
     .help = "name of the MutatingWebhookConfiguration",
     .to = &webhook_config,
     .required = true},
    {.name = "validator-webhook-config",
     .type = FLAG_STRING,
     .value = "NAME",
     .help = "name of the ValidatingWebhookConfiguration",
     .to = &validator_config,
     .required = true},
    {0},
};

static const struct command root = {
    .name = "osm-cleanup",
    .summary = "Removes what a mesh's control plane made, once that is uninstalled",
    .help = "Webhook configurations, the MeshConfig, the root certificate and leases. Definitions\n"
            "of custom resources stay, and with them every policy.",
    .flags = flags,
    .run = run,
};

int main(int argc, char **argv)
{
    return command_run(&root, argc, argv);
}
