/* The folder that a local mesh lives in, and files in it: <base>/<name>, for root only.
 *
 *   ca.yaml            root certificate and key, 0600
 *   objects/           documents that the runtime makes: pods, endpoints, services with addresses
 *   applied/           what `osm local apply` gave, one file an object
 *   run.json           options of the last `up`
 *   daemon.pid         "<pid> <start time>", locked while the runtime runs
 *   daemon.log         its log
 *   control.sock       its API; controller.sock: that of osm-controller
 *   pods/<ns>_<name>/  etc/, volumes/, logs/, scratch/
 */
#ifndef OSM_LOCAL_STATE_H
#define OSM_LOCAL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define STATE_BASE_DEFAULT "/run/osm-local"

struct state {
    char *base, *name, *dir;
};

/* Checks the name (it becomes part of paths and of network links' names). */
int state_init(struct state *s, const char *base, const char *name, struct err *e);
void state_done(struct state *s);
bool state_exists(const struct state *s);
/* Makes the folder and those in it. */
int state_make(const struct state *s, struct err *e);
/* "<dir>/<what>"; free() it. */
char *state_path(const struct state *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whole or not at all: a new file takes the old one's place. */
int state_write(const char *path, struct str text, mode_t mode, struct err *e);
/* Appends the file's text; a missing one is an error. */
int state_read(const char *path, struct buf *out, struct err *e);
/* Deletes a folder and all in it; absent is fine; doesn't follow links or cross file systems. */
int state_remove(const char *path, struct err *e);
int state_make_dir(const char *path, mode_t mode, struct err *e);

/* When a process started, in clock ticks after boot: tells it from a later one with its number. 0
 * when there is no such process. */
unsigned long long state_process_start(pid_t pid);
/* The runtime's process, 0 when it doesn't run. */
pid_t state_daemon(const struct state *s);

/* Who holds the lock may start the runtime, be it, or take the folder away. It stays with the
 * descriptor and those that children get from it. *ret is -1 when another process has it. */
int state_lock(const struct state *s, int *ret, struct err *e);
/* Says that the calling process, or what it becomes by exec, is the runtime. */
int state_sign(int lock, struct err *e);
/* The runtime gets its lock from who started it, as this descriptor. */
enum { STATE_LOCK_FD = 3 };
int state_inherit(const struct state *s, struct err *e);

#endif
