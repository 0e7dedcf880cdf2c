/* String views, durations and dates, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/error_codes.h"
#include "base/mem.h"
#include "base/str.h"

static void views_compare_by_bytes(void **state)
{
    assert_true(str_eq((struct str){0}, STR("")));
    assert_true(str_is(str_of(NULL), ""));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_is_nocase(STR("TRUE"), "true"));
    assert_false(str_is_nocase(STR("TRUE "), "true"));
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp((struct str){0}, STR("")), 0);
    assert_true(str_starts(STR("abc"), "ab") && !str_starts(STR("a"), "ab"));
    assert_true(str_ends(STR("abc"), "bc") && !str_ends(STR("c"), "bc"));
    assert_true(str_starts((struct str){0}, "") && str_ends((struct str){0}, ""));
}

static void trims_and_cuts(void **state)
{
    struct str head, tail;
    assert_true(str_is(str_trim(STR(" \t a b\r\n")), "a b"));
    assert_int_equal(str_trim(STR("  ")).len, 0);
    assert_true(str_cut(STR("a=b=c"), '=', &head, &tail));
    assert_true(str_is(head, "a") && str_is(tail, "b=c"));
    assert_true(str_cut(STR("a="), '=', &head, &tail));
    assert_true(str_is(head, "a") && tail.len == 0);
    assert_false(str_cut(STR("abc"), '=', &head, &tail));
    assert_true(str_is(head, "abc") && tail.len == 0);
    assert_false(str_cut((struct str){0}, '=', &head, &tail));
}

static void reads_whole_numbers_in_range(void **state)
{
    static const struct {
        const char *text;
        int64_t min, max, want;
        bool ok;
    } cases[] = {
        {"0", 0, 10, 0, true},
        {"-5", -10, 10, -5, true},
        {"9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX, true},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN, true},
        {"9223372036854775808", INT64_MIN, INT64_MAX, 0, false},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, 0, false},
        {"11", 0, 10, 0, false},
        {"-1", 0, 10, 0, false},
        {"", 0, 10, 0, false},
        {"-", -10, 10, 0, false},
        {"+1", 0, 10, 0, false},
        {"1 ", 0, 10, 0, false},
        {"1e1", 0, 10, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t got = 77;
        bool ok = str_int(str_of(cases[i].text), cases[i].min, cases[i].max, &got);
        assert_int_equal(ok, cases[i].ok);
        assert_int_equal(got, ok ? cases[i].want : 77);
    }
}

static void reads_durations_as_go_writes_them(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: none */
    } cases[] = {
        {"0", 0},          {"0s", 0},
        {"250ms", 250},    {"1m30s", 90000},
        {"24h", 86400000}, {"1.5h", 5400000},
        {"1.001s", 1001},  {"4.35s", 4350},
        {".5s", 500},      {"1h0m0.1s", 3600100},
        {"900us", 0},      {"2500us", 2},
        {"1000000ns", 1},  {"8760h", 31536000000},
        {"", -1},          {"5", -1},
        {"s", -1},         {"5 s", -1},
        {"1.2.3s", -1},    {"-5s", -1},
        {"5d", -1},        {"9999999999999h", -1},
        {"1h30", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t got = -1;
        bool ok = clock_parse_duration(str_of(cases[i].text), &got);
        if (ok != (cases[i].ms >= 0) || got != cases[i].ms) {
            fail_msg("\"%s\": expected %lld, found %lld", cases[i].text, (long long)cases[i].ms,
                     (long long)got);
        }
    }
}

static void writes_dates(void **state)
{
    char out[32];
    clock_rfc3339(0, out);
    assert_string_equal(out, "1970-01-01T00:00:00Z");
    clock_rfc3339(1795485600, out);
    assert_string_equal(out, "2026-11-24T02:00:00Z");
    assert_true(clock_wall_s() > 1700000000);
    int64_t before = clock_mono_us();
    assert_true(clock_mono_us() >= before);
    assert_true(clock_mono_ms() >= before / 1000);
}

static void errors_gather_context(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(err_set(&e, "expected %s", "a number"), -1);
    assert_int_equal(err_wrap(&e, "%s:%d", "file.yaml", 3), -1);
    assert_string_equal(e.text, "file.yaml:3: expected a number");
    errno = ENOENT;
    assert_int_equal(err_errno(&e, "open %s", "x"), -1);
    assert_string_equal(e.text, "open x: No such file or directory");
    assert_int_equal(errno, ENOENT);
    assert_int_equal(err_set(NULL, "x"), -1);
    assert_int_equal(err_wrap(NULL, "x"), -1);
    assert_int_equal(err_errno(NULL, "x"), -1);
}

static void long_errors_say_that_they_were_cut(void **state)
{
    struct err e;
    char text[2000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    err_set(&e, "%s", text);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_string_equal(e.text + sizeof(e.text) - 5, "x...");
    err_wrap(&e, "head");
    assert_int_equal(strncmp(e.text, "head: xxx", 9), 0);
    assert_string_equal(e.text + sizeof(e.text) - 5, "x...");
}

static void error_codes_are_found_by_number(void **state)
{
    size_t len;
    const struct error_code_info *codes = error_codes(&len);
    assert_int_equal(len, 100);
    for (size_t i = 0; i < len; i++) {
        assert_true(i == 0 || codes[i].code > codes[i - 1].code);
        assert_ptr_equal(error_code_find((int)codes[i].code), &codes[i]);
        assert_true(strlen(codes[i].what) > 0 && strlen(codes[i].todo) > 0);
    }
    assert_string_equal(error_code_find(ERROR_SDS_CERT_MISMATCH)->label, "E5027");
    assert_null(error_code_find(5028));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_codes_are_found_by_number),
        cmocka_unit_test(views_compare_by_bytes),
        cmocka_unit_test(trims_and_cuts),
        cmocka_unit_test(reads_whole_numbers_in_range),
        cmocka_unit_test(reads_durations_as_go_writes_them),
        cmocka_unit_test(writes_dates),
        cmocka_unit_test(errors_gather_context),
        cmocka_unit_test(long_errors_say_that_they_were_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
