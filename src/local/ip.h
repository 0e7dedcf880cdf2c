/* Addresses of both families, and ranges of them. */
#ifndef OSM_LOCAL_IP_H
#define OSM_LOCAL_IP_H

#include <stdbool.h>
#include <stdint.h>

enum { IP_TEXT = 46 };

struct ip {
    int family; /* AF_INET, AF_INET6; 0: none */
    uint8_t bytes[16];
};

struct ip ip_v4(uint32_t host_order);
const char *ip_text(const struct ip *ip, char out[IP_TEXT]);
/* ip + n, in the last 32 bits. */
struct ip ip_plus(const struct ip *ip, uint32_t n);
int ip_bytes(const struct ip *ip); /* 4 or 16 */
bool ip_ranges_overlap(const struct ip *a, int a_prefix, const struct ip *b, int b_prefix);

#endif
