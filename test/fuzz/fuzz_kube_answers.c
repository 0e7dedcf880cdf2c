/* Any bytes as what an API server sends: a line of a watch and a page of a list. What is left of
 * them is decoded as a pod and as a policy. */
#include <stdint.h>

#include "base/limits.h"
#include "doc/value.h"
#include "kinds/slim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void decode(struct str text, const struct json_keep *around, enum kind kind,
                   const char *where)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(findings_done) struct findings f = {0};
    AUTO(buf_done) struct buf left;
    struct err e = ERR_INIT;
    struct value *v = NULL;
    buf_init(&left, LIMIT_JSON_BYTES);
    json_select(text, around, &left);
    ASSERT(left.len <= 2 * text.len + 2);
    if (value_read_json(a, buf_str(&left), &v, &e) < 0) {
        return;
    }
    const struct value *at = value_member(v, where);
    const struct value *object = value_len(at) > 0 ? &at->array.at[0] : at;
    if (object) {
        struct object *o = object_decode_slim(object, kind, &f);
        ASSERT(o || f.errors > 0);
        ASSERT(!o || o->kind == kind);
        object_unref(o);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum kind kinds[] = {KIND_POD, KIND_TRAFFIC_SPLIT, KIND_ENDPOINT_SLICE};
    struct str text = {(const char *)data, len};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const struct json_keep event[] = {
            {"type", NULL}, {"object", kind_keep(kinds[i])}, {NULL, NULL}};
        const struct json_keep page[] = {
            {"metadata", NULL}, {"items", kind_keep(kinds[i])}, {NULL, NULL}};
        decode(text, event, kinds[i], "object");
        decode(text, page, kinds[i], "items");
    }
    return 0;
}
