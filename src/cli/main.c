/* osm: the command of people who run the mesh; as kubectl-osm also a plugin of kubectl. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/complete.h"

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "osm";
    if (strcmp(name, "kubectl-osm") == 0) {
        osm_set_name("kubectl osm");
    } else if (strcmp(name, "kubectl_complete-osm") == 0) {
        /* kubectl asks the plugin so; what comes after ":" is for its shells' scripts: no files. */
        complete_line(osm_root(), &(struct args){(const char *const *)argv + 1, (size_t)argc - 1});
        printf(":4\n");
        return 0;
    }
    return command_run(osm_root(), argc, argv);
}
