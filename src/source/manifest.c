/* Reading one file. */
#include "source/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"

bool manifest_name(const char *name)
{
    static const char *const suffixes[] = {".yaml", ".yml", ".json"};
    struct str s = str_of(name);
    if (s.len == 0 || name[0] == '.' || name[0] == '#') {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        if (str_ends(s, suffixes[i])) {
            return true;
        }
    }
    return false;
}

uint64_t manifest_digest(const char *path, struct str text)
{
    return hash_mix(hash_str(str_of(path)), hash_str(text)) | 1;
}

struct manifest *manifest_new(size_t root, const char *path)
{
    struct manifest *m = NEW(struct manifest);
    m->root = root;
    m->path = mem_strdup(path);
    return m;
}

void manifest_free(struct manifest *m)
{
    if (!m) {
        return;
    }
    VEC_EACH(m->objects, o) {
        object_unref(*o);
    }
    VEC_DONE(m->objects);
    findings_done(&m->findings);
    free(m->path);
    free(m);
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The whole file; what is wrong with it goes to f. NULL: unreadable. */
static char *read_all(int fd, const char *path, size_t *ret_len, struct findings *f)
{
    size_t len = 0, cap = 1 << 16;
    char *text = mem_alloc(cap);
    for (;;) {
        if (len == cap) {
            cap *= 2;
            text = mem_realloc(text, cap);
        }
        ssize_t n = read(fd, text + len, cap - len);
        if (n == 0) {
            *ret_len = len;
            return text;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            findings_add(f, FINDING_ERROR, path, 0, NULL, "can't be read: %s", strerror(errno));
            break;
        }
        len += (size_t)n;
        if (len > LIMIT_FILE_BYTES) {
            findings_add(f, FINDING_ERROR, path, 0, NULL,
                         "is larger than %u MiB, which is the most that is read; split it",
                         LIMIT_FILE_BYTES >> 20);
            break;
        }
    }
    free(text);
    return NULL;
}

struct reading {
    object_vec objects;
};

static void take(void *arg, struct object *o)
{
    struct reading *r = arg;
    VEC_PUSH(r->objects, o);
}

static bool same_object(const struct object *a, const struct object *b)
{
    return a->kind == b->kind && str_eq(a->meta.namespace, b->meta.namespace) &&
           str_eq(a->meta.name, b->meta.name);
}

static bool defines(const object_vec *v, const struct object *o)
{
    VEC_EACH(*v, x) {
        if (same_object(*x, o)) {
            return true;
        }
    }
    return false;
}

/* Objects that are as they were, also in their place: as whoever else has them keeps those before,
 * the new ones would be kept twice. */
static void keep_same(const struct manifest *m, struct reading *r)
{
    for (size_t i = 0; i < m->objects.len && i < r->objects.len; i++) {
        struct object *old = m->objects.at[i], **now = &r->objects.at[i];
        if (same_object(old, *now) && old->hash == (*now)->hash && old->line == (*now)->line) {
            object_unref(*now);
            *now = object_ref(old);
        }
    }
}

/* Takes over what was read; with errors, also what the file had and doesn't define now: nobody can
 * say whether it was meant to go. */
static void take_over(struct manifest *m, struct reading *r, bool broken, object_vec *before)
{
    for (size_t i = 0; i < m->objects.len; i++) {
        struct object *o = m->objects.at[i];
        if (broken && !defines(&r->objects, o)) {
            VEC_PUSH(r->objects, object_ref(o));
        }
        VEC_PUSH(*before, o);
    }
    VEC_DONE(m->objects);
    for (size_t i = 0; i < r->objects.len; i++) {
        VEC_PUSH(m->objects, r->objects.at[i]);
    }
    VEC_DONE(r->objects);
}

/* What it had stays. */
static enum manifest_change refuse(struct manifest *m, struct findings *f)
{
    findings_done(&m->findings);
    m->findings = *f;
    m->digest = 0;
    return MANIFEST_SAME;
}

enum manifest_change manifest_read(struct manifest *m, bool force, object_vec *before)
{
    struct stat st;
    struct findings f = {0};
    /* A FIFO must not stop us. */
    AUTO_FD int fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return MANIFEST_GONE;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        findings_add(&f, FINDING_ERROR, m->path, 0, NULL, "can't be read: %s", strerror(errno));
        return refuse(m, &f);
    }
    if (!S_ISREG(st.st_mode)) {
        return MANIFEST_GONE;
    }
    if (!force && same_stat(&st, &m->seen_stat)) {
        return MANIFEST_SAME;
    }
    size_t len = 0;
    AUTO(free) char *text = read_all(fd, m->path, &len, &f);
    if (!text) {
        return refuse(m, &f);
    }
    m->seen_stat = st;
    uint64_t digest = manifest_digest(m->path, (struct str){text, len});
    if (digest == m->digest) {
        return MANIFEST_SAME;
    }
    struct reading r = {0};
    bool broken = objects_read((struct str){text, len}, m->path, take, &r, &f) < 0;
    keep_same(m, &r);
    take_over(m, &r, broken, before);
    findings_done(&m->findings);
    m->findings = f;
    m->digest = digest;
    return MANIFEST_CHANGED;
}
