/* Addresses of both families. */
#include <arpa/inet.h>
#include <string.h>

#include "local/ip.h"

struct ip ip_v4(uint32_t host_order)
{
    struct ip ip = {.family = AF_INET};
    uint32_t raw = htonl(host_order);
    memcpy(ip.bytes, &raw, sizeof(raw));
    return ip;
}

const char *ip_text(const struct ip *ip, char out[IP_TEXT])
{
    if (!inet_ntop(ip->family, ip->bytes, out, IP_TEXT)) {
        out[0] = '\0';
    }
    return out;
}

int ip_bytes(const struct ip *ip)
{
    return ip->family == AF_INET ? 4 : 16;
}

struct ip ip_plus(const struct ip *ip, uint32_t n)
{
    struct ip sum = *ip;
    uint32_t last;
    uint8_t *at = sum.bytes + ip_bytes(ip) - sizeof(last);
    memcpy(&last, at, sizeof(last));
    last = htonl(ntohl(last) + n);
    memcpy(at, &last, sizeof(last));
    return sum;
}

bool ip_ranges_overlap(const struct ip *a, int a_prefix, const struct ip *b, int b_prefix)
{
    int bits = a_prefix < b_prefix ? a_prefix : b_prefix;
    if (a->family != b->family || memcmp(a->bytes, b->bytes, (size_t)bits / 8) != 0) {
        return false;
    }
    int rest = bits % 8;
    return rest == 0 || (a->bytes[bits / 8] ^ b->bytes[bits / 8]) >> (8 - rest) == 0;
}
