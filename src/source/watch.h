/* inotify: which paths may have changed. */
#ifndef OSM_SOURCE_WATCH_H
#define OSM_SOURCE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "net/loop.h"

struct watcher;

struct watcher_callbacks {
    /* A file in a folder, by name, may be new, different or gone. */
    void (*file)(void *arg, size_t root, const char *path);
    /* Something in the root that can't be told from one file's name: walk it again. */
    void (*walk)(void *arg, size_t root);
    /* After all events of one wake-up. */
    void (*batch)(void *arg);
    void *arg;
};

int watcher_new(struct loop *loop, const struct watcher_callbacks *callbacks, size_t n_roots,
                struct watcher **ret, struct err *e);
void watcher_free(struct watcher *w);

/* Watches what a root has in a folder; only: the one name that counts there, or NULL. Watching what
 * is watched already does nothing. False with errno when it can't be (gone, no more watches). */
bool watcher_folder(struct watcher *w, size_t root, const char *folder, const char *only);
/* Watches a file where it really is, also for its return: for symbolic links, whose folder tells
 * nothing. */
bool watcher_file(struct watcher *w, size_t root, const char *path);

#endif
