/* osm local down. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/local.h"
#include "local/runtime.h"

enum { DOWN_MS = 20000, KILLED_MS = 5000 };

static bool wait_gone(const struct state *s, int64_t ms)
{
    int64_t end = clock_mono_ms() + ms;
    while (state_daemon(s) != 0) {
        if (clock_mono_ms() >= end) {
            return false;
        }
        usleep(20000);
    }
    return true;
}

/* Asks it to end; kills it when it doesn't: its pods end with it, however it ended. */
static int end_daemon(const struct state *s, struct err *e)
{
    struct err none = ERR_INIT;
    struct buf answer;
    int status = local_ask(s, "POST", "/down", STR(""), &answer, &none);
    buf_done(&answer);
    if (status == 200 && wait_gone(s, DOWN_MS)) {
        return 0;
    }
    pid_t pid = state_daemon(s);
    if (pid > 0) {
        kill(pid, SIGKILL);
    }
    return wait_gone(s, KILLED_MS)
               ? 0
               : err_set(e, "the mesh's process %d doesn't end; try again", (int)pid);
}

/* Ends the runtime, also one that is just being started; who starts one from now on waits. */
static int shut(const struct state *s, int *lock, struct err *e)
{
    AUTO(free) char *path = state_path(s, "daemon.pid");
    int64_t end = clock_mono_ms() + DOWN_MS;
    while (access(path, F_OK) == 0) {
        if (state_daemon(s) != 0 && end_daemon(s, e) < 0) {
            return -1;
        }
        if (state_lock(s, lock, e) < 0) {
            return -1;
        }
        if (*lock >= 0) {
            return 0;
        }
        if (clock_mono_ms() >= end) {
            return err_set(e, "another command starts or ends mesh \"%s\"; try again", s->name);
        }
        usleep(20000);
    }
    return 0;
}

int local_down_run(const struct args *args, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    AUTO_FD int lock = -1;
    int links = 0;
    if (local_open(&s, e) < 0) {
        return -1;
    }
    bool existed = state_exists(&s);
    if (shut(&s, &lock, e) < 0) {
        return -1;
    }
    if (runtime_remove_links(&s, &links, e) < 0 || state_remove(s.dir, e) < 0) {
        return -1;
    }
    rmdir(s.base); /* unless another mesh is in it */
    printf(existed || links > 0 ? "mesh \"%s\" is gone\n" : "mesh \"%s\" doesn't run\n", s.name);
    return EXIT_OK;
}
