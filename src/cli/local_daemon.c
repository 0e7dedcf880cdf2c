/* Starting the runtime of a local mesh: the same program as a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/local.h"
#include "local/logs.h"
#include "local/options.h"
#include "local/runtime.h"

enum { START_MS = 15000 };

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

int local_start_daemon(const struct state *s, const struct run_options *o, struct err *e)
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
