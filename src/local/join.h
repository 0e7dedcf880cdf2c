/* Running a command beside a container, with the terminal of who asks for it. */
#ifndef OSM_LOCAL_JOIN_H
#define OSM_LOCAL_JOIN_H

#include <sys/types.h>

#include "base/err.h"

/* Runs argv in the namespaces of the process `pid`, as its user, with its environment and
 * capabilities; waits for its end. *ret_code: its exit code, 128 + number when a signal ended it.
 * SIGINT and SIGTERM reach it. */
int join_run(pid_t pid, const char *const *argv, size_t argc, int *ret_code, struct err *e);

#endif
