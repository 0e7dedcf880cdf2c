/* Protobuf's wire format, read and written in place: the swarm looks at every byte that 10,000
 * proxies get, and keeps none of them. */
#ifndef BENCH_SWARM_WIRE_H
#define BENCH_SWARM_WIRE_H

#include <stdint.h>

#include "base/buf.h"

/* One field of a message; bytes for length-delimited ones, else number. */
struct wire_field {
    uint32_t number;
    struct str bytes;
    uint64_t value;
};

/* Takes the next field off *rest; false at the end, and *broken when what is left is no field. */
bool wire_next(struct str *rest, struct wire_field *ret, bool *broken);
/* The first length-delimited field of that number; empty when there is none. */
struct str wire_find(struct str message, uint32_t number);

void wire_add(struct buf *out, uint32_t number, struct str bytes);

#endif
