/* Trees of values: lookup, building, comparing; JSON; findings. */
#include "value_fixture.h"

#include "base/limits.h"
#include "doc/findings.h"

static struct value *json(const char *text)
{
    struct value *v = NULL;
    struct err e = ERR_INIT;
    if (value_read_json(arena, str_of(text), &v, &e) < 0) {
        fail_msg("%s: %s", text, e.text);
    }
    return v;
}

static void expect_json(const struct value *v, const char *want)
{
    assert_string_equal(json_text(v), want);
}

static void lookup_follows_dots_and_never_fails(void **state)
{
    const struct value *v = json("{\"spec\":{\"rules\":[1],\"name\":\"x\",\"n\":null}}");
    assert_int_equal(value_at(v, "spec.rules")->array.len, 1);
    assert_true(str_is(value_string_at(v, "spec.name"), "x"));
    assert_int_equal(value_at(v, "spec.n")->type, VALUE_NULL);
    assert_null(value_at(v, "spec.rules.x"));
    assert_null(value_at(v, "spec.none"));
    assert_null(value_at(NULL, "spec"));
    assert_null(value_member(NULL, "spec"));
    assert_null(value_member(value_at(v, "spec.name"), "x"));
    assert_string_equal(value_string_at(v, "spec.rules").ptr, "");
    assert_string_equal(value_string_at(NULL, "a.b").ptr, "");
}

static void building_keeps_the_order_of_members(void **state)
{
    struct value *v = value_new(arena, VALUE_OBJECT);
    value_set(arena, v, "z", value_new_int(arena, -1));
    value_set(arena, v, "a", value_new_bool(arena, true));
    value_set(arena, v, "s", value_new_stringf(arena, "%d%%", 7));
    value_set(arena, v, "z", value_new_string(arena, STR("again")));
    struct value *list = value_ensure(arena, v, "list", VALUE_ARRAY);
    for (int i = 0; i < 6; i++) {
        value_push(arena, list, value_new_int(arena, i));
    }
    value_set(arena, value_ensure(arena, v, "o", VALUE_OBJECT), "k", value_new(arena, VALUE_NULL));
    expect_json(v, "{\"z\":\"again\",\"a\":true,\"s\":\"7%\",\"list\":[0,1,2,3,4,5],"
                   "\"o\":{\"k\":null}}");
}

static void ensure_replaces_what_is_of_another_type(void **state)
{
    struct value *v = value_copy(arena, json("{\"labels\":null,\"args\":\"x\",\"keep\":[1]}"));
    value_set(arena, value_ensure(arena, v, "labels", VALUE_OBJECT), "a", value_new_int(arena, 1));
    value_push(arena, value_ensure(arena, v, "args", VALUE_ARRAY), value_new_int(arena, 2));
    value_push(arena, value_ensure(arena, v, "keep", VALUE_ARRAY), value_new_int(arena, 2));
    expect_json(v, "{\"labels\":{\"a\":1},\"args\":[2],\"keep\":[1,2]}");
}

static void editing_a_copy_leaves_the_original(void **state)
{
    const char *text = "{\"a\":{\"b\":[1,2]},\"c\":1}";
    const struct value *original = json(text);
    struct value *copy = value_copy(arena, original);
    struct value *a = value_ensure(arena, copy, "a", VALUE_OBJECT);
    value_push(arena, value_ensure(arena, a, "b", VALUE_ARRAY), value_new_int(arena, 3));
    value_set(arena, copy, "c", value_new_int(arena, 2));
    expect_json(original, text);
    expect_json(copy, "{\"a\":{\"b\":[1,2,3]},\"c\":2}");
}

/* One tree stored in two others, which are then changed. */
static void shared_parts_are_copied_when_changed(void **state)
{
    struct value *part = value_new(arena, VALUE_OBJECT);
    value_push(arena, value_ensure(arena, part, "l", VALUE_ARRAY), value_new_int(arena, 0));
    struct value *trees[2];
    for (int i = 0; i < 2; i++) {
        trees[i] = value_new(arena, VALUE_OBJECT);
        value_set(arena, trees[i], "part", part);
    }
    for (int i = 0; i < 2; i++) {
        struct value *mine = value_ensure(arena, trees[i], "part", VALUE_OBJECT);
        value_push(arena, value_ensure(arena, mine, "l", VALUE_ARRAY), value_new_int(arena, i + 1));
        value_set(arena, mine, "n", value_new_int(arena, i));
    }
    expect_json(part, "{\"l\":[0]}");
    expect_json(trees[0], "{\"part\":{\"l\":[0,1],\"n\":0}}");
    expect_json(trees[1], "{\"part\":{\"l\":[0,2],\"n\":1}}");
}

static void equality_ignores_order_lines_and_kinds_of_number(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"{\"a\":1,\"b\":[true]}", "{\"b\":[true],\"a\":1.0}", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":1}", "{\"a\":\"1\"}", false},
        {"[1,2]", "[2,1]", false},
        {"[1,2]", "[1,2,3]", false},
        {"[]", "{}", false},
        {"null", "false", false},
        {"1.5", "1.5", true},
        {"0", "-0.0", true},
        {"9007199254740993", "9007199254740992", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct value *a = json(cases[i].a), *b = json(cases[i].b);
        assert_int_equal(value_equal(a, b), cases[i].equal);
        assert_int_equal(value_equal(b, a), cases[i].equal);
        if (cases[i].equal) {
            assert_true(value_hash(a) == value_hash(b));
        }
    }
    struct value whole = {.type = VALUE_FLOAT, .number = 3};
    assert_true(value_equal(&whole, json("3")));
    assert_true(value_hash(&whole) == value_hash(json("3")));
    assert_true(value_hash(json("[1,2]")) != value_hash(json("[2,1]")));
    assert_true(value_hash(json("{\"a\":\"b\"}")) != value_hash(json("{\"b\":\"a\"}")));
    assert_true(value_hash(json("[[]]")) != value_hash(json("[]")));
}

static void json_reads_and_writes_back(void **state)
{
    static const char *const same[] = {
        "null",
        "true",
        "-5",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "0.1",
        "1e-07",
        "\"\"",
        "[]",
        "{}",
        "[[],{},\"x\",null,false]",
        "{\"b\":{\"y\":1,\"x\":2},\"a\":[1]}",
        "\"\\\"\\\\\\n\\u0000\\u001f\xc3\xa9\xf0\x9f\x98\x80\"",
    };
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        expect_json(json(same[i]), same[i]);
    }
    expect_json(json(" [ 1.0 , 1e2, \"\\u00e9\\/\\ud83d\\ude00\" ] "),
                "[1,100,\"\xc3\xa9/\xf0\x9f\x98\x80\"]");
    /* What a neighbour in a list may hold must not refuse the list. */
    expect_json(json("[100000000000000000000,7,1.5]"), "[1e+20,7,1.5]");
    assert_int_equal(json("\"a\\u0000b\"")->string.len, 3);
}

static void broken_json_says_where(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "broken JSON at line 1, column 0: it ends too early"},
        {"{\"a\":\n", "broken JSON at line 2, column 0: it ends too early"},
        {"{\"a\":1,\n\"a\":2}",
         "broken JSON at line 2, column 3: a key is given twice in one object"},
        {"[1,]", "broken JSON at line 1, column 4: this is not JSON"},
        {"{} {}",
         "broken JSON at line 1, column 4: expected the end after the first value, found more"},
        {"\"\xe9\"", "broken JSON at line 1, column 1: the text is not UTF-8"},
        {"[1e999]", "broken JSON at line 1, column 6: a number is too large"},
        {"{\"\\u0000\":1}", "broken JSON at line 1, column 9: a key holds a NUL character"},
        {"\"\\ud800\"", "broken JSON at line 1, column 8: this is not JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct value *v = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(value_read_json(arena, str_of(cases[i].text), &v, &e), -1);
        assert_null(v);
        assert_string_equal(e.text, cases[i].says);
    }
}

static int read_repeated(const char *head, const char *one, size_t count, const char *tail,
                         struct err *e)
{
    AUTO(buf_done) struct buf text;
    struct value *v;
    buf_init(&text, 1u << 28);
    buf_addz(&text, head);
    for (size_t i = 0; i < count; i++) {
        buf_addz(&text, one);
    }
    buf_addz(&text, tail);
    return value_read_json(arena, buf_str(&text), &v, e);
}

static void json_has_limits(void **state)
{
    struct err e;
    assert_int_equal(read_repeated("", "[", LIMIT_DOC_DEPTH + 1, "", &e), -1);
    assert_string_equal(e.text, "expected at most 64 levels of nesting, found more");
    assert_int_equal(read_repeated("[0", ",0", LIMIT_JSON_VALUES, "]", &e), -1);
    assert_string_equal(e.text, "expected JSON of at most 4000000 values, found more");
    assert_int_equal(read_repeated("\"", "xxxxxxxxxxxxxxxx", LIMIT_JSON_BYTES / 16, "\"", &e), -1);
    assert_string_equal(e.text, "expected JSON of at most 67108864 bytes, found 67108866");
    /* Brackets and commas in strings don't count. */
    assert_int_equal(read_repeated("[\"", "[,\\\"", 5000000, "\"]", &e), 0);
}

static void findings_read_as_sentences(void **state)
{
    AUTO(findings_done) struct findings f = {0};
    findings_add(&f, FINDING_ERROR, "demo/split.yaml", 14, "TrafficSplit a/b",
                 "spec.x: expected %d", 1);
    findings_add(&f, FINDING_WARNING, "x.yaml", 0, NULL, "y");
    findings_add(&f, FINDING_ERROR, NULL, 3, NULL, "z");
    assert_int_equal(f.errors, 2);
    assert_int_equal(f.warnings, 1);
    AUTO(free) char *first = finding_text(&f.list.at[0]);
    AUTO(free) char *second = finding_text(&f.list.at[1]);
    AUTO(free) char *third = finding_text(&f.list.at[2]);
    assert_string_equal(first, "error: demo/split.yaml:14: TrafficSplit a/b: spec.x: expected 1");
    assert_string_equal(second, "warning: x.yaml: y");
    assert_string_equal(third, "error: line 3: z");
}

static void findings_keep_the_first_and_count_the_rest(void **state)
{
    AUTO(findings_done) struct findings one = {0}, all = {0};
    for (int i = 0; i < LIMIT_FILE_FINDINGS + 50; i++) {
        findings_add(&one, i == 140 ? FINDING_ERROR : FINDING_WARNING, "f", i, NULL, "%d", i);
    }
    assert_int_equal(one.list.len, LIMIT_FILE_FINDINGS);
    assert_int_equal(one.warnings, LIMIT_FILE_FINDINGS + 49);
    const struct finding *last = &one.list.at[LIMIT_FILE_FINDINGS - 1];
    assert_int_equal(last->level, FINDING_ERROR);
    assert_string_equal(last->text, "51 more findings are not shown; correct those above first");
    findings_append(&all, &one);
    findings_append(&all, &one);
    assert_int_equal(all.list.len, 2 * LIMIT_FILE_FINDINGS);
    assert_int_equal(all.errors, 2);
    findings_add(&all, FINDING_ERROR, "f", 1, NULL, "one more");
    assert_int_equal(all.list.len, 2 * LIMIT_FILE_FINDINGS + 1);
    assert_string_equal(all.list.at[99].text, last->text);
}

static void a_huge_finding_is_cut(void **state)
{
    AUTO(findings_done) struct findings f = {0};
    findings_add(&f, FINDING_ERROR, NULL, 0, NULL, "%010000d", 1);
    assert_int_equal(strlen(f.list.at[0].text), 8192);
    assert_string_equal(f.list.at[0].text + 8189, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_follows_dots_and_never_fails),
        cmocka_unit_test(building_keeps_the_order_of_members),
        cmocka_unit_test(ensure_replaces_what_is_of_another_type),
        cmocka_unit_test(editing_a_copy_leaves_the_original),
        cmocka_unit_test(shared_parts_are_copied_when_changed),
        cmocka_unit_test(equality_ignores_order_lines_and_kinds_of_number),
        cmocka_unit_test(json_reads_and_writes_back),
        cmocka_unit_test(broken_json_says_where),
        cmocka_unit_test(json_has_limits),
        cmocka_unit_test(findings_read_as_sentences),
        cmocka_unit_test(findings_keep_the_first_and_count_the_rest),
        cmocka_unit_test(a_huge_finding_is_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
