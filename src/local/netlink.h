/* The few things that pods need of rtnetlink: a bridge, veth pairs, addresses, routes. Each call
 * asks the kernel and waits for its answer, which is immediate. A socket acts in the network
 * namespace that it was opened in. */
#ifndef OSM_LOCAL_NETLINK_H
#define OSM_LOCAL_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "local/ip.h"

struct netlink;

/* In the namespace of the fd, or the caller's when it is -1. */
int netlink_open(int netns_fd, struct netlink **ret, struct err *e);
void netlink_free(struct netlink *n);
AUTO_DEFINE(struct netlink, netlink_free)

/* The alias is a free text at the link that says whose it is. */
int netlink_bridge(struct netlink *n, const char *name, const char *alias, struct err *e);
/* A pair of connected links: `name` here, attached to `bridge`, and "eth0" in the namespace. */
int netlink_veth(struct netlink *n, const char *name, const char *alias, int bridge, int netns_fd,
                 struct err *e);
int netlink_up(struct netlink *n, int index, struct err *e);
int netlink_add_address(struct netlink *n, int index, const struct ip *ip, int prefix,
                        struct err *e);
int netlink_add_default_route(struct netlink *n, const struct ip *gateway, struct err *e);
/* Deletes the link and, of a pair, the other end too. Absent is fine. */
int netlink_delete(struct netlink *n, int index, struct err *e);

/* 0 when there is none. */
int netlink_find(struct netlink *n, const char *name);
/* Calls fn for every link whose alias is `alias`. */
int netlink_each_alias(struct netlink *n, const char *alias,
                       void (*fn)(void *arg, int index, const char *name), void *arg,
                       struct err *e);
/* True when an address or route of this machine, other than a default route, overlaps the range. */
int netlink_range_used(struct netlink *n, const struct ip *ip, int prefix, bool *ret,
                       struct err *e);

#endif
