/* Starting and feeding the controller. */
#include "controlled.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* What is shown of a log, from its end. */
enum { TAIL_BYTES = 4000 };

static void write_file(const char *path, const struct buf *text)
{
    FILE *f = fopen(path, "we");
    ASSERT(f && fwrite(text->data, 1, text->len, f) == text->len);
    ASSERT(fclose(f) == 0);
}

static void put(const struct controlled *c, const char *path, const struct buf *text)
{
    AUTO(free) char *next = mem_printf("%s/next", c->folder);
    write_file(next, text);
    ASSERT(rename(next, path) == 0);
}

static char *live_path(const struct controlled *c, const char *name)
{
    return mem_printf("%s/live/%s.yaml", c->folder, name);
}

void controlled_write(const struct controlled *c, const char *name, const struct buf *text)
{
    AUTO(free) char *path = live_path(c, name);
    put(c, path, text);
}

void controlled_remove(const struct controlled *c, const char *name)
{
    AUTO(free) char *path = live_path(c, name);
    ASSERT(unlink(path) == 0 || errno == ENOENT);
}

void controlled_write_service(const struct controlled *c, const struct world *w, int service)
{
    AUTO(free) char *path = mem_printf("%s/base/%04d.yaml", c->folder, service);
    struct buf b;
    buf_init(&b, 64u << 20);
    world_write_service(w, service, &b);
    put(c, path, &b);
    buf_done(&b);
}

static void write_base(const struct controlled *c, const struct world *w)
{
    AUTO(free) char *path = mem_printf("%s/base/base.yaml", c->folder);
    struct buf b;
    buf_init(&b, 1u << 20);
    world_write_base(w, &b);
    put(c, path, &b);
    buf_done(&b);
    for (int i = 0; i < w->services; i++) {
        controlled_write_service(c, w, i);
    }
}

static char *clock_file(const struct controlled *c)
{
    return mem_printf("%s/clock", c->folder);
}

static void make_clock(struct controlled *c)
{
    AUTO(free) char *path = clock_file(c);
    AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT(fd >= 0 && ftruncate(fd, sizeof(*c->ahead_s)) == 0);
    void *at = mmap(NULL, sizeof(*c->ahead_s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT(at != MAP_FAILED);
    c->ahead_s = at;
}

/* A file that says nothing wakes it. */
void controlled_pass(struct controlled *c, int64_t s)
{
    struct buf empty;
    buf_init(&empty, 64);
    buf_addz(&empty, "---\n");
    *c->ahead_s += s;
    controlled_write(c, "wake", &empty);
    buf_done(&empty);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    return remove(path);
}

/* A process that outlives this one, however it ends: reading from the pipe returns then. */
static void start_cleaner(struct controlled *c)
{
    int ends[2];
    char byte;
    ASSERT(pipe2(ends, O_CLOEXEC) == 0);
    c->cleaner = fork();
    ASSERT(c->cleaner >= 0);
    if (c->cleaner == 0) {
        setsid();
        dup2(ends[0], 0);
        close_range(1, ~0u, 0);
        while (read(0, &byte, 1) < 0 && errno == EINTR) {
        }
        nftw(c->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        _exit(0);
    }
    close(ends[0]);
    c->cleaner_pipe = ends[1];
}

void controlled_prepare(struct controlled *c, const struct world *w)
{
    char folder[] = "/tmp/osm-swarm-XXXXXX";
    ASSERT(mkdtemp(folder));
    *c = (struct controlled){.folder = mem_strdup(folder)};
    start_cleaner(c);
    AUTO(free) char *base = mem_printf("%s/base", folder);
    AUTO(free) char *live = mem_printf("%s/live", folder);
    make_clock(c);
    ASSERT(mkdir(base, 0755) == 0 && mkdir(live, 0755) == 0);
    write_base(c, w);
}

char *controlled_ca_file(const struct controlled *c)
{
    return mem_printf("%s/ca.yaml", c->folder);
}

/* The clock's module lies beside this program. */
static void preload_clock(const struct controlled *c)
{
    char self[PATH_MAX] = "";
    ASSERT(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    AUTO(free) char *module = mem_printf("%s/clock_ahead.so", dirname(self));
    AUTO(free) char *clock = clock_file(c);
    setenv("OSM_CLOCK_AHEAD", clock, 1);
    setenv("LD_PRELOAD", module, 1);
}

static void become(const struct controlled *c, const char *program)
{
    AUTO(free) char *base = mem_printf("%s/base", c->folder);
    AUTO(free) char *live = mem_printf("%s/live", c->folder);
    AUTO(free) char *log = mem_printf("%s/log", c->folder);
    AUTO(free) char *ca = controlled_ca_file(c);
    char shards[8];
    snprintf(shards, sizeof(shards), "%d", c->shards);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(fd, 1);
    dup2(fd, 2);
    if (c->moves_clock) {
        preload_clock(c);
    }
    execl(program, program, "--source", live, "--source", base, "--ca-file", ca, "--ads-address",
          "127.0.0.1:0", "--shards", shards, (char *)NULL);
    perror(program);
    _exit(127);
}

static char *log_from(const struct controlled *c, off_t from)
{
    AUTO(free) char *path = mem_printf("%s/log", c->folder);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    ssize_t n = 0;
    char *text = NULL;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > from) {
        text = mem_zalloc((size_t)(st.st_size - from) + 1);
        n = pread(fd, text, (size_t)(st.st_size - from), from);
        text[n > 0 ? n : 0] = '\0';
    }
    return text;
}

off_t controlled_log_bytes(const struct controlled *c)
{
    AUTO(free) char *path = mem_printf("%s/log", c->folder);
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : 0;
}

char *controlled_hear(const struct controlled *c, off_t from, const char *words)
{
    siginfo_t ended = {0};
    for (int i = 0; i < 6000 && ended.si_pid == 0; i++) {
        waitid(P_PID, (id_t)c->pid, &ended, WEXITED | WNOHANG | WNOWAIT);
        char *text = log_from(c, from);
        if (text && strstr(text, words)) {
            return text;
        }
        free(text);
        usleep(10000);
    }
    return NULL;
}

static void show_log(const struct controlled *c)
{
    off_t bytes = controlled_log_bytes(c);
    AUTO(free) char *tail = log_from(c, bytes > TAIL_BYTES ? bytes - TAIL_BYTES : 0);
    fputs(tail ? tail : "", stderr);
}

static bool ended_well(const struct controlled *c, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    fprintf(stderr, "error: the controller %s %d; its log ends with:\n",
            WIFEXITED(status) ? "exited with status" : "was ended by signal",
            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    show_log(c);
    return false;
}

void controlled_start(struct controlled *c, const char *program, int shards)
{
    static const char port[] = "\"ads_port\":\"";
    c->shards = shards;
    c->pid = fork();
    if (c->pid == 0) {
        become(c, program);
    }
    AUTO(free) char *said = controlled_hear(c, 0, port);
    if (!said) {
        controlled_stop(c);
        fprintf(stderr, "error: %s took no connections\n", program);
        exit(1);
    }
    c->port = (uint16_t)atoi(strstr(said, port) + strlen(port));
}

bool controlled_stop(struct controlled *c)
{
    int status = 0;
    if (c->pid > 0) {
        kill(c->pid, SIGTERM);
        ASSERT(waitpid(c->pid, &status, 0) == c->pid);
        c->pid = 0;
    }
    return ended_well(c, status);
}

void controlled_done(struct controlled *c, bool keep)
{
    if (keep) {
        kill(c->cleaner, SIGKILL);
    }
    close(c->cleaner_pipe);
    waitpid(c->cleaner, NULL, 0);
    munmap((void *)c->ahead_s, sizeof(*c->ahead_s));
    free(c->folder);
}
