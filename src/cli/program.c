/* Programs that osm runs. */
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cluster.h"
#include "local/process.h"

static volatile sig_atomic_t interrupted;
static volatile pid_t running; /* 0: none */

void argv_add(struct argv *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    VEC_PUSH(a->list, mem_vprintf(fmt, ap));
    va_end(ap);
}

void argv_done(struct argv *a)
{
    VEC_EACH(a->list, text) {
        free(*text);
    }
    VEC_DONE(a->list);
}

char *program_find(const char *name, const char *env, const char *where_from, struct err *e)
{
    const char *named = getenv(env);
    bool is_named = named && named[0];
    char *absolute = is_named && strchr(named, '/') ? realpath(named, NULL) : NULL;
    char *path = process_find(absolute ? absolute : is_named ? named : name);
    free(absolute);
    if (!path && is_named) {
        err_set(e, "$%s: expected a program, found \"%s\"", env, named);
    } else if (!path) {
        err_set(e, "this needs %s, which isn't in PATH; install it (%s) or set %s to its path",
                name, where_from, env);
    }
    return path;
}

/* The program with the flags that name the same cluster as ours. */
static int cluster_argv(struct argv *a, const char *path, const char *context_flag)
{
    if (!path) {
        return -1;
    }
    argv_add(a, "%s", path);
    if (cluster_kubeconfig()) {
        argv_add(a, "--kubeconfig=%s", cluster_kubeconfig());
    }
    if (cluster_context()) {
        argv_add(a, "%s=%s", context_flag, cluster_context());
    }
    return 0;
}

int helm_argv(struct argv *a, struct err *e)
{
    AUTO(free)
    char *path = program_find("helm", "OSM_HELM", "https://helm.sh/docs/intro/install", e);
    return cluster_argv(a, path, "--kube-context");
}

int kubectl_argv(struct argv *a, struct err *e)
{
    AUTO(free)
    char *path =
        program_find("kubectl", "OSM_KUBECTL", "https://kubernetes.io/docs/tasks/tools", e);
    return cluster_argv(a, path, "--context");
}

/* --- starting --- */

/* In the child; only calls that are safe after a fork. */
static void become(char *const *argv, const int fds[2], const sigset_t *signals)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, signals, NULL);
    if ((fds[0] >= 0 && dup2(fds[0], 1) < 0) || (fds[1] >= 0 && dup2(fds[1], 2) < 0)) {
        _exit(127);
    }
    execv(argv[0], argv);
    _exit(127);
}

/* fds: what becomes its stdout and stderr; -1: ours. */
static pid_t start(const struct argv *a, const int fds[2], struct err *e)
{
    char **argv = mem_array(NULL, a->list.len + 1, sizeof(*argv));
    for (size_t i = 0; i < a->list.len; i++) {
        argv[i] = a->list.at[i];
    }
    argv[a->list.len] = NULL;
    sigset_t signals;
    sigprocmask(SIG_SETMASK, NULL, &signals);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, fds, &signals);
    }
    free(argv);
    if (pid < 0) {
        err_errno(e, "can't start %s", a->list.at[0]);
    }
    return pid;
}

static void close_both(int pipe_fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (pipe_fds[i] >= 0) {
            close(pipe_fds[i]);
        }
        pipe_fds[i] = -1;
    }
}

int program_start(const struct argv *a, struct program *ret, struct err *e)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
        close_both(out);
        return err_errno(e, "can't make a pipe");
    }
    pid_t pid = start(a, (const int[2]){out[1], err[1]}, e);
    if (pid < 0) {
        close_both(out);
        close_both(err);
        return -1;
    }
    close(out[1]);
    close(err[1]);
    *ret = (struct program){.pid = pid, .out = out[0], .err = err[0]};
    return 0;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void program_stop(struct program *p)
{
    if (p->pid > 0) {
        kill(p->pid, SIGTERM);
        close(p->out);
        close(p->err);
        wait_for(p->pid);
    }
    *p = (struct program){0};
}

/* --- running to the end --- */

/* A terminal sends Ctrl-C to the program too; SIGTERM it gets from us. */
static void on_interrupt(int signo)
{
    interrupted = 1;
    if (signo == SIGTERM && running > 0) {
        kill(running, SIGTERM);
    }
}

void program_hold_interrupts(void)
{
    struct sigaction ours = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &ours, NULL);
    sigaction(SIGTERM, &ours, NULL);
}

bool program_interrupted(void)
{
    return interrupted != 0;
}

void program_forget_interrupts(void)
{
    interrupted = 0;
}

/* false at its end. */
static bool read_some(int fd, struct buf *to)
{
    char piece[4096];
    ssize_t n = read(fd, piece, sizeof(piece));
    if (n > 0) {
        buf_add(to, piece, (size_t)n);
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

static void read_all(struct program *p, struct buf *out, struct buf *err)
{
    struct pollfd fds[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
    struct buf *to[2] = {out, err};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents != 0 && !read_some(fds[i].fd, to[i])) {
                fds[i].fd = -1;
            }
        }
    }
}

int program_run(const struct argv *a, struct buf *out, struct buf *err, struct err *e)
{
    struct program p = {0};
    if (interrupted) {
        return err_set(e, "interrupted");
    }
    if (out && err) {
        if (program_start(a, &p, e) < 0) {
            return -1;
        }
        running = p.pid;
        read_all(&p, out, err);
        close(p.out);
        close(p.err);
    } else if ((p.pid = start(a, (const int[2]){-1, -1}, e)) < 0) {
        return -1;
    }
    running = p.pid;
    int code = wait_for(p.pid);
    running = 0;
    return code == 127 ? err_set(e, "can't run %s", a->list.at[0]) : code;
}
