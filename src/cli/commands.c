/* The table of commands. */
#include "cli/commands.h"

#include "cli/cluster.h"
#include "cli/complete.h"
#include "cli/config.h"
#include "cli/local.h"

static const struct command mesh_commands[] = {
    {.name = "list",
     .summary = "List the meshes of the cluster",
     .flags = mesh_list_flags,
     .run = mesh_list_run},
    {.name = "upgrade",
     .summary = "Upgrade the control plane of a mesh",
     .help =
         "Runs helm with the chart that osm carries. Values begin from the chart's own; what was\n"
         "set at the install and isn't repeated here goes back to its default. MeshConfig stays\n"
         "as it is.\n"
         "\n"
         "  osm mesh upgrade --mesh-name osm --set osm.controllerLogLevel=warn",
     .flags = mesh_upgrade_flags,
     .run = mesh_upgrade_run,
     .unavailable = cli_config_managed},
    {0},
};

static const struct command uninstall_commands[] = {
    {.name = "mesh",
     .aliases = "delete del",
     .summary = "Remove the control plane of a mesh",
     .help =
         "Asks before each mesh, unless -f is given. Namespaces leave the mesh; pods keep their\n"
         "sidecars until they are restarted. CRDs and policies stay for a later install, unless\n"
         "-a is given: it removes them with every policy object of the cluster.",
     .flags = uninstall_mesh_flags,
     .run = uninstall_mesh_run,
     .unavailable = cli_config_managed},
    {0},
};

static const struct command namespace_commands[] = {
    {.name = "add",
     .arguments = "NAMESPACE...",
     .summary = "Let namespaces join a mesh",
     .help =
         "New pods of the namespaces get a sidecar. Pods that run get theirs when they are made\n"
         "anew, for instance by: kubectl rollout restart deployment -n NAMESPACE",
     .flags = namespace_add_flags,
     .min_args = 1,
     .max_args = SIZE_MAX,
     .complete = complete_namespaces,
     .run = namespace_add_run},
    {.name = "remove",
     .arguments = "NAMESPACE",
     .summary = "Let a namespace leave its mesh",
     .help = "Pods that run already keep their sidecar, which is told nothing new and whose\n"
             "certificate isn't renewed: make them anew before it ends.",
     .flags = namespace_remove_flags,
     .min_args = 1,
     .max_args = 1,
     .complete = complete_namespaces,
     .run = namespace_remove_run},
    {.name = "ignore",
     .arguments = "NAMESPACE...",
     .summary = "Keep namespaces out of every mesh",
     .min_args = 1,
     .max_args = SIZE_MAX,
     .complete = complete_namespaces,
     .run = namespace_ignore_run},
    {.name = "list",
     .arguments = "[MESH]",
     .summary = "List the namespaces of one mesh, or of all",
     .flags = namespace_list_flags,
     .max_args = 1,
     .run = namespace_list_run},
    {0},
};

static const struct command metrics_commands[] = {
    {.name = "enable",
     .summary = "Let Prometheus scrape the sidecars of namespaces",
     .flags = metrics_flags,
     .run = metrics_enable_run},
    {.name = "disable",
     .summary = "Let Prometheus no longer scrape the sidecars of namespaces",
     .flags = metrics_flags,
     .run = metrics_disable_run},
    {0},
};

static const struct command proxy_commands[] = {
    {.name = "get",
     .arguments = "QUERY POD",
     .summary = "Print a page of the Envoy of a pod",
     .help = "  osm proxy get config_dump bookbuyer-7f9c -n bookbuyer\n"
             "  osm proxy get 'stats?filter=upstream_rq' bookbuyer-7f9c -n bookbuyer -f stats.txt",
     .flags = proxy_get_flags,
     .min_args = 2,
     .max_args = 2,
     .complete = complete_page_and_pod,
     .run = proxy_get_run},
    {.name = "set",
     .arguments = "QUERY POD",
     .summary = "Send a command to the Envoy of a pod",
     .help = "  osm proxy set 'logging?level=debug' bookbuyer-7f9c -n bookbuyer",
     .flags = proxy_get_flags,
     .min_args = 2,
     .max_args = 2,
     .complete = complete_page_and_pod,
     .run = proxy_set_run},
    {.name = "status",
     .arguments = "[[NAMESPACE/]POD...]",
     .summary = "Show which sidecars have their configuration, and why others don't",
     .help =
         "synced: has all that it should have. stale: an update is on its way. refused: Envoy\n"
         "didn't take a part, and keeps the last good one. disconnected: it isn't connected to\n"
         "any controller. The exit code is 0 when all are synced, 1 when not.",
     .flags = proxy_status_flags,
     .max_args = SIZE_MAX,
     .complete = complete_pods,
     .run = proxy_status_run},
    {0},
};

static const struct command policy_commands[] = {
    {.name = "check-pods",
     .arguments = "SOURCE DESTINATION",
     .summary = "Say whether one pod may call another",
     .help = "Pods are NAMESPACE/NAME, or NAME in the namespace default.\n"
             "\n"
             "  osm policy check-pods bookbuyer/bookbuyer-7f9c bookstore/bookstore-5d8b",
     .flags = policy_check_pods_flags,
     .min_args = 2,
     .max_args = 2,
     .complete = complete_pods,
     .run = policy_check_pods_run},
    {.name = "check-conflicts",
     .arguments = "KIND",
     .summary = "Find policies that claim the same thing; KIND is IngressBackend",
     .help = "  osm policy check-conflicts IngressBackend -n bookstore",
     .flags = policy_check_conflicts_flags,
     .min_args = 1,
     .max_args = 1,
     .run = policy_check_conflicts_run},
    {0},
};

static const struct command verify_commands[] = {
    {.name = "connectivity",
     .summary = "Check what is set up for calls from a pod to a pod or to the outside",
     .help =
         "  osm verify connectivity --from-pod curl/curl-7bb5 --to-pod httpbin/httpbin-69dc \\\n"
         "      --to-service httpbin\n"
         "  osm verify connectivity --from-pod curl/curl-7bb5 --to-ext-host httpbin.org \\\n"
         "      --to-ext-port 80",
     .flags = verify_connectivity_flags,
     .run = verify_connectivity_run},
    {.name = "ingress",
     .summary = "Check what is set up for calls from an ingress gateway to a pod",
     .flags = verify_ingress_flags,
     .run = verify_ingress_run},
    {.name = "control-plane",
     .aliases = "control-plane-health",
     .summary = "Check that the pods of the control plane are ready and answer",
     .run = verify_control_plane_run},
    {0},
};

static const struct command support_commands[] = {
    {.name = "bug-report",
     .summary = "Collect what is needed to find out what is wrong, into an archive",
     .help =
         "Objects, logs and sidecars' configuration; no Secrets. Look through it before you give\n"
         "it to somebody.",
     .flags = bug_report_flags,
     .run = support_bug_report_run},
    {.name = "error-info",
     .arguments = "[CODE]",
     .summary = "Explain error codes, such as E1000, that logs and metrics have",
     .flags = error_info_flags,
     .max_args = 1,
     .complete = complete_error_codes,
     .run = support_error_info_run},
    {0},
};

static const struct command commands[] = {
    {.name = "install",
     .summary = "Install a mesh into the cluster",
     .help =
         "Runs helm with the chart that osm carries; the release is named after the mesh. Returns\n"
         "when the control plane is ready.\n"
         "\n"
         "  osm install\n"
         "  osm install --mesh-name shop --osm-namespace shop-mesh \\\n"
         "      --set osm.enablePermissiveTrafficPolicy=false",
     .flags = install_flags,
     .run = install_run,
     .unavailable = cli_config_managed},
    {.name = "uninstall", .summary = "Remove a mesh", .children = uninstall_commands},
    {.name = "mesh", .summary = "List and upgrade meshes", .children = mesh_commands},
    {.name = "namespace",
     .aliases = "ns",
     .summary = "Which namespaces belong to a mesh",
     .children = namespace_commands},
    {.name = "metrics",
     .summary = "Which namespaces' sidecars Prometheus scrapes",
     .children = metrics_commands},
    {.name = "proxy", .summary = "Look at sidecars", .children = proxy_commands},
    {.name = "policy", .summary = "Look at policies", .children = policy_commands},
    {.name = "check",
     .summary = "Check the cluster before an install, and the mesh after it",
     .help =
         "Each line is ok, warn or fail; what isn't ok says what to do. The exit code is 1 when\n"
         "something failed.",
     .flags = check_flags,
     .run = check_run},
    {.name = "verify",
     .summary = "Check that something in particular works",
     .children = verify_commands},
    {.name = "support", .summary = "Help when something is wrong", .children = support_commands},
    {.name = "dashboard",
     .summary = "Open Grafana's dashboards of the mesh",
     .flags = dashboard_flags,
     .run = dashboard_run,
     .unavailable = cli_config_managed},
    {.name = "local",
     .summary = "Run a mesh on this machine, from a folder of manifests",
     .help = "Each pod of the manifests becomes a network namespace with its own address; real\n"
             "Envoys run beside the containers' commands, which come from this machine's files.\n"
             "Needs root.\n"
             "\n"
             "  osm local up -f manifests/ --image shop/web=/usr/local/bin/web --wait\n"
             "  osm local status\n"
             "  osm local down",
     .flags = local_flags,
     .children = local_commands,
     .alone = true},
    {.name = "env", .summary = "Print osm's own configuration", .flags = env_flags, .run = env_run},
    {.name = "version",
     .summary = "Print the versions of osm and of the meshes",
     .flags = version_flags,
     .run = version_run},
    {.name = "completion",
     .arguments = "bash|zsh|fish",
     .summary = "Print the script that completes command lines in a shell",
     .help = "  source <(osm completion bash)",
     .min_args = 1,
     .max_args = 1,
     .run = completion_run},
    {.name = "man",
     .arguments = "[COMMAND...]",
     .summary = "Print the manual page of a command",
     .help = "  osm man namespace add | man -l -",
     .flags = man_flags,
     .max_args = COMMAND_DEPTH_MAX,
     .run = man_run},
    {.name = "__complete",
     .summary = "What may stand at the end of a line",
     .max_args = SIZE_MAX,
     .run = complete_run,
     .hidden = true},
    {0},
};

static struct command root = {
    .name = "osm",
    .summary = "A service mesh for Kubernetes and for one machine, configured with SMI",
    .flags = cluster_flags,
    .children = commands,
};

const struct command *osm_root(void)
{
    return &root;
}

void osm_set_name(const char *name)
{
    root.name = name;
}
