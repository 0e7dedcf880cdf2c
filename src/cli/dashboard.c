/* osm dashboard: Grafana of the mesh, in a browser. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/forward.h"
#include "cli/meshes.h"

static int64_t local_port = 3000, remote_port = 3000;
static bool open_browser = true;

const struct flag dashboard_flags[] = {
    {"local-port", 'p', FLAG_NUMBER, "PORT", "port of this machine", &local_port, .min = 1,
     .max = 65535},
    {"remote-port", 'r', FLAG_NUMBER, "PORT", "port of the service osm-grafana", &remote_port,
     .min = 1, .max = 65535},
    {"open-browser", 'b', FLAG_BOOL, NULL, "open a browser", &open_browser},
    {0},
};

static void browse(const char *url)
{
    AUTO(argv_done) struct argv a = {0};
    AUTO(buf_done) struct buf out, err;
    struct err e = ERR_INIT;
    AUTO(free) char *program = program_find("xdg-open", "BROWSER", "package xdg-utils", &e);
    buf_init(&out, 4096);
    buf_init(&err, 4096);
    if (program) {
        argv_add(&a, "%s", program);
        argv_add(&a, "%s", url);
        if (program_run(&a, &out, &err, &e) == 0) {
            return;
        }
    }
    printf("No browser could be opened; open %s yourself\n", url);
}

/* Until a Ctrl-C, or until kubectl ends. */
static int wait_end(const struct forward *f, struct err *e)
{
    char piece[4096];
    program_hold_interrupts();
    while (!program_interrupted()) {
        ssize_t n = read(f->program.out, piece, sizeof(piece));
        if (n == 0 && !program_interrupted()) {
            return err_set(e, "the connection to osm-grafana ended");
        }
    }
    return EXIT_OK;
}

int dashboard_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    AUTO(forward_stop) struct forward f = {0};
    struct value *service = NULL;
    if (cluster_open(&c, e) < 0) {
        return -1;
    }
    int found = cluster_find(&c, core_path(&c, "services", c.osm_namespace, "osm-grafana", NULL),
                             &service, e);
    if (found <= 0) {
        return found < 0
                   ? -1
                   : err_set(e,
                             "there is no service osm-grafana in namespace [%s]; deploy it with: "
                             "osm mesh upgrade --set osm.deployGrafana=true",
                             c.osm_namespace);
    }
    if (forward_start(c.osm_namespace, "service/osm-grafana", (uint16_t)remote_port,
                      (uint16_t)local_port, &f, e) < 0) {
        return -1;
    }
    AUTO(free) char *url = mem_printf("http://localhost:%u", f.local_port);
    printf("[+] Grafana is at %s until you press Ctrl-C\n", url);
    fflush(stdout);
    if (open_browser) {
        browse(url);
    }
    return wait_end(&f, e);
}
