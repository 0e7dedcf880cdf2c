/* Resources, sets of them, and views of sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "xds/resource.h"

enum { TEXT_MAX = 1 << 16 };

static struct resource *make(const char *name, const char *content)
{
    return resource_new(str_of(name), blob_new(content, strlen(content)), 0);
}

static void versions_are_text_on_the_wire(void **state)
{
    char text[17];
    resource_version_text(0x0123456789abcdef, text);
    assert_string_equal(text, "0123456789abcdef");
    assert_true(resource_version_parse(str_of(text)) == 0x0123456789abcdef);
    static const char *const bad[] = {"", "1", "0123456789abcdeg", "0123456789abcdef0", "-1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_true(resource_version_parse(str_of(bad[i])) == 0);
    }
}

static struct resource_set *set_of(const char *const *names)
{
    resource_vec v = {0};
    for (size_t i = 0; names[i]; i++) {
        VEC_PUSH(v, make(names[i], names[i]));
    }
    struct resource_set *s = resource_set_new(v.at, v.len);
    resource_vec_done(&v);
    return s;
}

#define SET(...) set_of((const char *const[]){__VA_ARGS__, NULL})

static void note_changed(void *arg, struct resource *r)
{
    buf_printf(arg, "+%s ", r->name);
}

static void note_removed(void *arg, struct resource *r)
{
    buf_printf(arg, "-%s ", r->name);
}

static bool differ(struct view from, struct view to)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    view_diff(from, to, note_changed, note_removed, &out);
    return out.len > 0;
}

static void sets_are_the_same_by_content(void **state)
{
    struct resource_set *a = SET("x", "y", "z");
    struct resource_set *b = SET("z", "x", "y", "x");
    struct resource_set *c = SET("x", "y");
    assert_int_equal(a->n, 3);
    assert_int_equal(b->n, 3);
    assert_true(a->hash == b->hash && a->hash != c->hash);
    assert_false(differ((struct view){a, NULL}, (struct view){NULL, b}));
    assert_true(differ((struct view){a, NULL}, (struct view){c, NULL}));

    resource_vec none = {0}, gone = {0}, add = {0};
    struct resource_set *same = resource_set_edit(a, &none, &none);
    assert_ptr_equal(same, a);
    resource_set_unref(same);
    VEC_PUSH(gone, make("z", ""));
    struct resource_set *less = resource_set_edit(a, &gone, &none);
    assert_true(less->hash == c->hash);
    VEC_PUSH(add, make("z", "z"));
    struct resource_set *again = resource_set_edit(less, &none, &add);
    assert_true(again->hash == a->hash);
    resource_vec_done(&gone);
    resource_vec_done(&add);
    resource_set_unref(a);
    resource_set_unref(b);
    resource_set_unref(c);
    resource_set_unref(less);
    resource_set_unref(again);
}

static void of_edits_of_one_name_the_last_counts(void **state)
{
    resource_vec none = {0}, add = {0};
    VEC_PUSH(add, make("x", "first"));
    VEC_PUSH(add, make("y", "y"));
    VEC_PUSH(add, make("x", "last"));
    struct resource_set *empty = resource_set_new(NULL, 0);
    struct resource_set *s = resource_set_edit(empty, &none, &add);
    assert_int_equal(s->n, 2);
    assert_string_equal(resource_set_find(s, resource_id(STR("x")))->body->data, "last");
    resource_set_unref(s);
    resource_set_unref(empty);
    resource_vec_done(&add);
}

static void own_resources_go_before_shared_ones(void **state)
{
    resource_vec base = {0}, own = {0};
    VEC_PUSH(base, make("x", "base"));
    VEC_PUSH(base, make("y", "base"));
    VEC_PUSH(own, make("x", "own"));
    struct view v = {resource_set_new(base.at, base.len), resource_set_new(own.at, own.len)};
    struct view only = {v.base, NULL};
    assert_int_equal(view_count(v), 2);
    assert_string_equal(view_find(v, resource_id(STR("x")))->body->data, "own");
    assert_string_equal(view_find(v, resource_id(STR("y")))->body->data, "base");
    assert_false(view_same(v, only));
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    view_diff(v, only, note_changed, note_removed, &out);
    assert_string_equal(out.data, "+x ");
    assert_true(view_sum(v) != view_sum(only));
    struct view merged = {NULL, resource_set_new(own.at, own.len)};
    resource_vec y = {0};
    VEC_PUSH(y, resource_ref(base.at[1]));
    merged.base = resource_set_new(y.at, y.len);
    assert_true(view_sum(v) == view_sum(merged)); /* however it is split */
    assert_true(view_hash(v) != view_hash(merged));
    resource_vec_done(&y);
    view_unref(&merged);
    resource_vec_done(&base);
    resource_vec_done(&own);
    view_unref(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_text_on_the_wire),
        cmocka_unit_test(sets_are_the_same_by_content),
        cmocka_unit_test(of_edits_of_one_name_the_last_counts),
        cmocka_unit_test(own_resources_go_before_shared_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
