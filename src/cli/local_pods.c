/* osm local logs, exec and proxy get: one pod. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/local.h"
#include "local/join.h"
#include "local/logs.h"
#include "net/http_client.h"

enum { FOLLOW_MS = 200 };

static const char *container;
static bool follow;
enum { TAIL_MAX = 1000000 };
static int64_t tail_lines = TAIL_MAX;

const struct flag local_logs_flags[] = {
    {"container", 'c', FLAG_STRING, "NAME", "which container (the first; envoy: the sidecar)",
     &container},
    {"follow", 0, FLAG_BOOL, NULL, "go on with what is written from now on", &follow},
    {"tail", 0, FLAG_NUMBER, "LINES", "only the last ones", &tail_lines, .max = TAIL_MAX},
    {0},
};

const struct flag local_exec_flags[] = {
    {"container", 'c', FLAG_STRING, "NAME", "whose user and files to have (the first)", &container},
    {0},
};

/* The container that is meant: by --container, else the first. */
static int find_container(const struct value *pod, const struct value **ret, struct err *e)
{
    const struct value *list = value_at(pod, "containers");
    for (size_t i = 0; i < value_len(list); i++) {
        if (!container || str_is(value_string_at(&list->array.at[i], "name"), container)) {
            *ret = &list->array.at[i];
            return 0;
        }
    }
    return err_set(e, "pod %.*s/%.*s has no container \"%s\"",
                   STR_ARG(value_string_at(pod, "namespace")),
                   STR_ARG(value_string_at(pod, "name")), container ? container : "");
}

static int find_pod(struct state *s, struct arena *a, const char *name, const struct value **ret,
                    struct err *e)
{
    const struct value *status;
    return local_open_running(s, e) < 0 || local_status(s, false, a, &status, e) < 0
               ? -1
               : local_find_pod(status, name, ret, e);
}

/* --- logs --- */

/* Prints what is added to the file, until the mesh ends; a file that shrank was begun anew. */
static void follow_file(const struct state *s, const char *path, long at)
{
    while (state_daemon(s) != 0 && !ferror(stdout)) {
        FILE *f = fopen(path, "re");
        char block[8192];
        if (f && fseek(f, 0, SEEK_END) == 0 && ftell(f) < at) {
            at = 0;
        }
        if (f && fseek(f, at, SEEK_SET) == 0) {
            for (size_t n; (n = fread(block, 1, sizeof(block), f)) > 0;) {
                fwrite(block, 1, n, stdout);
                at += (long)n;
            }
        }
        if (f) {
            fclose(f);
        }
        fflush(stdout);
        usleep(FOLLOW_MS * 1000);
    }
}

static char *log_path(const struct state *s, const struct value *pod, struct str name)
{
    return state_path(s, "pods/%.*s_%.*s/logs/%.*s.log", STR_ARG(value_string_at(pod, "namespace")),
                      STR_ARG(value_string_at(pod, "name")), STR_ARG(name));
}

/* That of --container, also of an init container; else of the first container. */
static char *find_log(const struct state *s, const struct value *pod, struct err *e)
{
    const struct value *c;
    if (container && !strchr(container, '/')) {
        AUTO(free) char *path = log_path(s, pod, str_of(container));
        if (access(path, F_OK) == 0) {
            return TAKE(path);
        }
    }
    return find_container(pod, &c, e) < 0 ? NULL : log_path(s, pod, value_string_at(c, "name"));
}

int local_logs_run(const struct args *args, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const struct value *pod;
    if (find_pod(&s, a, args->at[0], &pod, e) < 0) {
        return -1;
    }
    AUTO(free) char *path = find_log(&s, pod, e);
    if (!path) {
        return -1;
    }
    struct buf text;
    buf_init(&text, LOG_FILE_BYTES + 65536);
    log_tail(path, (int)tail_lines, &text);
    fwrite(text.data, 1, text.len, stdout);
    buf_done(&text);
    if (follow) {
        FILE *f = fopen(path, "re");
        long at = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
        if (f) {
            fclose(f);
        }
        follow_file(&s, path, at);
    }
    return EXIT_OK;
}

/* --- exec --- */

int local_exec_run(const struct args *args, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const struct value *pod, *c;
    if (find_pod(&s, a, args->at[0], &pod, e) < 0 || find_container(pod, &c, e) < 0) {
        return -1;
    }
    const struct value *pid = value_member(c, "pid");
    if (!pid || pid->type != VALUE_INT || pid->integer <= 0) {
        return err_set(e, "container \"%.*s\" of pod %s doesn't run: %.*s",
                       STR_ARG(value_string_at(c, "name")), args->at[0],
                       STR_ARG(value_string_at(pod, "reason")));
    }
    int code;
    return join_run((pid_t)pid->integer, args->at + 1, args->len - 1, &code, e) < 0 ? -1 : code;
}

/* --- proxy get --- */

int local_proxy_get_run(const struct args *args, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const struct value *pod;
    if (find_pod(&s, a, args->at[1], &pod, e) < 0) {
        return -1;
    }
    const char *query = args->at[0];
    AUTO(free) char *page = mem_printf("%s%s", query[0] == '/' ? "" : "/", query);
    AUTO(free) char *encoded = http_encode(page);
    AUTO(free)
    char *target =
        mem_printf("/proxy?pod=%.*s/%.*s&path=%s", STR_ARG(value_string_at(pod, "namespace")),
                   STR_ARG(value_string_at(pod, "name")), encoded);
    struct buf answer;
    int status = local_ask(&s, "GET", target, STR(""), &answer, e);
    int result = EXIT_OK;
    if (status == 200) {
        fwrite(answer.data, 1, answer.len, stdout);
    } else if (status > 0) {
        result = err_set(e, "%.*s", STR_ARG(str_trim(buf_str(&answer))));
    } else {
        result = -1;
    }
    buf_done(&answer);
    return result;
}
