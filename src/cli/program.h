/* Programs that osm runs: helm, kubectl, a browser. */
#ifndef OSM_CLI_PROGRAM_H
#define OSM_CLI_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

/* Arguments as they are collected; each is owned by the list. */
struct argv {
    VEC(char *) list;
};
void argv_add(struct argv *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void argv_done(struct argv *a);
static inline __attribute__((unused)) void argv_done_auto(struct argv *a)
{
    argv_done(a);
}

/* The program's path: from the environment variable, else by its name in PATH. The error says how
 * to get it. */
char *program_find(const char *name, const char *env, const char *where_from, struct err *e);

/* helm and kubectl with the flags that name the same cluster as ours. */
int helm_argv(struct argv *a, struct err *e);
int kubectl_argv(struct argv *a, struct err *e);

/* Runs it to its end. out and err, when not NULL, take what it writes (up to their maximum); else
 * that goes where ours goes. Returns its exit code, 128 + the signal that ended it, or -1 when it
 * didn't start. */
int program_run(const struct argv *a, struct buf *out, struct buf *err, struct err *e);

/* Starts it with its stdout in a pipe and its stderr in another; it ends when we do. */
struct program {
    pid_t pid;
    int out, err;
};
int program_start(const struct argv *a, struct program *ret, struct err *e);
void program_stop(struct program *p); /* ends and reaps it; a zeroed one is passed over */

/* From here on a Ctrl-C or SIGTERM doesn't end us: it ends the program that runs, or the next one
 * isn't started. For what must be cleaned up. */
void program_hold_interrupts(void);
bool program_interrupted(void);
/* The next one is started all the same: it undoes what was broken off. */
void program_forget_interrupts(void);

#endif
