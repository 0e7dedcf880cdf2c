/* Command lines: what tables of commands and flags make of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/command.h"

static bool yes, on;
static const char *name, *format;
static struct texts sets, namespaces;
static int64_t seconds, port;
static int runs;
static char seen[512]; /* the arguments and lists that the command got */

static void see(const char *const *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        strncat(seen, at[i], sizeof(seen) - strlen(seen) - 1);
        strncat(seen, ";", sizeof(seen) - strlen(seen) - 1);
    }
}

static int on_run(const struct args *args, struct err *e)
{
    runs++;
    see(args->at, args->len);
    see(sets.at, sets.len);
    see(namespaces.at, namespaces.len);
    return name && strcmp(name, "broken") == 0 ? err_set(e, "it broke") : 0;
}

static const char *managed(void)
{
    return "this mesh is managed elsewhere";
}

static const struct flag leaf_flags[] = {
    {"yes", 'y', FLAG_BOOL, NULL, "don't ask", &yes},
    {"on", 'o', FLAG_BOOL, NULL, "switched on", &on},
    {"set", 0, FLAG_STRINGS, "KEY=VALUE", "a value", &sets},
    {"namespaces", 'n', FLAG_LIST, "LIST", "which namespaces", &namespaces},
    {"timeout", 't', FLAG_SECONDS, "TIME", "how long", &seconds},
    {"port", 'p', FLAG_NUMBER, "PORT", "which port", &port, .min = 1, .max = 65535},
    {"format", 0, FLAG_STRING, "json|yaml", "how", &format},
    {0},
};
static const struct flag needy_flags[] = {
    {"pod", 0, FLAG_STRING, "POD", "which pod", &name, .required = true, .env = "TEST_POD"},
    {0},
};
static const struct flag root_flags[] = {
    {"name", 0, FLAG_STRING, "NAME", "which mesh", &name, .env = "TEST_NAME"},
    {0},
};
static const struct command root = {
    .name = "tool",
    .summary = "A tool",
    .flags = root_flags,
    .children =
        (const struct command[]){
            {.name = "leaf",
             .aliases = "sheet blade",
             .arguments = "[WORD...]",
             .summary = "A leaf",
             .flags = leaf_flags,
             .max_args = 3,
             .run = on_run},
            {.name = "needy", .summary = "Needs", .flags = needy_flags, .run = on_run},
            {.name = "gone", .summary = "Gone", .run = on_run, .unavailable = managed},
            {.name = "island", .summary = "An island", .run = on_run, .alone = true},
            {.name = "secret", .summary = "Secret", .run = on_run, .hidden = true},
            {0},
        },
};
static const struct command daemon_root = {
    .name = "daemon", .summary = "A daemon", .flags = leaf_flags, .run = on_run};

static int reset(void **state)
{
    yes = false;
    on = true;
    name = format = NULL;
    seconds = 300;
    port = 8080;
    runs = 0;
    seen[0] = '\0';
    unsetenv("TEST_NAME");
    unsetenv("TEST_POD");
    return 0;
}

/* What a line prints on stdout and stderr; the text lasts until the next call. */
static int run(const struct command *c, const char **ret_text, const char *const *words)
{
    static char text[8192];
    char *argv[32] = {(char *)"tool"};
    FILE *file = tmpfile();
    int argc = 1, out = dup(1), err = dup(2);
    while (*words) {
        argv[argc++] = (char *)*words++;
    }
    fflush(NULL);
    dup2(fileno(file), 1);
    dup2(fileno(file), 2);
    int code = command_run(c, argc, argv);
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    *ret_text = text;
    return code;
}

#define RUN(c, ret_text, ...) run(c, ret_text, (const char *const[]){__VA_ARGS__, NULL})

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("expected \"%s\" in:\n%s", part, text);
    }
}

static void reads_each_way_of_giving_a_flag(void **state)
{
    const char *text;
    assert_int_equal(RUN(&root, &text, "leaf", "-y", "--on=false", "--name", "a", "-p81",
                         "--timeout=1h30m", "--set", "a=1,b=2", "--set=c=3", "-n", "x, y",
                         "--namespaces=z", "--format=yaml", "one", "--", "--two"),
                     0);
    assert_true(yes && !on);
    assert_string_equal(name, "a");
    assert_int_equal(port, 81);
    assert_int_equal(seconds, 5400);
    assert_string_equal(format, "yaml");
    assert_string_equal(seen, "one;--two;a=1,b=2;c=3;x;y;z;");
    assert_int_equal(namespaces.len, 0);
    assert_int_equal(RUN(&root, &text, "blade", "-yo=false", "-t=5"), 0);
    assert_true(yes && !on);
    assert_int_equal(seconds, 5);
}

static void environment_stands_in(void **state)
{
    const char *text;
    setenv("TEST_NAME", "env", 1);
    assert_int_equal(RUN(&root, &text, "leaf"), 0);
    assert_string_equal(name, "env");
    assert_int_equal(RUN(&root, &text, "leaf", "--name=given"), 0);
    assert_string_equal(name, "given");
}

static void a_needed_flag_is_asked_for(void **state)
{
    const char *text;
    assert_int_equal(RUN(&root, &text, "needy"), 2);
    assert_string_equal(text, "tool needy: --pod POD is needed\nSee: tool needy --help\n");
    setenv("TEST_POD", "p", 1);
    assert_int_equal(RUN(&root, &text, "needy"), 0);
    assert_string_equal(name, "p");
    assert_int_equal(RUN(&root, &text, "needy", "--help"), 0);
    assert_says(text, "  --pod POD");
}

static void usage_errors_say_what_was_expected(void **state)
{
    static const struct {
        const char *words[4];
        const char *want;
    } cases[] = {
        {{"leef"}, "tool: there is no command \"leef\"\nSee: tool --help\n"},
        {{"leaf", "--nme", "x"}, "tool leaf: there is no flag --nme\nSee: tool leaf --help\n"},
        {{"leaf", "-x"}, "there is no flag -x"},
        {{"leaf", "--p=1"}, "there is no flag --p=1"},
        {{"leaf", "--port"}, "--port: expected PORT, found nothing"},
        {{"leaf", "--port=0"}, "--port: expected a whole number from 1 to 65535, found \"0\""},
        {{"leaf", "--port=x"}, "--port: expected a whole number from 1 to 65535, found \"x\""},
        {{"leaf", "--on=maybe"}, "--on: expected true or false, found \"maybe\""},
        {{"leaf", "--format", "xml"}, "--format: expected json|yaml, found \"xml\""},
        {{"leaf", "-t", "1h30"}, "--timeout: expected a time such as 90s or 2m, found \"1h30\""},
        {{"leaf", "-t", ""}, "--timeout: expected a time such as 90s or 2m, found \"\""},
        {{"leaf", "-t", "99999999999999999999"}, "--timeout: expected a time"},
        {{"leaf", "-t", "m"}, "--timeout: expected a time"},
        {{"island", "--name", "x"}, "tool island: there is no flag --name"},
        {{"secret", "x"}, "tool secret: didn't expect \"x\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *text;
        assert_int_equal(run(&root, &text, cases[i].words), 2);
        assert_says(text, cases[i].want);
    }
    assert_int_equal(runs, 0);
}

static void help_shows_defaults_whatever_the_line_says(void **state)
{
    const char *text;
    assert_int_equal(RUN(&root, &text, "leaf", "--port", "1", "--help"), 0);
    assert_says(text, "Usage: tool leaf [WORD...]\nAlso named: sheet blade\n");
    assert_says(text, "  -o, --on                switched on (true)\n");
    assert_says(text, "  -t, --timeout TIME      how long (5m)\n");
    assert_says(text, "  -p, --port PORT         which port (8080)\n");
    assert_says(text, "\nFlags of every command:\n      --name NAME  which mesh ($TEST_NAME)\n");
    assert_int_equal(port, 8080);
    assert_int_equal(RUN(&root, &text, "--help"), 0);
    assert_says(text, "  leaf    A leaf\n");
    assert_null(strstr(text, "Secret"));
    assert_null(strstr(text, "Gone"));
}

static void failures_are_one_sentence(void **state)
{
    const char *text;
    assert_int_equal(RUN(&root, &text, "leaf", "--name=broken"), 1);
    assert_string_equal(text, "tool: it broke\n");
    assert_int_equal(RUN(&root, &text, "gone"), 1);
    assert_string_equal(text, "tool: this mesh is managed elsewhere\n");
}

static void a_root_may_be_the_command(void **state)
{
    const char *text;
    assert_int_equal(RUN(&daemon_root, &text, "--on=false"), 0);
    assert_false(on);
    assert_int_equal(runs, 1);
    assert_int_equal(RUN(&daemon_root, &text, "word"), 2);
    assert_says(text, "daemon: didn't expect \"word\"\nSee: daemon --help\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reads_each_way_of_giving_a_flag, reset),
        cmocka_unit_test_setup(environment_stands_in, reset),
        cmocka_unit_test_setup(a_needed_flag_is_asked_for, reset),
        cmocka_unit_test_setup(usage_errors_say_what_was_expected, reset),
        cmocka_unit_test_setup(help_shows_defaults_whatever_the_line_says, reset),
        cmocka_unit_test_setup(failures_are_one_sentence, reset),
        cmocka_unit_test_setup(a_root_may_be_the_command, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
