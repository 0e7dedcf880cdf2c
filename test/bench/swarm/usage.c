/* CPU, memory and sockets, from /proc. */
#include "usage.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int64_t thread_ns(pid_t pid, pid_t tid)
{
    AUTO(free) char *path = mem_printf("/proc/%d/task/%d/schedstat", pid, tid);
    long long ns = 0;
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%lld", &ns) != 1) {
        ns = 0;
    }
    if (f) {
        fclose(f);
    }
    return ns;
}

struct usage_cpu usage_cpu(pid_t pid)
{
    AUTO(free) char *path = mem_printf("/proc/%d/task", pid);
    struct usage_cpu u = {0};
    DIR *dir = opendir(path);
    struct dirent *x;
    while (dir && (x = readdir(dir))) {
        pid_t tid = (pid_t)atoi(x->d_name);
        int64_t ns = tid > 0 ? thread_ns(pid, tid) : 0;
        u.all_ns += ns;
        u.first_ns += tid == pid ? ns : 0;
    }
    if (dir) {
        closedir(dir);
    }
    return u;
}

int64_t usage_memory(pid_t pid, const char *field)
{
    AUTO(free) char *path = mem_printf("/proc/%d/status", pid);
    char line[256];
    long long kib = 0;
    size_t len = strlen(field);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, field, len) == 0 && line[len] == ':') {
            kib = atoll(line + len + 1);
        }
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

void usage_queued(uint16_t server_port, uint32_t by_port[USAGE_PORTS])
{
    char line[256];
    unsigned local, remote, sending, received;
    memset(by_port, 0, USAGE_PORTS * sizeof(*by_port));
    FILE *f = fopen("/proc/net/tcp", "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*d: %*x:%4x %*x:%4x %*x %x:%x", &local, &remote, &sending, &received) !=
            4) {
            continue;
        }
        if (local == server_port) {
            by_port[remote] += sending;
        } else if (remote == server_port) {
            by_port[local] += received;
        }
    }
    if (f) {
        fclose(f);
    }
}
