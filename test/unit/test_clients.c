/* Who is connected, by uuid, and who waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "xds/clients.h"

static struct client *add(struct clients *s, const char *uuid)
{
    struct client *c = NEW(struct client);
    c->uuid = mem_strdup(uuid);
    c->identity = mem_strdup("a/web");
    clients_add(s, c);
    return c;
}

static int count(const struct clients *s, const char *uuid, const struct client *one)
{
    int n = 0;
    for (struct client *c = clients_find(s, str_of(uuid)); c; c = c->next) {
        assert_string_equal(c->uuid, uuid);
        n += !one || c == one;
    }
    return n;
}

static int waiting(const struct clients *s)
{
    int n = 0;
    for (struct client *c = s->waiting; c; c = c->next_waiting) {
        assert_true(c->waiting);
        n++;
    }
    return n;
}

static void streams_of_one_uuid_are_found_together(void **state)
{
    struct clients s = {0};
    struct client *a[3], *b = add(&s, "b");
    for (int i = 0; i < 3; i++) {
        a[i] = add(&s, "a");
    }
    assert_int_equal(s.len, 4);
    assert_int_equal(count(&s, "a", NULL), 3);
    assert_int_equal(count(&s, "b", b), 1);
    assert_null(clients_find(&s, STR("c")));
    /* In the middle, then the one that is found first, then the last of all. */
    clients_remove(&s, a[1]);
    assert_int_equal(count(&s, "a", a[0]) + count(&s, "a", a[2]), 2);
    clients_remove(&s, a[2]);
    assert_int_equal(count(&s, "a", a[0]), 1);
    clients_remove(&s, a[0]);
    assert_null(clients_find(&s, STR("a")));
    assert_int_equal(count(&s, "b", b), 1);
    assert_int_equal(s.len, 1);
    clients_done(&s);
    assert_int_equal(s.len, 0);
}

static void who_waits_is_said_twice_and_once(void **state)
{
    struct clients s = {0};
    struct client *a = add(&s, "a"), *b = add(&s, "b");
    assert_int_equal(waiting(&s), 0);
    clients_wait(&s, a, true);
    clients_wait(&s, a, true);
    assert_int_equal(waiting(&s), 1);
    clients_wait(&s, b, true);
    clients_wait(&s, a, false);
    clients_wait(&s, a, false);
    assert_ptr_equal(s.waiting, b);
    assert_int_equal(waiting(&s), 1);
    clients_remove(&s, b);
    assert_null(s.waiting);
    clients_done(&s);
}

enum { MANY = 64, STEPS = 20000, UUIDS = 8 };

/* Adds, removes, lets wait, and compares with an array. */
static void any_order_keeps_them_apart(void **state)
{
    static const char *const uuids[UUIDS] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    struct clients s = {0};
    struct client *all[MANY] = {0};
    bool waits[MANY] = {0};
    uint32_t x = 12345;
    for (int step = 0; step < STEPS; step++) {
        x = x * 1664525 + 1013904223;
        int i = (int)(x >> 16) % MANY, what = (int)(x >> 28) % 4;
        if (!all[i]) {
            all[i] = add(&s, uuids[i % UUIDS]);
        } else if (what == 0) {
            clients_remove(&s, all[i]);
            all[i] = NULL;
            waits[i] = false;
        } else {
            clients_wait(&s, all[i], waits[i] = what == 1);
        }
        int n = 0, w = 0, of = 0;
        for (int k = 0; k < MANY; k++) {
            n += all[k] != NULL;
            w += waits[k];
            of += all[k] && k % UUIDS == i % UUIDS;
            assert_true(!all[k] || all[k]->waiting == waits[k]);
        }
        assert_int_equal(s.len, n);
        assert_int_equal(waiting(&s), w);
        assert_int_equal(count(&s, uuids[i % UUIDS], NULL), of);
    }
    clients_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_of_one_uuid_are_found_together),
        cmocka_unit_test(who_waits_is_said_twice_and_once),
        cmocka_unit_test(any_order_keeps_them_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
