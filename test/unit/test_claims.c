/* Services that want the same address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "xds/claims.h"

enum { TEXT_MAX = 1 << 16 };

static struct mesh_service *cluster_service(struct arena *a, const char *ip, uint16_t port)
{
    struct mesh_service *s = ARENA_NEW(a, struct mesh_service);
    s->ips.at = arena_memdup(a, &(struct str){ip, strlen(ip)}, sizeof(struct str));
    s->ips.len = 1;
    s->ports.at = ARENA_NEW(a, struct mesh_port);
    s->ports.at[0].port = port;
    s->ports.len = 1;
    return s;
}

/* The keys that the update affects, each with a space after it. */
static void claim(struct claims *c, const char *service, const struct mesh_service *s,
                  const char *affected)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    claims_keys keys = {0};
    claims_update(c, str_of(service), s, NULL, a, &keys);
    AUTO(buf_done) struct buf text;
    buf_init(&text, TEXT_MAX);
    VEC_EACH(keys, k) {
        buf_printf(&text, "%.*s ", STR_ARG(*k));
    }
    VEC_DONE(keys);
    assert_string_equal(text.data ? text.data : "", affected);
}

static void expect_owner(const struct claims *c, const char *ip, uint16_t port, const char *owner)
{
    static const char *const all[] = {"a/a", "a/b", "a/c"};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        bool owns = claims_owns(c, str_of(ip), port, str_of(all[i]));
        assert_int_equal(owns, owner && strcmp(owner, all[i]) == 0);
    }
}

static void the_first_name_has_the_address(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct mesh_service *one = cluster_service(a, "10.1.0.1", 80);
    struct mesh_service *other = cluster_service(a, "10.1.0.1", 81);
    struct claims *c = claims_new();
    claim(c, "a/b", one, "");
    expect_owner(c, "10.1.0.1", 80, "a/b");
    claim(c, "a/c", one, "");
    expect_owner(c, "10.1.0.1", 80, "a/b");
    claim(c, "a/a", one, "a/b ");
    expect_owner(c, "10.1.0.1", 80, "a/a");
    claim(c, "a/a", one, ""); /* nothing changed */
    expect_owner(c, "10.1.0.1", 81, NULL);
    claim(c, "a/a", other, "a/b "); /* another port is another address */
    expect_owner(c, "10.1.0.1", 80, "a/b");
    expect_owner(c, "10.1.0.1", 81, "a/a");
    claim(c, "a/c", NULL, "");
    claim(c, "a/b", NULL, "");
    expect_owner(c, "10.1.0.1", 80, NULL);
    claim(c, "a/a", NULL, "");
    claim(c, "a/a", NULL, "");
    claims_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_name_has_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
