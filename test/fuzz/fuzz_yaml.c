/* Any bytes as YAML: cut into documents, read, written, read again to the same tree. */
#include <stdint.h>
#include <string.h>

#include "base/limits.h"
#include "doc/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_yaml(struct arena *a, const struct value *v, struct buf *out)
{
    struct value *again;
    buf_reset(out);
    value_write_yaml(v, out);
    if (out->len <= LIMIT_DOC_BYTES) {
        ASSERT(value_read_yaml(a, buf_str(out), 1, &again, NULL, NULL) == 0);
        ASSERT(value_equal(v, again) && value_hash(v) == value_hash(again));
    }
}

static void check_json(struct arena *a, const struct value *v, struct buf *out)
{
    struct value *again;
    buf_reset(out);
    value_write_json(v, out);
    ASSERT(!buf_full(out));
    ASSERT(value_read_json(a, buf_str(out), &again, NULL) == 0);
    ASSERT(value_equal(v, again) && value_hash(v) == value_hash(again));
}

static void check_document(struct str doc, int line, int next_line)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(buf_done) struct buf out;
    struct err e = ERR_INIT;
    struct value *v;
    int error_line = 0;
    buf_init(&out, LIMIT_JSON_BYTES);
    if (value_read_yaml(a, doc, line, &v, &error_line, &e) < 0) {
        ASSERT(e.text[0] && error_line >= line);
        return;
    }
    ASSERT(v->line >= line && next_line >= line);
    check_yaml(a, v, &out);
    check_json(a, v, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str rest = {(const char *)data, len}, doc;
    int line = 1, next_line = 1, before = 0;
    while (value_next_document(&rest, &doc, &line, &next_line)) {
        ASSERT(line > before && next_line > line && doc.len > 0);
        before = line;
        check_document(doc, line, next_line);
    }
    ASSERT(rest.len == 0);
    return 0;
}
