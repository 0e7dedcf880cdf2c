/* Flags that the daemons share: what a chart passes is taken, what would mean more is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/flags.h"

static struct daemon_flags f;
static char text[1024];
static int64_t own;

static int run(const struct args *args, struct err *e)
{
    struct err why = ERR_INIT;
    if (daemon_begin("osm-test", METRICS_BOOTSTRAP, &f, &why) < 0) {
        strcpy(text, why.text);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static const struct flag table[] = {
    DAEMON_FLAG_ROWS(f),
    {.name = "own", .type = FLAG_NUMBER, .value = "N", .help = "one of its own", .to = &own},
    {0},
};
static const struct command root = {
    .name = "osm-test", .summary = "A daemon", .flags = table, .run = run};

static int parse(size_t n, const char *const *words)
{
    char *argv[32] = {(char *)"osm-test"};
    for (size_t i = 0; i < n; i++) {
        argv[i + 1] = (char *)words[i];
    }
    f = (struct daemon_flags)DAEMON_FLAGS_DEFAULTS;
    text[0] = '\0';
    own = 0;
    int code = command_run(&root, (int)n + 1, argv);
    metrics_done();
    return code;
}
#define PARSE(...)                                                                                 \
    parse(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void defaults_are_those_of_open_service_mesh(void **state)
{
    assert_int_equal(PARSE("--own", "3"), EXIT_OK);
    assert_int_equal(own, 3);
    assert_string_equal(f.mesh_name, "osm");
    assert_string_equal(f.osm_namespace, "osm-system");
    assert_string_equal(f.osm_config_name, "osm-mesh-config");
    assert_string_equal(f.ca_bundle_secret_name, "osm-ca-bundle");
    assert_string_equal(f.trust_domain, "cluster.local");
    assert_false(f.enable_reconciler);
}

static void what_a_chart_passes_is_taken(void **state)
{
    assert_int_equal(PARSE("--verbosity", "info", "--osm-namespace", "mesh", "--mesh-name=m",
                           "--certificate-manager", "tresor", "--vault-host", "", "--vault-port",
                           "8200", "--vault-protocol", "", "--vault-token", "",
                           "--cert-manager-issuer-kind", "Issuer", "--enable-reconciler",
                           "--trust-domain", "example.org"),
                     EXIT_OK);
    assert_string_equal(f.osm_namespace, "mesh");
    assert_string_equal(f.mesh_name, "m");
    assert_string_equal(f.trust_domain, "example.org");
    assert_true(f.enable_reconciler);
}

static void other_certificate_managers_are_refused(void **state)
{
    assert_int_equal(PARSE("--certificate-manager", "vault"), EXIT_FAILED);
    assert_non_null(strstr(text, "--certificate-manager vault isn't built into this version: use "
                                 "tresor"));
    assert_int_equal(PARSE("--certificate-manager=cert-manager"), EXIT_FAILED);
    assert_int_equal(PARSE("--certificate-manager=letters"), EXIT_USAGE);
}

static void flags_that_would_mean_something_are_refused(void **state)
{
    assert_int_equal(PARSE("--vault-host", "vault.example.org"), EXIT_FAILED);
    assert_string_equal(text, "--vault-host has no effect: this version signs certificates itself; "
                              "leave the flag out");
    assert_int_equal(PARSE("--cert-manager-issuer-name", "mine"), EXIT_FAILED);
    assert_int_equal(PARSE("--mesh-name", ""), EXIT_FAILED);
    assert_string_equal(text, "--mesh-name: expected a name, found nothing");
}

static void the_mesh_config_has_the_last_word_on_the_log_level(void **state)
{
    assert_int_equal(PARSE("-v", "error"), EXIT_OK);
    assert_false(log_enabled(LOG_WARN));
    daemon_log_level(&f, STR("debug"));
    assert_true(log_enabled(LOG_DEBUG));
    daemon_log_level(&f, STR(""));
    assert_false(log_enabled(LOG_WARN));
    assert_int_equal(PARSE("--own", "1"), EXIT_OK);
    assert_true(log_enabled(LOG_INFO));
    assert_false(log_enabled(LOG_DEBUG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_open_service_mesh),
        cmocka_unit_test(what_a_chart_passes_is_taken),
        cmocka_unit_test(other_certificate_managers_are_refused),
        cmocka_unit_test(flags_that_would_mean_something_are_refused),
        cmocka_unit_test(the_mesh_config_has_the_last_word_on_the_log_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
