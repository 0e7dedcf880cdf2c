/* Entering the namespaces of pods. */
#ifndef OSM_LOCAL_NAMESPACES_H
#define OSM_LOCAL_NAMESPACES_H

#include <sys/types.h>

#include "base/err.h"

enum { NS_NET, NS_PID, NS_UTS, NS_IPC, NS_MNT, NS_COUNT };

/* Descriptors of a process's namespaces; all -1 in a zero set made by namespaces_init. */
struct namespaces {
    int fd[NS_COUNT];
};
void namespaces_init(struct namespaces *n);
int namespaces_open(struct namespaces *n, pid_t pid, struct err *e);
void namespaces_done(struct namespaces *n);

/* A visit to another network namespace by the calling thread: sockets made meanwhile belong there
 * for good. fd -1: stay here. */
struct netns_visit {
    int home;
};
int netns_enter(int netns_fd, struct netns_visit *visit, struct err *e);
void netns_leave(struct netns_visit *visit);

/* A socket in that network namespace: like socket(2). */
int socket_in_netns(int netns_fd, int family, int type, int protocol);

#endif
