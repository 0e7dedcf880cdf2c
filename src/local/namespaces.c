/* Entering the namespaces of pods. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "local/namespaces.h"

static const char *const ns_names[NS_COUNT] = {"net", "pid", "uts", "ipc", "mnt"};

void namespaces_init(struct namespaces *n)
{
    for (int i = 0; i < NS_COUNT; i++) {
        n->fd[i] = -1;
    }
}

int namespaces_open(struct namespaces *n, pid_t pid, struct err *e)
{
    for (int i = 0; i < NS_COUNT; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, ns_names[i]);
        n->fd[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (n->fd[i] < 0) {
            int result = err_errno(e, "can't open %s", path);
            namespaces_done(n);
            return result;
        }
    }
    return 0;
}

void namespaces_done(struct namespaces *n)
{
    for (int i = 0; i < NS_COUNT; i++) {
        if (n->fd[i] >= 0) {
            close(n->fd[i]);
            n->fd[i] = -1;
        }
    }
}

int netns_enter(int netns_fd, struct netns_visit *visit, struct err *e)
{
    visit->home = -1;
    if (netns_fd < 0) {
        return 0;
    }
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) {
        return err_errno(e, "can't open this process's network namespace");
    }
    if (setns(netns_fd, CLONE_NEWNET) < 0) {
        int result = err_errno(e, "can't enter a pod's network namespace");
        close(home);
        return result;
    }
    visit->home = home;
    return 0;
}

void netns_leave(struct netns_visit *visit)
{
    if (visit->home >= 0) {
        int saved = errno;
        ASSERT(setns(visit->home, CLONE_NEWNET) == 0);
        close(visit->home);
        visit->home = -1;
        errno = saved;
    }
}

int socket_in_netns(int netns_fd, int family, int type, int protocol)
{
    struct netns_visit visit;
    struct err e;
    if (netns_enter(netns_fd, &visit, &e) < 0) {
        return -1;
    }
    int fd = socket(family, type, protocol);
    netns_leave(&visit);
    return fd;
}
