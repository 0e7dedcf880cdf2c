/* Address ranges as text that is the same for the same range. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/internal.h"

/* Longer than any address is written. */
#define ADDRESS_TEXT_MAX 64

/* 4 or 16 bytes; 0: not an address. */
static size_t parse(struct str s, unsigned char bytes[16])
{
    char text[ADDRESS_TEXT_MAX];
    if (s.len >= sizeof(text)) {
        return 0;
    }
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    if (inet_pton(AF_INET, text, bytes) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

static struct str print(struct arena *a, const unsigned char *bytes, size_t n, int bits)
{
    char text[INET6_ADDRSTRLEN];
    inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text));
    return arena_printf(a, "%s/%d", text, bits);
}

struct str range_of_address(struct arena *a, struct str ip)
{
    unsigned char bytes[16];
    size_t n = parse(ip, bytes);
    return n == 0 ? STR("") : print(a, bytes, n, (int)n * 8);
}

struct str range_canonical(struct arena *a, struct str cidr)
{
    unsigned char bytes[16];
    struct str address, length;
    int64_t bits;
    if (!str_cut(cidr, '/', &address, &length)) {
        return STR("");
    }
    size_t n = parse(address, bytes);
    if (n == 0 || !str_int(length, 0, (int64_t)n * 8, &bits)) {
        return STR("");
    }
    for (size_t i = 0; i < n; i++) {
        int kept = (int)bits - (int)i * 8;
        bytes[i] &= kept >= 8 ? 0xff : kept <= 0 ? 0 : (unsigned char)(0xff << (8 - kept));
    }
    return print(a, bytes, n, (int)bits);
}
