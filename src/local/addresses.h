/* Which addresses a local mesh uses. Pods get one of an IPv4 /20 and one of an IPv6 /64 of their
 * mesh; services one of another /20 and another /64, where nobody answers: calls there are caught
 * inside the pod. */
#ifndef OSM_LOCAL_ADDRESSES_H
#define OSM_LOCAL_ADDRESSES_H

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "local/ip.h"

struct netlink;

enum { ADDRESSES_PREFIX4 = 20, ADDRESSES_PREFIX6 = 64, ADDRESSES_COUNT = 1 << 12 };

struct addresses {
    struct ip pods4, pods6, services4, services6;
    bool pod_used[ADDRESSES_COUNT];
    int next_pod;
    bool service_used[ADDRESSES_COUNT];
    struct map services; /* "ns/name" -> index as a pointer */
};

/* Finds ranges that this machine doesn't use, always the same ones for a name when they are free.
 */
int addresses_init(struct addresses *a, struct netlink *host, const char *name, struct err *e);
void addresses_done(struct addresses *a);
struct ip addresses_gateway4(const struct addresses *a);
struct ip addresses_gateway6(const struct addresses *a);
/* A number for a pod, to be given back; 0 when all are taken. */
int addresses_take_pod(struct addresses *a);
void addresses_release_pod(struct addresses *a, int number);
struct ip addresses_pod4(const struct addresses *a, int number);
struct ip addresses_pod6(const struct addresses *a, int number);
/* The same service gets the same addresses as long as it isn't forgotten. */
int addresses_service(struct addresses *a, struct str service, struct ip *ret4, struct ip *ret6,
                      struct err *e);
void addresses_forget_service(struct addresses *a, struct str service);

#endif
