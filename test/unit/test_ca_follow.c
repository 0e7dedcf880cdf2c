/* An issuer that follows the Secret of the mesh's root while others change it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/ca.h"

enum { PATIENCE_MS = 60000 };

static struct daemon_flags flags = DAEMON_FLAGS_DEFAULTS;
static const struct issuer_options options = {"cluster.local", CERT_KEY_ECDSA_P256, 0};

static struct {
    struct loop *loop;
    struct issuer *issuer; /* that follows */
    struct ca_follower *follower;
    int changes, problems;
    bool fine; /* the last that was told of problems */
    char problem[1024];
    int want_changes;
} f;

static void on_change(void *arg)
{
    f.changes++;
    if (f.changes == f.want_changes) {
        loop_stop(f.loop);
    }
}

static void on_problem(void *arg, const char *problem)
{
    f.problems++;
    f.fine = !problem;
    strcpy(f.problem, problem ? problem : "");
}

static struct issuer *new_issuer(void)
{
    struct issuer *i = NULL;
    assert_int_equal(issuer_new(&options, clock_wall_s(), &i, NULL), 0);
    return i;
}

/* Steps that would take a minute and ten take these times. */
static void follow(int64_t trust_ms, int64_t overlap_ms)
{
    struct ca_follow_options o = {.loop = f.loop,
                                  .flags = &flags,
                                  .issuer = f.issuer,
                                  .trust_ms = trust_ms,
                                  .overlap_ms = overlap_ms,
                                  .on_change = on_change,
                                  .on_problem = on_problem};
    f.follower = ca_follow(&o);
}

static int set_up(void **state)
{
    log_set_level(LOG_OFF);
    memset(&f, 0, sizeof(f));
    f.loop = loop_new();
    f.issuer = new_issuer();
    return 0;
}

static int tear_down(void **state)
{
    ca_follower_free(f.follower);
    issuer_free(f.issuer);
    loop_free(f.loop);
    return 0;
}

static void offer(const struct issuer *i)
{
    struct arena *a = arena_new(8192);
    struct value *secret = value_new(a, VALUE_OBJECT);
    value_set(a, secret, "data", issuer_secret_data(a, i, NULL));
    ca_offer(f.follower, secret);
    arena_free_secret(a);
}

static void give_up(void *arg)
{
    loop_stop(f.loop);
}

static void until_changes(int want)
{
    f.want_changes = want;
    struct loop_timer *t = loop_timer_new(f.loop, PATIENCE_MS, false, give_up, NULL);
    loop_run(f.loop);
    loop_timer_free(t);
    assert_int_equal(f.changes, want);
}

static bool signs_like(const struct issuer *i)
{
    return str_eq(issuer_id(f.issuer), issuer_id(i));
}

/* Does the follower trust exactly what i does? */
static bool trusts_like(struct issuer *i)
{
    AUTO(blob_unref) struct blob *a = issuer_roots(f.issuer);
    AUTO(blob_unref) struct blob *b = issuer_roots(i);
    return str_eq(blob_str(a), blob_str(b));
}

static void the_secret_as_it_was_loaded_changes_nothing(void **state)
{
    follow(1, 1);
    offer(f.issuer);
    offer(f.issuer);
    assert_int_equal(f.changes, 0);
    assert_int_equal(f.problems, 0);
}

static void a_new_root_is_trusted_first_signs_later_and_the_old_one_goes_last(void **state)
{
    AUTO(issuer_free) struct issuer *fresh = new_issuer();
    AUTO(arena_free) struct arena *a = arena_new(128);
    struct str first = arena_str(a, issuer_id(f.issuer));
    follow(50, 50);
    offer(fresh);
    assert_int_equal(f.changes, 1);
    assert_true(str_eq(issuer_id(f.issuer), first));
    assert_false(trusts_like(fresh));
    until_changes(2);
    assert_true(signs_like(fresh));
    assert_false(trusts_like(fresh));
    until_changes(3);
    assert_true(signs_like(fresh));
    assert_true(trusts_like(fresh));
}

static void roots_that_the_secret_keeps_stay_trusted(void **state)
{
    AUTO(issuer_free) struct issuer *both = new_issuer();
    assert_true(issuer_trust_as(both, f.issuer)); /* the new one first, the old one beside it */
    follow(1, 1);
    offer(both);
    until_changes(2);
    assert_true(signs_like(both));
    assert_true(trusts_like(both));
}

static void a_change_back_on_the_way_is_followed_too(void **state)
{
    AUTO(issuer_free) struct issuer *fresh = new_issuer();
    AUTO(issuer_free) struct issuer *as_it_was = NULL;
    struct arena *a = arena_new(8192);
    struct value *secret = value_new(a, VALUE_OBJECT);
    value_set(a, secret, "data", issuer_secret_data(a, f.issuer, NULL));
    assert_int_equal(
        issuer_from_secret(secret, "Secret", &options, clock_wall_s(), &as_it_was, NULL), 0);
    arena_free_secret(a);
    follow(PATIENCE_MS, 1);
    offer(fresh);
    offer(as_it_was);
    until_changes(2);
    assert_true(signs_like(as_it_was));
    assert_true(trusts_like(as_it_was));
}

static void a_broken_or_missing_secret_changes_nothing_and_is_told_once(void **state)
{
    follow(1, 1);
    AUTO(arena_free) struct arena *a = arena_new(128);
    struct value *empty = value_new(a, VALUE_OBJECT);
    ca_offer(f.follower, empty);
    ca_offer(f.follower, empty);
    assert_int_equal(f.problems, 1);
    assert_non_null(strstr(f.problem, "Secret osm-system/osm-ca-bundle: data[\"ca.crt\"]"));
    ca_offer(f.follower, NULL);
    assert_int_equal(f.problems, 2);
    assert_non_null(strstr(f.problem, "Secret osm-system/osm-ca-bundle was deleted"));
    offer(f.issuer);
    assert_int_equal(f.problems, 3);
    assert_true(f.fine);
    assert_int_equal(f.changes, 0);
}

/* A file with a root of its own. */
static struct issuer *write_root(const char *path)
{
    struct issuer *i = NULL;
    assert_int_equal(issuer_load_or_create(path, &options, clock_wall_s(), &i, NULL), 0);
    return i;
}

static void a_file_is_followed_like_the_secret(void **state)
{
    char folder[] = "/tmp/osm-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    AUTO(free) char *path = mem_printf("%s/ca.yaml", folder);
    follow(1, PATIENCE_MS);
    AUTO(issuer_free) struct issuer *one = write_root(path);
    ca_offer_file(f.follower, path);
    assert_int_equal(f.changes, 1);
    until_changes(2);
    assert_true(signs_like(one));
    ca_offer_file(f.follower, path);
    assert_int_equal(f.changes, 2);
    assert_int_equal(unlink(path), 0);
    ca_offer_file(f.follower, path);
    ca_offer_file(f.follower, path);
    assert_int_equal(f.problems, 1);
    assert_non_null(strstr(f.problem, path));
    AUTO(issuer_free) struct issuer *two = write_root(path);
    assert_int_equal(chmod(path, 0644), 0);
    ca_offer_file(f.follower, path);
    assert_int_equal(f.problems, 2);
    assert_int_equal(f.changes, 2);
    assert_int_equal(unlink(path), 0);
    AUTO(issuer_free) struct issuer *three = write_root(path);
    ca_offer_file(f.follower, path);
    assert_true(f.fine);
    until_changes(4);
    assert_true(signs_like(three));
    unlink(path);
    rmdir(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_secret_as_it_was_loaded_changes_nothing),
        TEST(a_new_root_is_trusted_first_signs_later_and_the_old_one_goes_last),
        TEST(roots_that_the_secret_keeps_stay_trusted),
        TEST(a_change_back_on_the_way_is_followed_too),
        TEST(a_broken_or_missing_secret_changes_nothing_and_is_told_once),
        TEST(a_file_is_followed_like_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
