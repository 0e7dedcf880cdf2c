/* A source fills a store and tells when it did. Nothing downstream knows which source it was; there
 * are two, and cluster_source.h is the other.
 *
 * The directory source reads folders and files of manifests and watches them with inotify: edits in
 * place, editors that write a new file and rename it, files and folders that appear and go. A file
 * that turns bad keeps its last good objects and is reported. Runs on its loop's thread (the
 * brain). */
#ifndef OSM_SOURCE_SOURCE_H
#define OSM_SOURCE_SOURCE_H

#include "base/err.h"
#include "doc/findings.h"
#include "net/loop.h"
#include "store/store.h"

/* What all sources have in common; each holds one. */
struct source {
    const struct findings *(*findings)(const struct source *s);
    bool (*in_sync)(const struct source *s);
    void (*free)(struct source *s);
};
/* What is wrong with what was read; borrowed until the next on_change. */
const struct findings *source_findings(const struct source *s);
/* Everything was read once: from now on the store tells the truth. */
bool source_in_sync(const struct source *s);
void source_free(struct source *s); /* takes NULL */

/* Files end in .yaml, .yml or .json; names that begin with "." and those of editors' backups are
 * passed over. Roots are in order of precedence: of two objects with one kind, namespace and name,
 * that of the earlier root counts, silently; within one root that of the first path in byte order
 * counts and the other is an error finding that names both places. An object that bears the
 * annotation `openservicemesh.io/deleted: "true"` hides what later roots have of that name. */
struct dir_source_options {
    struct loop *loop;
    struct store *store;
    const char *const *roots; /* paths of folders or files; a missing root is an error at start */
    size_t n_roots;
    /* Called on the loop after each batch of changes reached the store, also the first. Also called
     * when only the findings changed. */
    void (*on_change)(void *arg);
    void *arg;
};

struct dir_source;

/* Reads everything once before it returns (on_change isn't called for that), then watches. Broken
 * files are findings, not errors. A *missing* or unreadable root is an error. */
int dir_source_start(const struct dir_source_options *options, struct dir_source **ret,
                     struct err *e);
/* What is wrong with the files now; borrowed until the next on_change. */
const struct findings *dir_source_findings(const struct dir_source *s);
/* Tells whether two who read the same root have seen the same: manifest_digest of all its files, as
 * they were at the last on_change. */
uint64_t dir_source_digest(const struct dir_source *s, size_t root);
void dir_source_free(struct dir_source *s);
/* The same source. It is in sync from its start. */
struct source *dir_source_common(struct dir_source *s);

#endif
