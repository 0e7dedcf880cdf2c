/* Arenas, buffers, vectors, shared bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/vec.h"

static void arena_gives_zeroed_aligned_memory(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(0);
    for (size_t size = 0; size < 300; size++) {
        char *p = arena_alloc(a, size);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, size);
    }
}

static void arena_takes_larger_than_its_blocks(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(64);
    char *small = arena_alloc(a, 8);
    char *large = arena_alloc(a, 5 << 20);
    small[7] = 1;
    large[(5 << 20) - 1] = 1;
    assert_true(arena_bytes(a) >= (5 << 20));
    assert_null(memchr(large, 1, (5 << 20) - 1));
}

static void arena_copies_end_in_nul(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(64);
    struct str s = arena_str(a, (struct str){"abcdef", 3});
    assert_string_equal(s.ptr, "abc");
    assert_int_equal(s.len, 3);
    assert_string_equal(arena_str(a, (struct str){0}).ptr, "");
    assert_string_equal(arena_strz(a, NULL).ptr, "");
    assert_string_equal(arena_printf(a, "%s-%d", "x", 7).ptr, "x-7");
    assert_int_equal(arena_printf(a, "%0300d", 1).len, 300);
    assert_memory_equal(arena_memdup(a, "a\0b", 3), "a\0b", 4);
    arena_free(NULL);
}

static void buffer_grows_to_its_maximum_and_no_further(void **state)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 10);
    assert_string_equal(buf_str(&b).ptr, "");
    buf_addz(&b, "12345");
    buf_addc(&b, '6');
    buf_printf(&b, "%d", 789);
    assert_false(buf_full(&b));
    buf_addz(&b, "ab");
    assert_true(buf_full(&b));
    buf_addc(&b, 'c'); /* would fit, yet full is for good */
    assert_string_equal(b.data, "123456789");
    buf_printf(&b, "%d", 1);
    assert_int_equal(b.len, 9);
    buf_reset(&b);
    assert_false(buf_full(&b));
    buf_addz(&b, "1234567890");
    assert_false(buf_full(&b));
    assert_int_equal(b.len, 10);
    assert_true(b.cap <= 10 + 1); /* no more memory than it may ever need */
}

static void buffer_consumes_and_gives_away(void **state)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1000);
    buf_consume(&b, 0);
    buf_adds(&b, STR("hello world"));
    buf_consume(&b, 6);
    assert_string_equal(buf_str(&b).ptr, "world");
    assert_true(buf_reserve(&b, 3));
    memcpy(b.data + b.len, "xyz", 4);
    b.len += 3;
    AUTO(free) char *taken = buf_take(&b);
    assert_string_equal(taken, "worldxyz");
    assert_int_equal(b.len, 0);
    AUTO(free) char *empty = buf_take(&b);
    assert_string_equal(empty, "");
    assert_false(buf_reserve(&b, 1001));
}

static void vector_pushes_iterates_and_removes(void **state)
{
    VEC(int) v = {0};
    VEC_EACH(v, p) {
        fail_msg("an empty vector has element %d", *p);
    }
    for (int i = 0; i < 100; i++) {
        VEC_PUSH(v, i);
    }
    int sum = 0;
    VEC_EACH(v, p) {
        sum += *p;
    }
    assert_int_equal(sum, 4950);
    VEC_REMOVE(v, 0);
    VEC_REMOVE(v, 98);
    assert_int_equal(v.len, 98);
    assert_int_equal(v.at[0], 1);
    assert_int_equal(v.at[97], 98);
    VEC_DONE(v);
    assert_null(v.at);
    assert_int_equal(v.cap, 0);
}

static void blob_hashes_its_content(void **state)
{
    AUTO(blob_unref) struct blob *a = blob_new("abc", 3), *b = blob_new_secret("abc", 3);
    AUTO(blob_unref) struct blob *empty = blob_new(NULL, 0);
    assert_int_equal(a->hash, b->hash);
    assert_int_equal(a->hash, hash_bytes("abc", 3));
    assert_string_equal(blob_str(a).ptr, "abc");
    assert_int_equal(blob_str(empty).len, 0);
    assert_int_equal(blob_str(NULL).len, 0);
    assert_null(blob_ref(NULL));
    assert_null(blob_unref(NULL));
}

/* Versions of resources are compared between machines and releases, so hashes never change. */
static void hashes_are_those_of_xxh3(void **state)
{
    assert_true(hash_bytes("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_str(STR("abc")) == hash_bytes("abc", 3));
    assert_true(hash_str((struct str){0}) == hash_bytes("", 0));
    assert_true(hash_mix(1, 2) != hash_mix(2, 1));
    assert_true(hash_seeded("abc", 3) == hash_seeded("abc", 3));
    assert_true(hash_seeded("abc", 3) != hash_bytes("abc", 3));
}

#define REF_ROUNDS 100000

static void *take_and_drop(void *p)
{
    struct blob *b = p;
    for (int i = 0; i < REF_ROUNDS; i++) {
        blob_ref(b);
        blob_unref(b);
    }
    return blob_unref(b);
}

static void blob_counts_references_across_threads(void **state)
{
    struct blob *b = blob_new("x", 1);
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, blob_ref(b)), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&b->ref.n), 1);
    blob_unref(b);
}

static char *give_away(char **from)
{
    return TAKE(*from);
}

static void take_leaves_null(void **state)
{
    char *p = mem_printf("%d", 42);
    AUTO(free) char *q = give_away(&p);
    assert_null(p);
    assert_string_equal(q, "42");
    AUTO(free) char *copy = mem_memdup("ab", 2);
    assert_memory_equal(copy, "ab", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(arena_takes_larger_than_its_blocks),
        cmocka_unit_test(arena_copies_end_in_nul),
        cmocka_unit_test(buffer_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(buffer_consumes_and_gives_away),
        cmocka_unit_test(vector_pushes_iterates_and_removes),
        cmocka_unit_test(blob_hashes_its_content),
        cmocka_unit_test(hashes_are_those_of_xxh3),
        cmocka_unit_test(blob_counts_references_across_threads),
        cmocka_unit_test(take_leaves_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
