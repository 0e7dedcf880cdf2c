/* The store: what is there, what it is found by, and what it says has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh_fixture.h"

#define SERVICE(name, app)                                                                         \
    "apiVersion: v1\nkind: Service\nmetadata: {namespace: a, name: " name                          \
    "}\nspec: {selector: {app: " app "}, ports: [{port: 80}]}\n"

static void put(struct store *s, const char *yaml)
{
    struct fixture f = {.store = s};
    fixture_put(&f, yaml);
}

static struct changes take(struct store *s)
{
    struct changes c;
    store_take_changes(s, &c);
    return c;
}

static void equal_object_keeps_its_pointer(void **state)
{
    struct store *s = store_new();
    put(s, SERVICE("x", "one"));
    const struct object *first = store_find(s, KIND_SERVICE, STR("a"), STR("x"));
    assert_non_null(first);
    struct changes c = take(s);
    assert_int_equal(c.list.len, 1);
    changes_done(&c);

    put(s, SERVICE("x", "one"));
    assert_ptr_equal(store_find(s, KIND_SERVICE, STR("a"), STR("x")), first);
    assert_false(store_has_changes(s));
    assert_int_equal(store_count(s, KIND_SERVICE), 1);
    store_free(s);
}

static void equal_object_that_moved_says_where_it_is(void **state)
{
    struct store *s = store_new();
    put(s, SERVICE("x", "one"));
    struct changes c = take(s);
    changes_done(&c);
    int line = store_find(s, KIND_SERVICE, STR("a"), STR("x"))->line;

    put(s, "\n\n" SERVICE("x", "one"));
    const struct object *now = store_find(s, KIND_SERVICE, STR("a"), STR("x"));
    assert_int_equal(now->line, line + 2);
    assert_true(store_has_changes(s)); /* what is said of it names the line */
    struct object_list found = store_lookup(s, INDEX_NAMESPACE, STR("a/Service"));
    assert_int_equal(found.len, 1);
    assert_ptr_equal(found.at[0], now);
    store_free(s);
}

static void changes_of_one_object_are_merged(void **state)
{
    struct store *s = store_new();
    put(s, SERVICE("x", "one"));
    struct changes c = take(s);
    changes_done(&c);

    put(s, SERVICE("x", "two"));
    put(s, SERVICE("x", "three"));
    put(s, SERVICE("w", "one"));
    c = take(s);
    assert_int_equal(c.list.len, 2);
    assert_true(str_is(((struct service *)c.list.at[0].old)->selector.at[0].value, "one"));
    assert_true(str_is(((struct service *)c.list.at[0].now)->selector.at[0].value, "three"));
    assert_null(c.list.at[1].old);
    changes_done(&c);
    assert_false(store_has_changes(s));
    store_free(s);
}

static void a_change_back_is_none(void **state)
{
    struct store *s = store_new();
    put(s, SERVICE("x", "one"));
    struct changes c = take(s);
    changes_done(&c);

    put(s, SERVICE("x", "two"));
    put(s, SERVICE("x", "one"));
    put(s, SERVICE("new", "one"));
    assert_true(store_remove(s, KIND_SERVICE, STR("a"), STR("new")));
    assert_false(store_has_changes(s));
    assert_true(store_remove(s, KIND_SERVICE, STR("a"), STR("x")));
    put(s, SERVICE("x", "one"));
    assert_false(store_has_changes(s));
    assert_false(store_remove(s, KIND_SERVICE, STR("a"), STR("nobody")));
    store_free(s);
}

static void changes_outlive_the_store(void **state)
{
    struct store *s = store_new();
    put(s, SERVICE("x", "one"));
    struct changes c = take(s);
    store_free(s);
    assert_true(str_is(c.list.at[0].now->meta.name, "x"));
    changes_done(&c);
}

static const char everything[] =
    "apiVersion: v1\nkind: Pod\n"
    "metadata: {namespace: a, name: p, labels: {app: one, osm-proxy-uuid: u1}}\n"
    "spec: {serviceAccountName: sa, containers: [{name: c, image: i}]}\n"
    "status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: \"fd00::1\"}]}\n"
    "---\n" SERVICE(
        "x", "one") "---\n"
                    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
                    "metadata: {namespace: a, name: x-1, labels: {kubernetes.io/service-name: x}}\n"
                    "endpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, name: p, "
                    "namespace: a}}]\n"
                    "ports: [{port: 8080}]\n"
                    "---\n"
                    "apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\n"
                    "metadata: {namespace: a, name: t}\n"
                    "spec:\n"
                    "  destination: {kind: ServiceAccount, name: sa, namespace: a}\n"
                    "  sources: [{kind: ServiceAccount, name: client, namespace: b}]\n"
                    "  rules: [{kind: HTTPRouteGroup, name: g}, {kind: TCPRoute, name: r}]\n"
                    "---\n"
                    "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\n"
                    "metadata: {namespace: a, name: s}\n"
                    "spec: {service: x, backends: [{service: w, weight: 1}], "
                    "matches: [{kind: HTTPRouteGroup, name: g}]}\n";

static const struct {
    enum store_index index;
    const char *key, *name; /* name of the one object; NULL: none */
} index_cases[] = {
    {INDEX_NAMESPACE, "a/Service", "x"},
    {INDEX_NAMESPACE, "a/Pod", "p"},
    {INDEX_NAMESPACE, "b/Pod", NULL},
    {INDEX_POD_BY_ACCOUNT, "a/sa", "p"},
    {INDEX_POD_BY_PROXY, "u1", "p"},
    {INDEX_POD_BY_IP, "10.0.0.1", "p"},
    {INDEX_POD_BY_IP, "fd00::1", "p"},
    {INDEX_POD_BY_LABEL, "a/app=one", "p"},
    {INDEX_POD_BY_LABEL, "a/app=two", NULL},
    {INDEX_SERVICE_BY_SELECTOR, "a/app=one", "x"},
    {INDEX_SLICE_BY_SERVICE, "a/x", "x-1"},
    {INDEX_SLICE_BY_POD, "a/p", "x-1"},
    {INDEX_SLICE_BY_POD, "10.0.0.1", "x-1"},
    {INDEX_TARGET_BY_DESTINATION, "a/sa", "t"},
    {INDEX_TARGET_BY_SOURCE, "b/client", "t"},
    {INDEX_TARGET_BY_SOURCE, "b/", "t"},
    {INDEX_TARGET_BY_ROUTE, "HTTPRouteGroup/a/g", "t"},
    {INDEX_TARGET_BY_ROUTE, "TCPRoute/a/r", "t"},
    {INDEX_SPLIT_BY_APEX, "a/x", "s"},
    {INDEX_SPLIT_BY_BACKEND, "a/w", "s"},
    {INDEX_SPLIT_BY_MATCH, "a/g", "s"},
};

static void indexes_find_and_forget(void **state)
{
    struct store *s = store_new();
    put(s, everything);
    for (size_t i = 0; i < COUNT_OF(index_cases); i++) {
        struct object_list found =
            store_lookup(s, index_cases[i].index, str_of(index_cases[i].key));
        assert_int_equal(found.len, index_cases[i].name ? 1 : 0);
        if (index_cases[i].name) {
            assert_true(str_is(found.at[0]->meta.name, index_cases[i].name));
        }
    }
    store_remove(s, KIND_POD, STR("a"), STR("p"));
    store_remove(s, KIND_SERVICE, STR("a"), STR("x"));
    store_remove(s, KIND_ENDPOINT_SLICE, STR("a"), STR("x-1"));
    store_remove(s, KIND_TRAFFIC_TARGET, STR("a"), STR("t"));
    store_remove(s, KIND_TRAFFIC_SPLIT, STR("a"), STR("s"));
    for (size_t i = 0; i < COUNT_OF(index_cases); i++) {
        assert_int_equal(store_lookup(s, index_cases[i].index, str_of(index_cases[i].key)).len, 0);
    }
    assert_false(store_has_changes(s));
    store_free(s);
}

static void lookups_are_sorted(void **state)
{
    struct store *s = store_new();
    put(s, SERVICE("m", "one") "---\n" SERVICE("z", "one") "---\n" SERVICE("b", "one"));
    struct object_list found = store_lookup(s, INDEX_NAMESPACE, STR("a/Service"));
    assert_int_equal(found.len, 3);
    assert_true(str_is(found.at[0]->meta.name, "b"));
    assert_true(str_is(found.at[1]->meta.name, "m"));
    assert_true(str_is(found.at[2]->meta.name, "z"));
    put(s, SERVICE("m", "two"));
    assert_int_equal(store_lookup(s, INDEX_SERVICE_BY_SELECTOR, STR("a/app=one")).len, 2);
    assert_int_equal(store_lookup(s, INDEX_SERVICE_BY_SELECTOR, STR("a/app=two")).len, 1);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_object_keeps_its_pointer),
        cmocka_unit_test(equal_object_that_moved_says_where_it_is),
        cmocka_unit_test(changes_of_one_object_are_merged),
        cmocka_unit_test(a_change_back_is_none),
        cmocka_unit_test(changes_outlive_the_store),
        cmocka_unit_test(indexes_find_and_forget),
        cmocka_unit_test(lookups_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
