/* The folder of a local mesh. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "local/state.h"

enum { NAME_MAX_BYTES = 40 };

int state_init(struct state *s, const char *base, const char *name, struct err *e)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= NAME_MAX_BYTES && isalnum((unsigned char)name[0]);
    for (const char *p = name; *p; p++) {
        good = good && (islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '-');
    }
    if (!good) {
        return err_set(e,
                       "--name: expected at most %d lower-case letters, digits and \"-\", found "
                       "\"%s\"",
                       NAME_MAX_BYTES, name);
    }
    if (base[0] != '/') {
        return err_set(e, "--state-dir: expected an absolute path, found \"%s\"", base);
    }
    s->base = mem_strdup(base);
    s->name = mem_strdup(name);
    s->dir = mem_printf("%s/%s", base, name);
    return 0;
}

void state_done(struct state *s)
{
    free(s->base);
    free(s->name);
    free(s->dir);
    *s = (struct state){0};
}

char *state_path(const struct state *s, const char *fmt, ...)
{
    struct buf out;
    buf_init(&out, LIMIT_CONTROL_REQUEST_BYTES);
    buf_printf(&out, "%s/", s->dir);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&out, fmt, ap);
    va_end(ap);
    return buf_take(&out);
}

bool state_exists(const struct state *s)
{
    struct stat st;
    return lstat(s->dir, &st) == 0;
}

int state_make_dir(const char *path, mode_t mode, struct err *e)
{
    struct stat st;
    if (mkdir(path, mode) < 0 && errno != EEXIST) {
        return err_errno(e, "can't make the folder %s", path);
    }
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
        return err_set(e, "%s: expected a folder that belongs to this user", path);
    }
    return 0;
}

int state_make(const struct state *s, struct err *e)
{
    static const char *const folders[] = {"objects", "applied", "pods"};
    if (state_make_dir(s->base, 0700, e) < 0 || state_make_dir(s->dir, 0700, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        AUTO(free) char *path = state_path(s, "%s", folders[i]);
        if (state_make_dir(path, 0700, e) < 0) {
            return -1;
        }
    }
    return 0;
}

static int write_all(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n > 0) {
            text.ptr += n;
            text.len -= (size_t)n;
        }
    }
    return 0;
}

int state_write(const char *path, struct str text, mode_t mode, struct err *e)
{
    /* Names that begin with "." are passed over by whoever watches the folder. */
    const char *slash = strrchr(path, '/');
    AUTO(free) char *temporary = mem_printf("%.*s/.%s.new", (int)(slash - path), path, slash + 1);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return err_errno(e, "can't write %s", path);
    }
    int result = fchmod(fd, mode) < 0 || write_all(fd, text) < 0 ? -1 : 0;
    int saved = errno;
    if (close(fd) < 0 && result == 0) {
        result = -1;
        saved = errno;
    }
    if (result == 0 && rename(temporary, path) < 0) {
        result = -1;
        saved = errno;
    }
    if (result < 0) {
        unlink(temporary);
        errno = saved;
        return err_errno(e, "can't write %s", path);
    }
    return 0;
}

int state_read(const char *path, struct buf *out, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, "can't read %s", path);
    }
    char piece[16384];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0) {
        buf_add(out, piece, (size_t)n);
    }
    if (n < 0) {
        return err_errno(e, "can't read %s", path);
    }
    if (buf_full(out)) {
        return err_set(e, "%s: expected at most %zu bytes, found more", path, out->max_bytes);
    }
    return 0;
}

static int remove_at(int parent, const char *name, const char *shown, dev_t device, struct err *e)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : err_errno(e, "can't look at %s", shown);
    }
    if (!S_ISDIR(st.st_mode)) {
        return unlinkat(parent, name, 0) < 0 && errno != ENOENT
                   ? err_errno(e, "can't delete %s", shown)
                   : 0;
    }
    if (device != 0 && st.st_dev != device) {
        return err_set(e, "%s: something is mounted here; unmount it with: umount %s", shown,
                       shown);
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        return err_errno(e, "can't list %s", shown);
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            AUTO(free) char *below = mem_printf("%s/%s", shown, entry->d_name);
            result = remove_at(dirfd(dir), entry->d_name, below, st.st_dev, e);
        }
    }
    closedir(dir);
    if (result == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        return err_errno(e, "can't delete %s", shown);
    }
    return result;
}

int state_remove(const char *path, struct err *e)
{
    return remove_at(AT_FDCWD, path, path, 0, e);
}

unsigned long long state_process_start(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    /* The name, in parentheses, may hold anything; field 22 is counted from behind it. One that
     * ended stays listed until its parent asks, which some machines' first process never does. */
    char *at = strrchr(text, ')');
    if (at && (strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0)) {
        return 0;
    }
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtoull(at, NULL, 10) : 0;
}

pid_t state_daemon(const struct state *s)
{
    AUTO(free) char *path = state_path(s, "daemon.pid");
    struct buf text;
    buf_init(&text, 128);
    struct err ignored;
    long pid = 0;
    unsigned long long start = 0;
    if (state_read(path, &text, &ignored) < 0 || !text.data ||
        sscanf(text.data, "%ld %llu", &pid, &start) != 2 || pid <= 0 ||
        state_process_start((pid_t)pid) != start) {
        pid = 0;
    }
    buf_done(&text);
    return (pid_t)pid;
}

/* A lock on a file that was deleted meanwhile keeps nobody out. */
static bool is_pid_file(const struct state *s, int fd)
{
    AUTO(free) char *path = state_path(s, "daemon.pid");
    struct stat open_one, named;
    return fstat(fd, &open_one) == 0 && S_ISREG(open_one.st_mode) && lstat(path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

int state_lock(const struct state *s, int *ret, struct err *e)
{
    AUTO(free) char *path = state_path(s, "daemon.pid");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_errno(e, "can't write %s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_pid_file(s, fd)) {
        close(fd);
        fd = -1;
    }
    *ret = fd;
    return 0;
}

int state_sign(int lock, struct err *e)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "%d %llu\n", (int)getpid(), state_process_start(getpid()));
    return ftruncate(lock, 0) < 0 || pwrite(lock, text, (size_t)n, 0) != n
               ? err_errno(e, "can't write daemon.pid")
               : 0;
}

int state_inherit(const struct state *s, struct err *e)
{
    return is_pid_file(s, STATE_LOCK_FD) && fcntl(STATE_LOCK_FD, F_SETFD, FD_CLOEXEC) == 0
               ? 0
               : err_set(e, "this process is for `osm local up` to start");
}
