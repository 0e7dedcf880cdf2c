/* The commands: each has a file, and a row in the table of commands.c. */
#ifndef OSM_CLI_COMMANDS_H
#define OSM_CLI_COMMANDS_H

#include "base/command.h"

const struct command *osm_root(void);
/* The program's name in help: "osm", or "kubectl osm" for the plugin. */
void osm_set_name(const char *name);

#define COMMAND_RUN(name) int name##_run(const struct args *args, struct err *e)

COMMAND_RUN(check);
COMMAND_RUN(complete);
COMMAND_RUN(completion);
COMMAND_RUN(dashboard);
COMMAND_RUN(env);
COMMAND_RUN(install);
COMMAND_RUN(man);
COMMAND_RUN(mesh_list);
COMMAND_RUN(mesh_upgrade);
COMMAND_RUN(metrics_disable);
COMMAND_RUN(metrics_enable);
COMMAND_RUN(namespace_add);
COMMAND_RUN(namespace_ignore);
COMMAND_RUN(namespace_list);
COMMAND_RUN(namespace_remove);
COMMAND_RUN(policy_check_conflicts);
COMMAND_RUN(policy_check_pods);
COMMAND_RUN(proxy_get);
COMMAND_RUN(proxy_set);
COMMAND_RUN(proxy_status);
COMMAND_RUN(support_bug_report);
COMMAND_RUN(support_error_info);
COMMAND_RUN(uninstall_mesh);
COMMAND_RUN(verify_connectivity);
COMMAND_RUN(verify_control_plane);
COMMAND_RUN(verify_ingress);
COMMAND_RUN(version);

extern const struct flag bug_report_flags[], check_flags[], dashboard_flags[], env_flags[],
    error_info_flags[], install_flags[], man_flags[], mesh_list_flags[], mesh_upgrade_flags[],
    metrics_flags[], namespace_add_flags[], namespace_list_flags[], namespace_remove_flags[],
    policy_check_conflicts_flags[], policy_check_pods_flags[], proxy_get_flags[],
    proxy_status_flags[], uninstall_mesh_flags[], verify_connectivity_flags[],
    verify_control_plane_flags[], verify_ingress_flags[], version_flags[];

#endif
