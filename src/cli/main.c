/* osm: the command of people who run the mesh. */
#include <signal.h>
#include <stdio.h>

#include "cli/local.h"

static int run_version(const struct args *args, struct err *e)
{
    printf("osm %s\n", OSM_VERSION);
    return EXIT_OK;
}

static const struct command commands[] = {
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
     .children = local_commands},
    {.name = "version", .summary = "Print the version", .run = run_version},
    {0},
};

static const struct command root = {
    .name = "osm",
    .summary = "A service mesh for Kubernetes and for one machine, configured with SMI",
    .children = commands,
};

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    return command_run(&root, argc, argv);
}
