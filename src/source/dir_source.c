/* Roots, their files, and what happens when one changes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/map.h"
#include "source/catalog.h"
#include "source/source.h"
#include "source/watch.h"

/* A root that is gone is looked for this often. */
enum { RETRY_MS = 500 };

struct root {
    char *path;
    bool is_file;
    bool walk;    /* must be walked again in this batch */
    bool missing; /* was there and isn't now */
    struct map manifests;
    uint64_t digest, told; /* of all manifests, now and as on_change saw them */
};

struct dir_source {
    struct source common;
    struct dir_source_options options;
    struct root *roots;
    struct watcher *watcher;
    struct loop_timer *retry;
    struct catalog *catalog;
    struct findings findings, own; /* all; those of no one file */
    uint64_t findings_hash, generation;
    size_t n_files;
};

static void manifest_free_value(void *m)
{
    manifest_free(m);
}

static void forget_file(struct dir_source *s, struct root *r, struct str path)
{
    struct manifest *m = map_remove(&r->manifests, path);
    if (m) {
        r->digest -= m->digest;
        catalog_remove(s->catalog, m);
        manifest_free(m);
        s->n_files--;
    }
}

/* A file may be new, different or gone. */
static void look_at(struct dir_source *s, size_t root, const char *path, bool force)
{
    struct root *r = &s->roots[root];
    struct manifest *m = map_find(&r->manifests, str_of(path));
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        watcher_file(s->watcher, root, path);
    }
    if (!m) {
        if (s->n_files == LIMIT_SOURCE_FILES) {
            findings_add(&s->own, FINDING_ERROR, path, 0, NULL,
                         "isn't read: there are more than %d files; put objects together",
                         LIMIT_SOURCE_FILES);
            return;
        }
        m = manifest_new(root, path);
        map_put(&r->manifests, str_of(path), m);
        s->n_files++;
        force = true;
    }
    m->generation = s->generation;
    object_vec before = {0};
    uint64_t digest = m->digest;
    enum manifest_change change = manifest_read(m, force, &before);
    r->digest += m->digest - digest;
    switch (change) {
    case MANIFEST_SAME:
        break;
    case MANIFEST_CHANGED:
        if (before.len > 0 || m->objects.len > 0) {
            catalog_replace(s->catalog, m, &before);
        }
        break;
    case MANIFEST_GONE:
        forget_file(s, r, str_of(path));
        break;
    }
    VEC_EACH(before, o) {
        object_unref(*o);
    }
    VEC_DONE(before);
}

/* Watches before it looks, so that nothing falls between. */
static void walk_folder(struct dir_source *s, size_t root, const char *folder, int depth)
{
    if (depth > LIMIT_SOURCE_DEPTH) {
        findings_add(&s->own, FINDING_ERROR, folder, 0, NULL,
                     "isn't read: it is more than %d folders deep", LIMIT_SOURCE_DEPTH);
        return;
    }
    bool watched = watcher_folder(s->watcher, root, folder, NULL);
    DIR *dir = opendir(folder);
    if (!dir && (errno == ENOENT || errno == ENOTDIR)) {
        return;
    }
    if (!dir || !watched) {
        findings_add(&s->own, FINDING_ERROR, folder, 0, NULL, "can't be %s: %s",
                     dir ? "watched" : "read",
                     errno == ENOSPC ? "no more watches: raise the sysctl "
                                       "fs.inotify.max_user_watches"
                                     : strerror(errno));
    }
    struct dirent *x;
    while (dir && (x = readdir(dir))) {
        AUTO(free) char *path = mem_printf("%s/%s", folder, x->d_name);
        struct stat st;
        bool is_folder = x->d_name[0] != '.' && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
        if (is_folder) {
            walk_folder(s, root, path, depth + 1);
        } else if (manifest_name(x->d_name)) {
            look_at(s, root, path, false);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static void sweep(struct dir_source *s, struct root *r)
{
    MAP_EACH(&r->manifests, it) {
        struct manifest *m = it.value;
        if (m->generation != s->generation) {
            forget_file(s, r, it.key);
        }
    }
}

static void on_retry(void *arg);

static void note_missing(struct dir_source *s, struct root *r)
{
    struct stat st;
    r->missing = stat(r->path, &st) < 0 || S_ISDIR(st.st_mode) == r->is_file;
    if (r->missing && !s->retry) {
        s->retry = loop_timer_new(s->options.loop, RETRY_MS, true, on_retry, s);
    }
}

static void walk(struct dir_source *s, size_t root)
{
    struct root *r = &s->roots[root];
    s->generation++;
    r->walk = false;
    if (!r->is_file) {
        walk_folder(s, root, r->path, 0);
    } else {
        char *slash = strrchr(r->path, '/');
        AUTO(free)
        char *folder = slash == r->path ? mem_strdup("/")
                       : slash          ? mem_memdup(r->path, (size_t)(slash - r->path))
                                        : mem_strdup(".");
        watcher_folder(s->watcher, root, folder, slash ? slash + 1 : r->path);
        look_at(s, root, r->path, false);
    }
    sweep(s, r);
    note_missing(s, r);
}

/* --- findings --- */

static int by_path(const void *a, const void *b)
{
    return strcmp((*(const struct manifest *const *)a)->path,
                  (*(const struct manifest *const *)b)->path);
}

/* Of thousands of files few have any. */
static void gather_root(struct dir_source *s, struct root *r)
{
    VEC(const struct manifest *) bad = {0};
    MAP_EACH(&r->manifests, it) {
        const struct manifest *m = it.value;
        if (m->findings.list.len > 0) {
            VEC_PUSH(bad, m);
        }
    }
    if (bad.len > 0) {
        qsort(bad.at, bad.len, sizeof(*bad.at), by_path);
    }
    VEC_EACH(bad, m) {
        findings_append(&s->findings, &(*m)->findings);
    }
    VEC_DONE(bad);
}

static void gather(struct dir_source *s)
{
    findings_done(&s->findings);
    findings_append(&s->findings, &s->own);
    for (size_t i = 0; i < s->options.n_roots; i++) {
        gather_root(s, &s->roots[i]);
        if (s->roots[i].missing) {
            findings_add(&s->findings, FINDING_ERROR, s->roots[i].path, 0, NULL,
                         "is gone, and with it the objects that it defined; put it back");
        }
    }
    catalog_findings(s->catalog, &s->findings);
}

static uint64_t hash_findings(const struct findings *f)
{
    uint64_t h = f->list.len;
    VEC_EACH(f->list, x) {
        AUTO(free) char *text = finding_text(x);
        h = hash_mix(h, hash_str(str_of(text)));
    }
    return h;
}

static void tell_digests(struct dir_source *s)
{
    for (size_t i = 0; i < s->options.n_roots; i++) {
        s->roots[i].told = s->roots[i].digest;
    }
}

static void finish_batch(struct dir_source *s)
{
    bool walked = false;
    for (size_t i = 0; i < s->options.n_roots; i++) {
        walked |= s->roots[i].walk;
    }
    if (walked) {
        findings_done(&s->own);
    }
    for (size_t i = 0; walked && i < s->options.n_roots; i++) {
        walk(s, i);
    }
    gather(s);
    tell_digests(s);
    uint64_t hash = hash_findings(&s->findings);
    if (store_has_changes(s->options.store) || hash != s->findings_hash) {
        s->findings_hash = hash;
        s->options.on_change(s->options.arg);
    }
}

static void on_retry(void *arg)
{
    struct dir_source *s = arg;
    bool missing = false, back = false;
    for (size_t i = 0; i < s->options.n_roots; i++) {
        struct stat st;
        struct root *r = &s->roots[i];
        if (r->missing && stat(r->path, &st) == 0) {
            r->walk = back = true;
        }
        missing |= r->missing && !r->walk;
    }
    if (!missing) {
        loop_timer_free(s->retry);
        s->retry = NULL;
    }
    if (back) {
        finish_batch(s);
    }
}

static void on_file(void *arg, size_t root, const char *path)
{
    struct dir_source *s = arg;
    const char *slash = strrchr(path, '/');
    if (s->roots[root].is_file) {
        /* The path of the event may be written in another way than the root. */
        look_at(s, root, s->roots[root].path, true);
        note_missing(s, &s->roots[root]);
    } else if (manifest_name(slash ? slash + 1 : path)) {
        look_at(s, root, path, true);
    }
}

static void on_walk(void *arg, size_t root)
{
    struct dir_source *s = arg;
    s->roots[root].walk = true;
}

static void on_batch(void *arg)
{
    finish_batch(arg);
}

/* --- start and end --- */

static int add_root(struct root *r, const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return err_errno(e, "%s: can't be read", path);
    }
    r->is_file = !S_ISDIR(st.st_mode);
    if (r->is_file && !S_ISREG(st.st_mode)) {
        return err_set(e, "%s: expected a file or a folder of manifests", path);
    }
    if (access(path, r->is_file ? R_OK : R_OK | X_OK) < 0) {
        return err_errno(e, "%s: can't be read", path);
    }
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    r->path = mem_memdup(path, len);
    return 0;
}

int dir_source_start(const struct dir_source_options *options, struct dir_source **ret,
                     struct err *e)
{
    struct dir_source *s = NEW(struct dir_source);
    s->options = *options;
    s->options.roots = NULL; /* the caller's */
    s->roots = mem_array(NULL, options->n_roots + 1, sizeof(*s->roots));
    memset(s->roots, 0, (options->n_roots + 1) * sizeof(*s->roots));
    s->catalog = catalog_new(options->store);
    int status = 0;
    for (size_t i = 0; i < options->n_roots && status == 0; i++) {
        status = add_root(&s->roots[i], options->roots[i], e);
    }
    struct watcher_callbacks callbacks = {on_file, on_walk, on_batch, s};
    if (status < 0 ||
        watcher_new(options->loop, &callbacks, options->n_roots, &s->watcher, e) < 0) {
        dir_source_free(s);
        return -1;
    }
    for (size_t i = 0; i < options->n_roots; i++) {
        walk(s, i);
    }
    gather(s);
    tell_digests(s);
    s->findings_hash = hash_findings(&s->findings);
    *ret = s;
    return 0;
}

const struct findings *dir_source_findings(const struct dir_source *s)
{
    return &s->findings;
}

uint64_t dir_source_digest(const struct dir_source *s, size_t root)
{
    return s->roots[root].told;
}

void dir_source_free(struct dir_source *s)
{
    if (!s) {
        return;
    }
    loop_timer_free(s->retry);
    watcher_free(s->watcher);
    catalog_free(s->catalog);
    for (size_t i = 0; i < s->options.n_roots; i++) {
        map_done(&s->roots[i].manifests, manifest_free_value);
        free(s->roots[i].path);
    }
    findings_done(&s->findings);
    findings_done(&s->own);
    free(s->roots);
    free(s);
}

static const struct findings *common_findings(const struct source *s)
{
    return dir_source_findings((const struct dir_source *)s);
}

static bool common_in_sync(const struct source *s)
{
    return true;
}

static void common_free(struct source *s)
{
    dir_source_free((struct dir_source *)s);
}

struct source *dir_source_common(struct dir_source *s)
{
    s->common = (struct source){common_findings, common_in_sync, common_free};
    return &s->common;
}
