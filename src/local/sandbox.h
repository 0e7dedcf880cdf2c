/* The namespaces that a pod lives in, held by a process of ours, its "init": it is process 1 of the
 * pod, reaps orphans, and when it ends the kernel ends all others of the pod. It ends with the
 * runtime, however that ended. All mounts are private to the pod, so nothing is left to unmount. */
#ifndef OSM_LOCAL_SANDBOX_H
#define OSM_LOCAL_SANDBOX_H

#include <sys/types.h>

#include "base/err.h"
#include "local/ip.h"
#include "local/namespaces.h"

struct sandbox {
    pid_t pid; /* of init; 0: none */
    struct namespaces ns;
};

struct sandbox_options {
    const char *hostname;
    const char *scratch; /* an empty folder of this machine, covered inside the pod */
    /* A folder that appears as /etc/pod inside; its files hosts, resolv.conf, hostname and
     * nsswitch.conf stand for those of /etc. */
    const char *etc;
};

void sandbox_init(struct sandbox *s);
/* The caller waits for the pid's end (SIGCHLD). */
int sandbox_start(struct sandbox *s, const struct sandbox_options *o, struct err *e);
/* Kills everything in the pod. */
void sandbox_kill(struct sandbox *s);
void sandbox_done(struct sandbox *s);

/* Connects the pod to the bridge: link `name` here, eth0 there, with addresses and default routes
 * to the gateways. ip6 may have family 0. */
struct sandbox_network {
    const char *link, *alias;
    int bridge;
    struct ip ip4, gateway4, ip6, gateway6;
    int prefix4, prefix6;
};
struct netlink;
int sandbox_connect(struct sandbox *s, struct netlink *host, const struct sandbox_network *net,
                    struct err *e);

#endif
