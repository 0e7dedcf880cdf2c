/* Which addresses a local mesh uses. */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "local/addresses.h"
#include "local/netlink.h"

/* 10.240.0.0/12 for pods, 10.224.0.0/12 for services: 256 ranges of 4,096 addresses each. */
#define PODS4 0x0af00000u
#define SERVICES4 0x0ae00000u
enum { RANGES = 256 };

static int pick(struct netlink *host, uint32_t from, uint64_t hash, struct ip *ret, struct err *e)
{
    for (uint32_t i = 0; i < RANGES; i++) {
        uint32_t range = ((uint32_t)hash + i) % RANGES;
        struct ip ip = ip_v4(from + range * ADDRESSES_COUNT);
        bool used;
        if (netlink_range_used(host, &ip, ADDRESSES_PREFIX4, &used, e) < 0) {
            return -1;
        }
        if (!used) {
            *ret = ip;
            return 0;
        }
    }
    char text[IP_TEXT];
    struct ip first = ip_v4(from);
    return err_set(e,
                   "expected a free range of 4,096 addresses in %s/12, found all in use on this "
                   "machine",
                   ip_text(&first, text));
}

int addresses_init(struct addresses *a, struct netlink *host, const char *name, struct err *e)
{
    uint64_t hash = hash_str(str_of(name));
    memset(a, 0, sizeof(*a));
    if (pick(host, PODS4, hash, &a->pods4, e) < 0 ||
        pick(host, SERVICES4, hash, &a->services4, e) < 0) {
        return -1;
    }
    /* RFC 4193: fd, 40 bits of our own, a subnet number. */
    a->pods6.family = AF_INET6;
    a->pods6.bytes[0] = 0xfd;
    memcpy(a->pods6.bytes + 1, &hash, 5);
    a->pods6.bytes[7] = 1;
    a->services6 = a->pods6;
    a->services6.bytes[7] = 2;
    /* The first is the network's, the second the gateway's. */
    a->pod_used[0] = a->pod_used[1] = a->pod_used[ADDRESSES_COUNT - 1] = true;
    a->service_used[0] = a->service_used[ADDRESSES_COUNT - 1] = true;
    return 0;
}

void addresses_done(struct addresses *a)
{
    map_done(&a->services, NULL);
}

struct ip addresses_gateway4(const struct addresses *a)
{
    return ip_plus(&a->pods4, 1);
}

struct ip addresses_gateway6(const struct addresses *a)
{
    return ip_plus(&a->pods6, 1);
}

/* Goes round, so that the address of a pod that is gone rests before another gets it. */
int addresses_take_pod(struct addresses *a)
{
    for (int i = 0; i < ADDRESSES_COUNT; i++) {
        int number = (a->next_pod + i) % ADDRESSES_COUNT;
        if (!a->pod_used[number]) {
            a->pod_used[number] = true;
            a->next_pod = number + 1;
            return number;
        }
    }
    return 0;
}

void addresses_release_pod(struct addresses *a, int number)
{
    if (number > 1) {
        a->pod_used[number] = false;
    }
}

struct ip addresses_pod4(const struct addresses *a, int number)
{
    return ip_plus(&a->pods4, (uint32_t)number);
}

struct ip addresses_pod6(const struct addresses *a, int number)
{
    return ip_plus(&a->pods6, (uint32_t)number);
}

int addresses_service(struct addresses *a, struct str service, struct ip *ret4, struct ip *ret6,
                      struct err *e)
{
    uintptr_t known = (uintptr_t)map_find(&a->services, service);
    for (uint32_t i = 0; known == 0 && i < ADDRESSES_COUNT; i++) {
        uint32_t at = ((uint32_t)hash_str(service) + i) % ADDRESSES_COUNT;
        if (!a->service_used[at]) {
            a->service_used[at] = true;
            map_put(&a->services, service, (void *)(uintptr_t)at);
            known = at;
        }
    }
    if (known == 0) {
        return err_set(e, "Service %.*s: expected at most %d services, found more",
                       STR_ARG(service), ADDRESSES_COUNT - 2);
    }
    *ret4 = ip_plus(&a->services4, (uint32_t)known);
    *ret6 = ip_plus(&a->services6, (uint32_t)known);
    return 0;
}

void addresses_forget_service(struct addresses *a, struct str service)
{
    uintptr_t at = (uintptr_t)map_remove(&a->services, service);
    if (at) {
        a->service_used[at] = false;
    }
}
