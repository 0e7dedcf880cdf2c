/* Logs, as they arrive on stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define OUTPUT_MAX 65536

static struct {
    int fds[2], saved;
    char text[OUTPUT_MAX];
} capture;

static void begin(void)
{
    assert_int_equal(pipe(capture.fds), 0);
    capture.saved = dup(STDERR_FILENO);
    dup2(capture.fds[1], STDERR_FILENO);
    close(capture.fds[1]);
}

static const char *end(void)
{
    dup2(capture.saved, STDERR_FILENO);
    close(capture.saved);
    ssize_t n = read(capture.fds[0], capture.text, sizeof(capture.text) - 1);
    close(capture.fds[0]);
    capture.text[n > 0 ? n : 0] = '\0';
    return capture.text;
}

static void levels_have_their_names_of_the_mesh_config(void **state)
{
    static const struct {
        const char *name;
        enum log_level level;
    } cases[] = {{"trace", LOG_TRACE},  {"debug", LOG_DEBUG},  {"info", LOG_INFO},
                 {"warn", LOG_WARN},    {"warning", LOG_WARN}, {"error", LOG_ERROR},
                 {"disabled", LOG_OFF}, {"off", LOG_OFF},      {"fatal", LOG_ERROR},
                 {"panic", LOG_ERROR}};
    enum log_level got;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(log_level_parse(str_of(cases[i].name), &got));
        assert_int_equal(got, cases[i].level);
    }
    assert_false(log_level_parse(STR("loud"), &got));
    assert_false(log_level_parse(STR(""), &got));
}

static void an_event_is_one_line_of_json(void **state)
{
    begin();
    log_event(LOG_WARN, "object \"x\" refused", "file", "a\\b.yaml", "reason", "one\ntwo", NULL);
    const char *text = end();
    assert_non_null(strstr(text, "\"level\":\"warn\",\"message\":\"object \\\"x\\\" refused\","
                                 "\"file\":\"a\\\\b.yaml\",\"reason\":\"one\\u000atwo\"}\n"));
    assert_int_equal(strncmp(text, "{\"time\":\"20", 11), 0);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void on_a_terminal_it_is_text(void **state)
{
    log_set_json(false);
    begin();
    log_event(LOG_ERROR, "gone", "pod", "a b", NULL);
    const char *text = end();
    log_set_json(true);
    assert_non_null(strstr(text, " error gone pod=\"a b\"\n"));
}

static void lower_levels_are_silent(void **state)
{
    begin();
    log_event(LOG_DEBUG, "quiet", NULL);
    log_set_level(LOG_OFF);
    log_event(LOG_ERROR, "quiet too", NULL);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "heard", NULL);
    log_set_level(LOG_INFO);
    const char *text = end();
    assert_null(strstr(text, "quiet"));
    assert_non_null(strstr(text, "heard"));
    assert_true(log_enabled(LOG_INFO) && !log_enabled(LOG_DEBUG));
}

/* A log collector drops a line that is no JSON. */
static void a_huge_event_is_cut_and_still_json(void **state)
{
    AUTO(free) char *huge = mem_alloc(40000);
    memset(huge, '"', 39999);
    huge[39999] = '\0';
    begin();
    log_event(LOG_ERROR, "huge", "first", huge, "second", huge, "third", "x", NULL);
    const char *text = end();
    size_t len = strlen(text);
    assert_true(len > 8000 && len < 20000);
    assert_string_equal(text + len - 6, "...\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_their_names_of_the_mesh_config),
        cmocka_unit_test(an_event_is_one_line_of_json),
        cmocka_unit_test(on_a_terminal_it_is_text),
        cmocka_unit_test(lower_levels_are_silent),
        cmocka_unit_test(a_huge_event_is_cut_and_still_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
