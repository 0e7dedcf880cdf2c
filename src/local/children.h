/* Who wants to know when a child process ends. On the loop's thread. */
#ifndef OSM_LOCAL_CHILDREN_H
#define OSM_LOCAL_CHILDREN_H

#include <sys/types.h>

#include "base/vec.h"

struct child {
    pid_t pid;
    void (*fn)(void *arg, int status); /* status as of waitpid */
    void *arg;
};
struct children {
    VEC(struct child) list;
};

void children_add(struct children *c, pid_t pid, void (*fn)(void *arg, int status), void *arg);
/* Nobody is told; the process is still reaped. */
void children_forget(struct children *c, const void *arg);
/* After SIGCHLD: reaps all that ended and tells. */
void children_reap(struct children *c);
void children_done(struct children *c);

#endif
