/* Running a command beside a container. */
#include "local/join.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/vec.h"
#include "local/process.h"
#include "local/state.h"

static volatile sig_atomic_t joined;

static void pass_on(int signo)
{
    if (joined > 0) {
        kill((pid_t)joined, signo);
    }
}

static int read_proc(struct arena *a, pid_t pid, const char *what, struct str *ret, struct err *e)
{
    AUTO(buf_done) struct buf text;
    AUTO(free) char *path = mem_printf("/proc/%d/%s", (int)pid, what);
    buf_init(&text, LIMIT_DOC_BYTES);
    if (state_read(path, &text, e) < 0) {
        return -1;
    }
    *ret = arena_str(a, buf_str(&text));
    return 0;
}

/* A line such as "CapBnd:	00000000a80425fb" of /proc/PID/status. */
static unsigned long long field(struct str status, const char *name, int base)
{
    const char *at = strstr(status.ptr, name);
    return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

static char **environment(struct arena *a, struct str block)
{
    VEC(char *) list = {0};
    for (size_t i = 0; i < block.len; i += strlen(block.ptr + i) + 1) {
        VEC_PUSH(list, (char *)block.ptr + i);
    }
    char **out = arena_array(a, list.len + 1, sizeof(*out));
    if (list.len > 0) {
        memcpy(out, list.at, list.len * sizeof(*out));
    }
    VEC_DONE(list);
    return out;
}

static int options_of(struct arena *a, pid_t pid, const struct namespaces *ns,
                      struct process_options *ret, struct err *e)
{
    struct str status, env;
    if (read_proc(a, pid, "status", &status, e) < 0 || read_proc(a, pid, "environ", &env, e) < 0) {
        return -1;
    }
    *ret = (struct process_options){.ns = ns,
                                    .envp = environment(a, env),
                                    .uid = (uid_t)field(status, "\nUid:", 10),
                                    .gid = (gid_t)field(status, "\nGid:", 10),
                                    .capabilities = field(status, "\nCapBnd:", 16),
                                    .attached = true};
    return 0;
}

static int wait_for(pid_t pid)
{
    int status;
    joined = pid;
    signal(SIGINT, pass_on);
    signal(SIGTERM, pass_on);
    signal(SIGHUP, pass_on);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int join_run(pid_t pid, const char *const *argv, size_t argc, int *ret_code, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    struct namespaces ns;
    struct process_options o;
    pid_t child;
    namespaces_init(&ns);
    AUTO(free) char *program = process_find(argv[0]);
    if (!program) {
        return err_set(e, "expected a program of this machine, found no executable file \"%s\"",
                       argv[0]);
    }
    char **line = arena_array(a, argc + 1, sizeof(*line));
    line[0] = program;
    for (size_t i = 1; i < argc; i++) {
        line[i] = (char *)argv[i];
    }
    int result = namespaces_open(&ns, pid, e) < 0 || options_of(a, pid, &ns, &o, e) < 0 ? -1 : 0;
    if (result == 0) {
        o.argv = line;
        result = process_start(&o, &child, e);
    }
    if (result == 0) {
        *ret_code = wait_for(child);
    }
    namespaces_done(&ns);
    return result;
}
