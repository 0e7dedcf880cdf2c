/* Who wants to know when a child process ends. */
#include <sys/wait.h>

#include "local/children.h"

void children_add(struct children *c, pid_t pid, void (*fn)(void *arg, int status), void *arg)
{
    VEC_PUSH(c->list, (struct child){pid, fn, arg});
}

void children_forget(struct children *c, const void *arg)
{
    VEC_EACH(c->list, child) {
        if (child->arg == arg) {
            child->fn = NULL;
        }
    }
}

void children_reap(struct children *c)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < c->list.len; i++) {
            if (c->list.at[i].pid == pid) {
                struct child child = c->list.at[i];
                VEC_REMOVE(c->list, i);
                if (child.fn) {
                    child.fn(child.arg, status);
                }
                break;
            }
        }
    }
}

void children_done(struct children *c)
{
    VEC_DONE(c->list);
}
