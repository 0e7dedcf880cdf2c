/* YAML in and out. What a text means is written as JSON here, as kubectl would send it. */
#include "value_fixture.h"

#include "base/limits.h"

static struct value *yaml(struct str text)
{
    struct value *v = NULL;
    struct err e = ERR_INIT;
    if (value_read_yaml(arena, text, 1, &v, NULL, &e) < 0) {
        fail_msg("%.*s: %s", STR_ARG(text), e.text);
    }
    return v;
}

static void expect(const char *text, const char *want_json)
{
    const char *found = json_text(yaml(str_of(text)));
    if (strcmp(found, want_json) != 0) {
        fail_msg("%s: expected %s, found %s", text, want_json, found);
    }
}

static void refuse(const char *text, int line, const char *says)
{
    struct value *v = NULL;
    struct err e = ERR_INIT;
    int error_line = 0;
    if (value_read_yaml(arena, str_of(text), 1, &v, &error_line, &e) == 0) {
        fail_msg("%s: expected to be refused", text);
    }
    if (strcmp(e.text, says) != 0 || error_line != line) {
        fail_msg("%s: expected line %d: %s, found line %d: %s", text, line, says, error_line,
                 e.text);
    }
}

static void plain_scalars_are_what_kubectl_takes_them_for(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"true", "true"},
        {"Yes", "true"},
        {"y", "true"},
        {"ON", "true"},
        {"tRue", "\"tRue\""},
        {"False", "false"},
        {"no", "false"},
        {"N", "false"},
        {"Off", "false"},
        {"yess", "\"yess\""},
        {"", "null"},
        {"~", "null"},
        {"Null", "null"},
        {"nil", "\"nil\""},
        {"0", "0"},
        {"-0", "0"},
        {"+12", "12"},
        {"0644", "420"},
        {"0o17", "15"},
        {"0b101", "5"},
        {"-0x1F", "-31"},
        {"0x", "\"0x\""},
        {"08", "8"},
        {"0xfg", "\"0xfg\""},
        {"1_000", "\"1_000\""},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9.223372036854776e+18"},
        {"1.5", "1.5"},
        {"3.0", "3"},
        {".5", "0.5"},
        {"5.", "5"},
        {"1e3", "1000"},
        {"1E-7", "1e-07"},
        {"1e", "\"1e\""},
        {"1.2.3", "\"1.2.3\""},
        {"1e999", "\"1e999\""},
        {".", "\".\""},
        {"-", "[null]"},
        {"+", "\"+\""},
        {"1:30", "\"1:30\""},
        {"2001-01-01", "\"2001-01-01\""},
        {"2001-01-01T00:00:00Z", "\"2001-01-01T00:00:00Z\""},
        {"10.0.0.1/24", "\"10.0.0.1/24\""},
        {"'yes'", "\"yes\""},
        {"\"1\"", "\"1\""},
        {"|\n  1\n", "\"1\\n\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        expect(cases[i].text, cases[i].json);
    }
}

static void tags_change_the_type(void **state)
{
    expect("!!str 1", "\"1\"");
    expect("! yes", "\"yes\"");
    expect("!!int \"7\"", "7");
    expect("!!float 3", "3");
    expect("!!float 2.5", "2.5");
    expect("!!bool yes", "true");
    expect("!!null ''", "null");
    expect("!!timestamp 2001-01-01", "\"2001-01-01\"");
    expect("!!binary aGVs\n  bG8=", "\"hello\"");
    expect("!!map {a: !!seq [1]}", "{\"a\":[1]}");
    refuse("a: !!int x", 1, "expected a whole number after \"!!int\", found \"x\"");
    refuse("a: !!int 1.5", 1, "expected a whole number after \"!!int\", found \"1.5\"");
    refuse("a: !!bool 1", 1, "expected true or false after \"!!bool\", found \"1\"");
    refuse("a: !!set {b}", 1,
           "expected a standard tag such as \"!!str\", found \"tag:yaml.org,2002:set\"");
    refuse("!foo a: 1", 1, "expected a standard tag such as \"!!str\", found \"!foo\"");
    refuse("a: !!map [1]", 1,
           "expected a standard tag such as \"!!str\", found \"tag:yaml.org,2002:map\"");
    refuse("a: !!binary /w==", 1,
           "expected base64 of UTF-8 text after \"!!binary\", found other content");
    refuse("a: !!binary '?'", 1,
           "expected base64 of UTF-8 text after \"!!binary\", found other content");
}

static void keys_are_text(void **state)
{
    expect("8080: a\nyes: b\n~: c\n'': d\n1.50: e", "{\"8080\":\"a\",\"yes\":\"b\",\"~\":\"c\","
                                                    "\"\":\"d\",\"1.50\":\"e\"}");
    expect("'<<': 1\n? x y\n: 2\n!!str 3: 4", "{\"<<\":1,\"x y\":2,\"3\":4}");
    refuse("{a: 1, : 2}", 1, "expected a value, found \":\"");
    refuse("[a]: 1", 1, "expected text as a key, found a list");
    refuse("x: {{ .Values.a }}", 1,
           "expected text as a key, found a mapping; quote text that begins with \"{\"");
    refuse("\"a\\0b\": 1", 1, "expected text as a key, found a NUL character in it");
    refuse("a: 1\nb: 2\nc:\n  x: 1\n  y: 2\n  x: 3\n", 6,
           "key \"x\" is given twice, on lines 4 and 6; remove one");
    refuse("c: 1\nb: 2\nb: 3\na: 4\na: 5\n", 3,
           "key \"b\" is given twice, on lines 2 and 3; remove one");
    refuse("a: {b: 1}\n<<: {c: 1}", 2,
           "merge keys (\"<<\") are not supported; write the merged fields out");
}

static void aliases_stand_for_what_they_name(void **state)
{
    expect("a: &x {p: [1, &s text]}\nb: *x\n*s : *s", "{\"a\":{\"p\":[1,\"text\"]},"
                                                      "\"b\":{\"p\":[1,\"text\"]},"
                                                      "\"text\":\"text\"}");
    expect("- &a 1\n- *a\n- &a 2\n- *a", "[1,1,2,2]");
    expect("&k key: *k", "{\"key\":\"key\"}");
    refuse("a: *b", 1,
           "expected the name of an anchor that was defined before, found \"*b\"; quote text that "
           "begins with \"*\"");
    refuse("a: &a [*a]", 1,
           "expected the name of an anchor that was defined before, found \"*a\"; quote text that "
           "begins with \"*\"");
    refuse("a: &a [1]\n*a : 1", 2, "expected text as a key, found an alias of something else");
}

static void a_billion_laughs_are_refused(void **state)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    buf_addz(&text, "a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (char c = 'b'; c < 'k'; c++) {
        buf_printf(&text, "%c: &%c [", c, c);
        for (int i = 0; i < 10; i++) {
            buf_printf(&text, "%s*%c", i ? "," : "", c - 1);
        }
        buf_addz(&text, "]\n");
    }
    refuse(buf_str(&text).ptr, 6,
           "expected at most 200000 values in a document, each use of an alias counted in full, "
           "found more");
}

static const char *repeated(struct buf *out, const char *head, const char *one, size_t count,
                            const char *tail)
{
    buf_init(out, 1u << 26);
    buf_addz(out, head);
    for (size_t i = 0; i < count; i++) {
        buf_addz(out, one);
    }
    buf_addz(out, tail);
    return out->data;
}

static void yaml_has_limits(void **state)
{
    struct buf b;
    refuse(repeated(&b, "", "[", LIMIT_DOC_DEPTH + 1, "\n"), 1,
           "expected at most 64 levels of nesting, found more");
    buf_done(&b);
    repeated(&b, "", "- ", LIMIT_DOC_DEPTH, "x\n");
    yaml(buf_str(&b));
    buf_done(&b);
    /* 40 levels in an anchor that is used 40 levels deep. */
    repeated(&b, "a: &a ", "[", 40, "");
    for (int i = 0; i < 40; i++) {
        buf_addc(&b, ']');
    }
    buf_addz(&b, "\nb:\n  ");
    for (int i = 0; i < 40; i++) {
        buf_addz(&b, "- ");
    }
    buf_addz(&b, "*a\n");
    refuse(b.data, 3, "expected at most 64 levels of nesting, found more");
    buf_done(&b);
    refuse(repeated(&b, "", "- 1\n", LIMIT_DOC_VALUES, ""), LIMIT_DOC_VALUES,
           "expected at most 200000 values in a document, each use of an alias counted in full, "
           "found more");
    buf_done(&b);
    refuse(repeated(&b, "a: ", "xxxxxxxx", LIMIT_DOC_BYTES / 8, "\n"), 1,
           "expected a document of at most 2097152 bytes, found 2097156");
    buf_done(&b);
    refuse(repeated(&b, "", "%TAG !x! y\n", LIMIT_DOC_DIRECTIVES + 1, "---\na: 1\n"), 17,
           "expected at most 16 lines that begin with \"%\", found more");
    buf_done(&b);
}

static void syntax_errors_say_what_to_change(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *says;
    } cases[] = {
        {"a: 1\n{\"ports\":\n", 2, "expected \":\" after a key, found none"},
        {"{\"ports\":\n", 1, "expected a value for key \"ports\", found the end of the document"},
        {"ports: ]", 1, "expected a value for key \"ports\", found \"]\""},
        {"a: b: c", 1,
         "found \": \" where no value can begin; quote text that holds a colon, or check the "
         "indentation"},
        {"a:\n  - b\n c: 1\n", 3,
         "expected a key of the mapping or its end; check the indentation and quotes (it begins "
         "on line 1)"},
        {"a:\n  - b\n  c: 1\n", 3,
         "expected another entry of the list (\"- \") or its end; check the indentation (it "
         "begins on line 2)"},
        {"a: - b", 1, "found a list entry (\"- \") where none can begin; check the indentation"},
        {"a: [1,\n  2\nb: 3\n", 3, "expected \",\" or \"]\" in the list (it begins on line 1)"},
        {"a: {b: c\n\n", 1, "expected \",\" or \"}\" in the mapping"},
        {"a: 1\nb: \"x\nc: 2\n", 3,
         "expected the quote that ends a text, found the end of the document (it begins on line "
         "2)"},
        {"a:\n\tb: 1", 2,
         "found a tab where a value or the indentation begins; indent with spaces"},
        {"a: |\n\tb", 2, "found a tab in the indentation; indent with spaces"},
        {"a: @x", 1, "found \"@\", which can't begin plain text; quote the text"},
        {"a: \"\\d\"", 1,
         "found an unknown escape after \"\\\" in double quotes; write \"\\\\\" for a backslash, "
         "or use single quotes"},
        {"a: *", 1,
         "expected a name of letters and digits after \"&\" or \"*\"; quote text that begins "
         "with one of these"},
        {"a: !x!y z", 1,
         "expected a standard tag such as \"!!str\", found one with an unknown prefix; quote "
         "text that begins with \"!\""},
        {"a: 1\nb: \x01\n", 2, "found a control character; write it as an escape in double quotes"},
        {"# caf\xc3\xa9\na: \xe9 la carte\n", 2, "the text is not UTF-8; save the file as UTF-8"},
        {"a: x\n# \xc3", 2,
         "the text is not UTF-8, it ends within a character; save the file as UTF-8"},
        {"\xff\xfe"
         "a",
         1, "the text is not UTF-8; save the file as UTF-8"},
        {"a: .inf", 1, "expected a finite number, found \".inf\"; quote it if it is text"},
        {"%FOO bar\n---\na: 1", 1,
         "found a line that begins with \"%\" and isn't %YAML or %TAG; quote the text"},
        {"a\n---\nb\n", 2, "expected one document, found another one"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        refuse(cases[i].text, cases[i].line, cases[i].says);
    }
    struct value *v;
    struct err e;
    value_read_yaml(arena, STR("a: 1\na: 2"), 10, &v, NULL, &e);
    assert_string_equal(e.text,
                        "line 11: key \"a\" is given twice, on lines 10 and 11; remove one");
}

static void values_know_their_lines(void **state)
{
    struct value *v = NULL;
    assert_int_equal(value_read_yaml(arena, STR("# c\na: 1\nb:\n  - x\n  - {c:\n      t}\n"), 100,
                                     &v, NULL, NULL),
                     0);
    assert_int_equal(v->line, 101);
    assert_int_equal(v->object.at[1].line, 102);
    assert_int_equal(value_at(v, "b")->line, 103);
    assert_int_equal(value_at(v, "b")->array.at[1].line, 104);
    assert_int_equal(value_at(&value_at(v, "b")->array.at[1], "c")->line, 105);
}

static void json_is_yaml_too(void **state)
{
    expect("{\n\t\"a\": [1, \"x\\/\\u00e9\"],\n\t\"b\": null\n}\n",
           "{\"a\":[1,\"x/\xc3\xa9\"],\"b\":null}");
    expect("{\"a\": \"\\ud83d\\ude00\"}", "{\"a\":\"\xf0\x9f\x98\x80\"}");
    struct value *v = yaml(STR("\n{\"a\":\n\"\\ud83d\\ude00\"}"));
    assert_int_equal(value_at(v, "a")->line, 1);
}

static void expect_documents(struct str text, const char *want)
{
    AUTO(buf_done) struct buf out;
    struct str rest = text, doc;
    int line = 1, next_line = 1;
    buf_init(&out, 65536);
    while (value_next_document(&rest, &doc, &line, &next_line)) {
        struct value *v = NULL;
        struct err e = ERR_INIT;
        buf_printf(&out, "%d:", line);
        if (value_read_yaml(arena, doc, line, &v, NULL, &e) < 0) {
            buf_addz(&out, "error");
        } else {
            value_write_json(v, &out);
        }
        buf_addc(&out, ' ');
    }
    assert_int_equal(rest.len, 0);
    assert_string_equal(buf_str(&out).ptr, want);
}

static void texts_are_cut_into_documents(void **state)
{
    expect_documents(STR(""), "");
    expect_documents(STR("\n# only comments\n---\n---\n...\n"), "");
    expect_documents(STR("a: 1"), "1:{\"a\":1} ");
    expect_documents(STR("---\na: 1\n---\nb: 2\n"), "1:{\"a\":1} 3:{\"b\":2} ");
    expect_documents(STR("a: 1\n--- # two\nb: 2\n---\n\n---\tc\n"),
                     "1:{\"a\":1} 2:{\"b\":2} 6:\"c\" ");
    expect_documents(STR("\xef\xbb\xbf---\r\na: |\r\n  x\r\n---\r\nb: 2\r\n"),
                     "1:{\"a\":\"x\\n\"} 4:{\"b\":2} ");
    expect_documents(STR("\xef\xbb\xbf# c\na: 1\n"), "1:{\"a\":1} ");
    expect_documents(STR("%YAML 1.1\n---\na: 1\n...\n%YAML 1.2\n---\nb: 2\n...\n"),
                     "1:{\"a\":1} 5:{\"b\":2} ");
    /* A broken document doesn't harm its neighbours. */
    expect_documents(STR("a: 1\n---\nb: [1\n---\nc: \"x\n---\nd: 4\n"),
                     "1:{\"a\":1} 2:error 4:error 6:{\"d\":4} ");
    /* Only at the start of a line, and only followed by white space. */
    expect_documents(STR("a: |\n  ---\n  x\nb: ---\n---c: 1\n"),
                     "1:{\"a\":\"---\\nx\\n\",\"b\":\"---\",\"---c\":1} ");
    expect_documents(STR("--- null\n--- |\n# text\n"), "1:null 2:\"\" ");
    expect_documents(STR("--- >\n %\n---\n%x: 1\n"), "1:\"%\\n\" 3:error ");
}

static void expect_yaml(const char *json_text, const char *want)
{
    AUTO(buf_done) struct buf out;
    struct value *v = NULL;
    buf_init(&out, 65536);
    assert_int_equal(value_read_json(arena, str_of(json_text), &v, NULL), 0);
    value_write_yaml(v, &out);
    assert_string_equal(buf_str(&out).ptr, want);
    assert_true(value_equal(v, yaml(buf_str(&out))));
}

static void yaml_is_written_in_blocks(void **state)
{
    expect_yaml("{\"a\":{\"b\":[1,{\"c\":null,\"d\":[]},[true,{}]]},\"e\":\"x\"}", "a:\n"
                                                                                   "  b:\n"
                                                                                   "  - 1\n"
                                                                                   "  - c: null\n"
                                                                                   "    d: []\n"
                                                                                   "  - - true\n"
                                                                                   "    - {}\n"
                                                                                   "e: x\n");
    expect_yaml("{}", "{}\n");
    expect_yaml("\"a\\nb\"", "|-\n  a\n  b\n");
    expect_yaml("{\"s\":[\"a\\n\\n b\\n\"]}", "s:\n- |\n    a\n\n     b\n");
}

static void text_is_quoted_when_it_could_be_something_else(void **state)
{
    static const struct {
        const char *json, *yaml;
    } cases[] = {
        {"\"yes\"", "\"yes\"\n"},
        {"\"N\"", "\"N\"\n"},
        {"\"null\"", "\"null\"\n"},
        {"\"\"", "\"\"\n"},
        {"\"1:30\"", "\"1:30\"\n"},
        {"\"0x1f\"", "\"0x1f\"\n"},
        {"\"1_000\"", "\"1_000\"\n"},
        {"\"10.0.0.1\"", "\"10.0.0.1\"\n"},
        {"\"-x\"", "\"-x\"\n"},
        {"\"a: b\"", "\"a: b\"\n"},
        {"\"a:\"", "\"a:\"\n"},
        {"\"a:b/c\"", "a:b/c\n"},
        {"\"a #b\"", "\"a #b\"\n"},
        {"\"a \"", "\"a \"\n"},
        {"\"<<\"", "\"<<\"\n"},
        {"\"/bin/sh -c\"", "/bin/sh -c\n"},
        {"\"say \\\"hi\\\"\\\\\"", "\"say \\\"hi\\\"\\\\\"\n"},
        {"\"a\\n\\n\"", "\"a\\n\\n\"\n"},
        {"\" a\\nb\"", "\" a\\nb\"\n"},
        {"\"a\\r\\nb\\t\\u0000\"", "\"a\\r\\nb\\t\\x00\"\n"},
        {"\"\\u0085\\u2028\\ufeff\\u007f\xc3\xa9\"", "\"\\x85\\u2028\\ufeff\\x7f\xc3\xa9\"\n"},
        {"{\"on\":{\"8080\":1,\"a b\":2}}", "\"on\":\n  \"8080\": 1\n  a b: 2\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        expect_yaml(cases[i].json, cases[i].yaml);
    }
}

static void long_keys_survive(void **state)
{
    struct value *v = value_new(arena, VALUE_OBJECT);
    char key[3001];
    memset(key, '\x01', 3000);
    key[3000] = '\0';
    value_set(arena, v, key, value_new_int(arena, 1));
    memset(key, 'k', 3000);
    value_push(arena, value_ensure(arena, v, key, VALUE_ARRAY), value_new_bool(arena, true));
    AUTO(buf_done) struct buf out;
    buf_init(&out, 65536);
    value_write_yaml(v, &out);
    assert_true(value_equal(v, yaml(buf_str(&out))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_scalars_are_what_kubectl_takes_them_for),
        cmocka_unit_test(tags_change_the_type),
        cmocka_unit_test(keys_are_text),
        cmocka_unit_test(aliases_stand_for_what_they_name),
        cmocka_unit_test(a_billion_laughs_are_refused),
        cmocka_unit_test(yaml_has_limits),
        cmocka_unit_test(syntax_errors_say_what_to_change),
        cmocka_unit_test(values_know_their_lines),
        cmocka_unit_test(json_is_yaml_too),
        cmocka_unit_test(texts_are_cut_into_documents),
        cmocka_unit_test(yaml_is_written_in_blocks),
        cmocka_unit_test(text_is_quoted_when_it_could_be_something_else),
        cmocka_unit_test(long_keys_survive),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
