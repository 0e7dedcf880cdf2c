/* Memory that much work leaves free goes back to the machine when there is no more of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/heap.h"

#define BLOCKS 20000
#define BLOCK 1000

static void work(void)
{
    for (int64_t until = clock_cpu_us() + 60000; clock_cpu_us() < until;) {
    }
}

static void test_it_goes_back_once_calm(void **state)
{
    struct heap h = {.cpu_us = clock_cpu_us()};
    assert_false(heap_tick(&h));
    work();
    assert_false(heap_tick(&h));
    work();
    assert_false(heap_tick(&h));
    assert_true(heap_tick(&h));
    assert_false(heap_tick(&h));
}

/* With work in each tick it goes back once in twelve. */
static void test_who_is_never_calm_gives_back_too(void **state)
{
    struct heap h = {.cpu_us = clock_cpu_us()};
    for (int i = 1; i <= 24; i++) {
        work();
        assert_int_equal(heap_tick(&h), i % 12 == 0);
    }
}

#ifndef __SANITIZE_ADDRESS__
static long resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages * 4;
}

/* Holes below what is kept, as many proxies leave that said much and stay. */
static void test_holes_are_given_back(void **state)
{
    static char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = mem_alloc(BLOCK);
        memset(blocks[i], 1, BLOCK);
    }
    for (int i = 0; i < BLOCKS - 1; i++) {
        free(blocks[i]);
    }
    long before = resident_kib();
    struct heap h = {.cpu_us = clock_cpu_us(), .busy_ticks = 1};
    assert_true(heap_tick(&h));
    assert_true(before - resident_kib() > BLOCKS * (BLOCK / 1024.0) / 2);
    free(blocks[BLOCKS - 1]);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_goes_back_once_calm),
        cmocka_unit_test(test_who_is_never_calm_gives_back_too),
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(test_holes_are_given_back),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
