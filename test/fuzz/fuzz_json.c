/* Any bytes as JSON: read, written, read again to the same tree. */
#include <stdint.h>

#include "base/limits.h"
#include "doc/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(buf_done) struct buf out;
    struct err e = ERR_INIT;
    struct value *v, *again;
    buf_init(&out, LIMIT_JSON_BYTES);
    if (value_read_json(a, (struct str){(const char *)data, len}, &v, &e) < 0) {
        ASSERT(e.text[0]);
        return 0;
    }
    value_write_json(v, &out);
    if (!buf_full(&out)) {
        ASSERT(value_read_json(a, buf_str(&out), &again, &e) == 0);
        ASSERT(value_equal(v, again) && value_hash(v) == value_hash(again));
    }
    ASSERT(value_equal(v, value_copy(a, v)));
    return 0;
}
