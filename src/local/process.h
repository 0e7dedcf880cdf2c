/* Starting a program inside a pod, as a container would: in the pod's namespaces, with its own view
 * of the mounts, its user, few capabilities, an environment of its own, its output in a pipe. */
#ifndef OSM_LOCAL_PROCESS_H
#define OSM_LOCAL_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "local/namespaces.h"

struct process_mount {
    const char *source, *target; /* files or folders; the target is made below /etc */
    bool read_only;
};

struct process_options {
    const struct namespaces *ns;
    char *const *argv, *const *envp; /* argv[0] is a path */
    const char *working_dir;         /* NULL: / */
    uid_t uid;
    gid_t gid;
    uint64_t capabilities; /* bits that stay; PROCESS_CAPABILITIES is what containers have */
    const struct process_mount *mounts;
    size_t n_mounts;
    const char *hidden; /* a folder that must look empty inside, or NULL */
    int out;            /* becomes stdout and stderr; stdin is empty */
    bool attached;      /* it has the caller's input, output and terminal instead */
};

/* chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw,
 * sys_chroot, mknod, audit_write, setfcap: what container engines leave. */
#define PROCESS_CAPABILITIES                                                                       \
    (1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 7 |           \
     1ull << 8 | 1ull << 10 | 1ull << 13 | 1ull << 18 | 1ull << 27 | 1ull << 29 | 1ull << 31)
/* The bit of "NET_ADMIN" and its like; -1 when there is no such capability. */
int process_capability(const char *name);

/* Returns once the program runs, or with the reason why it doesn't. The child is the caller's own:
 * its end comes as SIGCHLD. */
int process_start(const struct process_options *o, pid_t *ret, struct err *e);

/* The executable file of a command on this machine: an absolute path as it is, a bare name through
 * PATH. NULL when there is none; free() the result. */
char *process_find(const char *command);

#endif
