/* Protobuf's wire format. */
#include "wire.h"

static bool take_varint(struct str *rest, uint64_t *ret)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        uint8_t byte = (uint8_t)*rest->ptr++;
        rest->len--;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = n;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct str *rest, uint64_t len, struct str *ret)
{
    if (len > rest->len) {
        return false;
    }
    *ret = (struct str){rest->ptr, (size_t)len};
    rest->ptr += len;
    rest->len -= (size_t)len;
    return true;
}

bool wire_next(struct str *rest, struct wire_field *ret, bool *broken)
{
    uint64_t tag, len;
    if (rest->len == 0) {
        return false;
    }
    *ret = (struct wire_field){0};
    bool ok = take_varint(rest, &tag);
    if (ok) {
        ret->number = (uint32_t)(tag >> 3);
        switch (tag & 7) {
        case 0:
            ok = take_varint(rest, &ret->value);
            break;
        case 1:
            ok = take_bytes(rest, 8, &ret->bytes);
            break;
        case 2:
            ok = take_varint(rest, &len) && take_bytes(rest, len, &ret->bytes);
            break;
        case 5:
            ok = take_bytes(rest, 4, &ret->bytes);
            break;
        default:
            ok = false;
        }
    }
    *broken |= !ok;
    return ok;
}

struct str wire_find(struct str message, uint32_t number)
{
    struct wire_field f;
    bool broken = false;
    while (wire_next(&message, &f, &broken)) {
        if (f.number == number) {
            return f.bytes;
        }
    }
    return (struct str){0};
}

static void add_varint(struct buf *out, uint64_t n)
{
    for (; n >= 0x80; n >>= 7) {
        buf_addc(out, (char)(n | 0x80));
    }
    buf_addc(out, (char)n);
}

void wire_add(struct buf *out, uint32_t number, struct str bytes)
{
    add_varint(out, (uint64_t)number << 3 | 2);
    add_varint(out, bytes.len);
    buf_adds(out, bytes);
}
