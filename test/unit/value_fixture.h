/* An arena for each test, and trees as JSON. */
#ifndef OSM_TEST_VALUE_FIXTURE_H
#define OSM_TEST_VALUE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "doc/value.h"

static struct arena *arena;

static inline int set_up(void **state)
{
    arena = arena_new(1024);
    return 0;
}

static inline int tear_down(void **state)
{
    arena_free(arena);
    return 0;
}

static inline const char *json_text(const struct value *v)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1 << 20);
    value_write_json(v, &out);
    return arena_str(arena, buf_str(&out)).ptr;
}

#endif
