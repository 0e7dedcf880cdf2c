/* Watches by number; each may interest several roots, as inotify has one for each folder. */
#include "source/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/map.h"
#include "base/vec.h"

enum { EVENT_BYTES = 16384 };

#define FOLDER_EVENTS                                                                              \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define FILE_EVENTS (IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

struct interest {
    size_t root;
    char *path;   /* of the folder, or of the file to tell of */
    char *only;   /* NULL: all names */
    bool is_file; /* what happens is told as the file's */
};

struct watch {
    VEC(struct interest) interests;
};

struct watcher {
    struct watcher_callbacks callbacks;
    size_t n_roots;
    int fd;
    struct loop_watch *readable;
    struct map watches; /* number -> watch */
};

static struct str wd_key(const int *wd)
{
    return (struct str){(const char *)wd, sizeof(*wd)};
}

static void watch_free(void *arg)
{
    struct watch *x = arg;
    VEC_EACH(x->interests, i) {
        free(i->path);
        free(i->only);
    }
    VEC_DONE(x->interests);
    free(x);
}

/* A folder that is watched for all its names and, as another root's parent, for one: both hold. */
static bool interested(const struct watch *x, size_t root, const char *path, const char *only)
{
    for (size_t i = 0; i < x->interests.len; i++) {
        const struct interest *at = &x->interests.at[i];
        bool same_names = only ? at->only && strcmp(at->only, only) == 0 : !at->only;
        if (at->root == root && same_names && strcmp(at->path, path) == 0) {
            return true;
        }
    }
    return false;
}

static bool add(struct watcher *w, const char *where, uint32_t events, struct interest i)
{
    int wd = inotify_add_watch(w->fd, where, events | IN_MASK_ADD);
    if (wd < 0) {
        return false;
    }
    struct watch *x = map_find(&w->watches, wd_key(&wd));
    if (!x) {
        x = NEW(struct watch);
        map_put(&w->watches, wd_key(&wd), x);
    }
    if (!interested(x, i.root, i.path, i.only)) {
        VEC_PUSH(x->interests, (struct interest){i.root, mem_strdup(i.path),
                                                 i.only ? mem_strdup(i.only) : NULL, i.is_file});
    }
    return true;
}

bool watcher_folder(struct watcher *w, size_t root, const char *folder, const char *only)
{
    return add(w, folder, FOLDER_EVENTS,
               (struct interest){root, (char *)folder, (char *)only, false});
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? mem_strdup("/")
           : slash       ? mem_memdup(path, (size_t)(slash - path))
                         : mem_strdup(".");
}

/* What a link points to may go and come back: its folder tells. */
static void add_target(struct watcher *w, size_t root, const char *link)
{
    char target[PATH_MAX];
    ssize_t n = readlink(link, target, sizeof(target) - 1);
    if (n <= 0) {
        return;
    }
    target[n] = '\0';
    char *slash = strrchr(target, '/');
    AUTO(free) char *from = folder_of(link);
    AUTO(free) char *to = folder_of(target);
    AUTO(free) char *folder = target[0] == '/' ? mem_strdup(to) : mem_printf("%s/%s", from, to);
    add(w, folder, FOLDER_EVENTS,
        (struct interest){root, (char *)link, slash ? slash + 1 : target, true});
}

bool watcher_file(struct watcher *w, size_t root, const char *path)
{
    add_target(w, root, path);
    return add(w, path, FILE_EVENTS, (struct interest){root, (char *)path, NULL, true});
}

static void tell(struct watcher *w, const struct interest *i, const struct inotify_event *event)
{
    if (i->is_file && i->only && (event->len == 0 || strcmp(event->name, i->only) != 0)) {
        return;
    }
    if (i->is_file) {
        w->callbacks.file(w->callbacks.arg, i->root, i->path);
        return;
    }
    if (i->only && (event->len == 0 || strcmp(event->name, i->only) != 0) &&
        !(event->mask & (IN_DELETE_SELF | IN_MOVE_SELF))) {
        /* A link in the way to the one name, as in a mounted ConfigMap, may have been swapped. */
        if (event->len == 0 || event->name[0] != '.') {
            return;
        }
    }
    /* Folders come and go with all they hold; hidden names may be links that others go through. */
    if (event->len == 0 || (event->mask & IN_ISDIR) || event->name[0] == '.') {
        w->callbacks.walk(w->callbacks.arg, i->root);
        return;
    }
    AUTO(free) char *path = mem_printf("%s/%s", i->path, event->name);
    w->callbacks.file(w->callbacks.arg, i->root, path);
}

static void on_event(struct watcher *w, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        for (size_t i = 0; i < w->n_roots; i++) {
            w->callbacks.walk(w->callbacks.arg, i);
        }
        return;
    }
    struct watch *x = map_find(&w->watches, wd_key(&event->wd));
    if (!x) {
        return;
    }
    /* The callbacks may add interests to this very watch. */
    size_t n = x->interests.len;
    for (size_t i = 0; i < n && !(event->mask & IN_IGNORED); i++) {
        struct interest copy = x->interests.at[i];
        tell(w, &copy, event);
    }
    if (event->mask & IN_IGNORED) {
        watch_free(map_remove(&w->watches, wd_key(&event->wd)));
    }
}

static void on_readable(void *arg, int events)
{
    struct watcher *w = arg;
    char bytes[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(w->fd, bytes, sizeof(bytes))) > 0) {
        for (char *at = bytes; at < bytes + n;) {
            const struct inotify_event *event = (const struct inotify_event *)at;
            at += sizeof(*event) + event->len;
            on_event(w, event);
        }
    }
    w->callbacks.batch(w->callbacks.arg);
}

int watcher_new(struct loop *loop, const struct watcher_callbacks *callbacks, size_t n_roots,
                struct watcher **ret, struct err *e)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 && errno == EMFILE) {
        return err_set(e, "no more inotify instances for this user: raise the sysctl "
                          "fs.inotify.max_user_instances");
    }
    if (fd < 0) {
        return err_errno(e, "inotify_init1");
    }
    struct watcher *w = NEW(struct watcher);
    w->callbacks = *callbacks;
    w->n_roots = n_roots;
    w->fd = fd;
    w->readable = loop_watch_new(loop, fd, LOOP_READ, on_readable, w);
    *ret = w;
    return 0;
}

void watcher_free(struct watcher *w)
{
    if (w) {
        loop_watch_free(w->readable);
        close(w->fd);
        map_done(&w->watches, watch_free);
        free(w);
    }
}
