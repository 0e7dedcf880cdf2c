/* Maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

static void finds_what_was_put(void **state)
{
    struct map m = {0};
    int one = 1, two = 2;
    assert_null(map_find(&m, STR("a")));
    assert_int_equal(map_len(&m), 0);
    assert_null(map_put(&m, STR("a"), &one));
    assert_ptr_equal(map_put(&m, STR("a"), &two), &one);
    assert_ptr_equal(map_find(&m, STR("a")), &two);
    assert_int_equal(map_len(&m), 1);
    assert_ptr_equal(map_remove(&m, STR("a")), &two);
    assert_null(map_remove(&m, STR("a")));
    assert_false(map_has(&m, STR("a")));
    map_done(&m, NULL);
}

static void keys_are_bytes_and_copied(void **state)
{
    struct map m = {0};
    char key[] = "k1";
    int a, b, c, d;
    map_put(&m, str_of(key), &a);
    key[1] = '2';
    map_put(&m, (struct str){"k\0x", 3}, &b);
    map_put(&m, (struct str){"k", 1}, &c);
    map_put(&m, (struct str){0}, &d);
    assert_ptr_equal(map_find(&m, STR("k1")), &a);
    assert_null(map_find(&m, STR("k2")));
    assert_ptr_equal(map_find(&m, (struct str){"k\0x", 3}), &b);
    assert_ptr_equal(map_find(&m, STR("k")), &c);
    assert_ptr_equal(map_find(&m, STR("")), &d);
    map_done(&m, NULL);
    assert_int_equal(map_len(&m), 0);
}

static void a_null_value_is_there(void **state)
{
    struct map m = {0};
    map_put(&m, STR("a"), NULL);
    assert_true(map_has(&m, STR("a")));
    assert_null(map_find(&m, STR("a")));
    map_done(&m, NULL);
}

static void iterates_in_order_of_insertion_and_allows_removal(void **state)
{
    struct map m = {0};
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        map_put(&m, str_of(name), mem_strdup(name));
    }
    int n = 0;
    MAP_EACH(&m, it) {
        assert_int_equal(atoi(it.value), n++);
        if (n % 2 == 0) {
            free(map_remove(&m, it.key));
        }
    }
    assert_int_equal(n, 1000);
    assert_int_equal(map_len(&m), 500);
    MAP_EACH(&m, it) {
        assert_int_equal(atoi(it.value) % 2, 0);
    }
    map_done(&m, free);
}

static void sorts_keys_by_bytes(void **state)
{
    struct map m = {0};
    AUTO(free) struct str *none = map_sorted_keys(&m);
    const char *keys[] = {"b", "a", "aa", "B", "\xff", ""};
    const char *sorted[] = {"", "B", "a", "aa", "b", "\xff"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        map_put(&m, str_of(keys[i]), NULL);
    }
    AUTO(free) struct str *got = map_sorted_keys(&m);
    for (size_t i = 0; i < COUNT_OF(sorted); i++) {
        assert_true(str_is(got[i], sorted[i]));
    }
    map_done(&m, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(keys_are_bytes_and_copied),
        cmocka_unit_test(a_null_value_is_there),
        cmocka_unit_test(iterates_in_order_of_insertion_and_allows_removal),
        cmocka_unit_test(sorts_keys_by_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
