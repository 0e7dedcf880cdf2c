/* Hashing on xxHash, compiled into this file: most of what is hashed is so short that a call of the
 * library would be the dearer part. */
#include "base/hash.h"

#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(const void *p, size_t len)
{
    return XXH3_64bits(p, len);
}

uint64_t hash_str(struct str s)
{
    return XXH3_64bits(s.ptr, s.len);
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t both[2] = {a, b};
    return XXH3_64bits(both, sizeof(both));
}

static uint64_t seed;

__attribute__((constructor)) static void seed_init(void)
{
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        seed = (uint64_t)(uintptr_t)&seed;
    }
}

uint64_t hash_seeded(const void *p, size_t len)
{
    return XXH3_64bits_withSeed(p, len, seed);
}
