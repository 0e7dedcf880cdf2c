/* What a container writes, in a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "local/logs.h"

struct log_file {
    struct loop *loop;
    char *path;
    int fd;
    off_t size;
    int pipe; /* our end; -1: none */
    struct loop_watch *watch;
};

static void open_file(struct log_file *f)
{
    struct stat st;
    f->fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    f->size = f->fd >= 0 && fstat(f->fd, &st) == 0 ? st.st_size : 0;
}

struct log_file *log_file_new(struct loop *loop, const char *path)
{
    struct log_file *f = NEW(struct log_file);
    f->loop = loop;
    f->path = mem_strdup(path);
    f->pipe = -1;
    open_file(f);
    return f;
}

static void rotate(struct log_file *f)
{
    AUTO(free) char *old = mem_printf("%s.1", f->path);
    close(f->fd);
    if (rename(f->path, old) < 0) {
        unlink(f->path);
    }
    open_file(f);
}

static void put(struct log_file *f, const char *text, size_t len)
{
    if (f->fd < 0) {
        open_file(f);
    }
    if (f->fd >= 0 && f->size + (off_t)len > LOG_FILE_BYTES) {
        rotate(f);
    }
    if (f->fd >= 0) {
        ssize_t n = write(f->fd, text, len);
        f->size += n > 0 ? n : 0;
    }
}

/* False at the end of the pipe. */
static bool drain(struct log_file *f)
{
    char piece[65536];
    for (;;) {
        ssize_t n = read(f->pipe, piece, sizeof(piece));
        if (n > 0) {
            put(f, piece, (size_t)n);
        } else if (n == 0) {
            return false;
        } else if (errno != EINTR) {
            return errno == EAGAIN;
        }
        if (n > 0 && n < (ssize_t)sizeof(piece)) {
            return true;
        }
    }
}

static void close_pipe(struct log_file *f)
{
    if (f->pipe >= 0) {
        loop_watch_free(f->watch);
        close(f->pipe);
        f->watch = NULL;
        f->pipe = -1;
    }
}

static void on_readable(void *arg, int events)
{
    struct log_file *f = arg;
    if (!drain(f)) {
        close_pipe(f);
    }
}

void log_file_free(struct log_file *f)
{
    if (!f) {
        return;
    }
    if (f->pipe >= 0) {
        drain(f);
        close_pipe(f);
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    free(f->path);
    free(f);
}

int log_file_pipe(struct log_file *f, int *ret, struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_errno(e, "can't make a pipe");
    }
    if (f->pipe >= 0) {
        drain(f);
        close_pipe(f);
    }
    /* Only our end: programs expect to wait when a pipe is full. */
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    f->pipe = ends[0];
    f->watch = loop_watch_new(f->loop, f->pipe, LOOP_READ, on_readable, f);
    *ret = ends[1];
    return 0;
}

int log_file_dup(struct log_file *f, int *ret, struct err *e)
{
    *ret = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return *ret < 0 ? err_errno(e, "can't write %s", f->path) : 0;
}

void log_file_note(struct log_file *f, const char *text)
{
    AUTO(free) char *line = mem_printf("osm local: %s\n", text);
    put(f, line, strlen(line));
}

void log_tail(const char *path, int lines, struct buf *out)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0 || lines <= 0) {
        return;
    }
    /* From behind: one more newline than lines, besides that at the very end. */
    off_t at = st.st_size - 1;
    char c;
    while (at > 0 && pread(fd, &c, 1, at - 1) == 1) {
        if (c == '\n' && --lines == 0) {
            break;
        }
        at--;
    }
    char piece[16384];
    ssize_t n;
    while (at < st.st_size && (n = pread(fd, piece, sizeof(piece), at)) > 0) {
        buf_add(out, piece, (size_t)n);
        at += n;
    }
}
