/* Reading manifests in tests. */
#ifndef OSM_TEST_KINDS_FIXTURE_H
#define OSM_TEST_KINDS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/vec.h"
#include "kinds/object.h"

struct reading_result {
    int status;
    VEC(struct object *) objects; /* owned */
    char *findings;               /* a line each, owned */
};

static void reading_take(void *arg, struct object *o)
{
    struct reading_result *r = arg;
    VEC_PUSH(r->objects, o);
}

static struct reading_result read_text(const char *text, const char *file)
{
    struct reading_result r = {0};
    struct findings f = {0};
    r.status = objects_read(str_of(text), file, reading_take, &r, &f);
    struct buf b;
    buf_init(&b, 1 << 20);
    VEC_EACH(f.list, one) {
        char *line = finding_text(one);
        buf_printf(&b, "%s\n", line);
        free(line);
    }
    r.findings = b.data ? buf_take(&b) : mem_strdup("");
    findings_done(&f);
    return r;
}

static void reading_done(struct reading_result *r)
{
    VEC_EACH(r->objects, o) {
        object_unref(*o);
    }
    VEC_DONE(r->objects);
    free(r->findings);
}

/* The one object of a good text. */
static __attribute__((unused)) struct object *read_one(const char *text)
{
    struct reading_result r = read_text(text, "test.yaml");
    assert_string_equal(r.findings, "");
    assert_int_equal(r.objects.len, 1);
    struct object *o = r.objects.at[0];
    r.objects.len = 0;
    reading_done(&r);
    return o;
}

/* A text must be refused, and the findings hold each of these pieces (NULL at the end). */
static __attribute__((unused)) void refused(const char *text, const char *const *pieces)
{
    struct reading_result r = read_text(text, "test.yaml");
    assert_int_equal(r.status, -1);
    for (; *pieces; pieces++) {
        if (!strstr(r.findings, *pieces)) {
            fail_msg("\"%s\" isn't in:\n%s", *pieces, r.findings);
        }
    }
    reading_done(&r);
}

#define REFUSED(text, ...) refused(text, (const char *const[]){__VA_ARGS__, NULL})
#define ASSERT_STR(s, literal) assert_true(str_is((s), literal))

#endif
