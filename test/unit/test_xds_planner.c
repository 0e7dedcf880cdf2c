/* What a change of the mesh changes of the plans, and what stays the same. */
#include "xds_fixture.h"

static size_t count_changed(struct world *w)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    return planner_take_changed(w->planner, a).len;
}

static void what_says_the_same_changes_nothing(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    count_changed(w);
    struct plan *before = plan_of(w, "u-client");
    uint64_t encoded = planner_stats(w->planner).encoded;
    apply(w, WEB DB);
    apply(w, ACCOUNT("unrelated"));
    assert_ptr_equal(plan_of(w, "u-client"), before);
    assert_int_equal(planner_stats(w->planner).encoded, encoded);
    assert_int_equal(count_changed(w), 0);
}

static void a_new_endpoint_changes_one_list(void **state)
{
    static const struct {
        enum xds_type type;
        const char *name;
    } same[] = {
        {XDS_CDS, "a/web|8080"},
        {XDS_CDS, "a/db|3306"},
        {XDS_EDS, "a/db|3306"},
        {XDS_SDS, "root-cert-for-mtls-outbound"},
        {XDS_SDS, "service-cert"},
        {XDS_LDS, "outbound_a/web_80_http"},
        {XDS_RDS, "rds-outbound.a/web.80"},
    };
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    struct resource *before[COUNT_OF(same)];
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        before[i] = find(w, "u-client", same[i].type, same[i].name);
        assert_non_null(before[i]);
    }
    struct plan *old = plan_ref(plan_of(w, "u-client"));
    uint64_t version = find(w, "u-client", XDS_EDS, "a/web|8080")->version;

    apply(w, POD("web2", "web", "u-web2", "10.0.0.5", "")
                 SLICE("web", "{addresses: [10.0.0.1]}, {addresses: [10.0.0.5]}", "{port: 8080}"));
    struct plan *now = plan_of(w, "u-client");
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        assert_ptr_equal(find(w, "u-client", same[i].type, same[i].name), before[i]);
    }
    for (int t = 0; t < XDS_TYPES; t++) {
        assert_int_equal(view_same(old->views[t], now->views[t]), t != XDS_EDS);
    }
    assert_int_not_equal(find(w, "u-client", XDS_EDS, "a/web|8080")->version, version);

    /* The same content again has the same version, whatever came in between. */
    apply(w, SLICE("web", "{addresses: [10.0.0.1]}", "{port: 8080}"));
    assert_int_equal(find(w, "u-client", XDS_EDS, "a/web|8080")->version, version);
    assert_true(view_same(old->views[XDS_EDS], plan_of(w, "u-client")->views[XDS_EDS]));
    plan_unref(old);
}

/* Proxies hold what they were sent: what comes out the same again isn't in memory beside it. */
static void what_is_made_again_the_same_is_kept_once(void **state)
{
    static const char debug[] =
        "---\napiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n"
        "metadata: {namespace: osm-system, name: osm-mesh-config}\n"
        "spec: {traffic: {enablePermissiveTrafficPolicyMode: true}, "
        "observability: {osmLogLevel: debug}}\n";
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT);
    struct resource *cluster = find(w, "u-client", XDS_CDS, "a/web|8080");
    apply(w, debug);
    assert_ptr_equal(find(w, "u-client", XDS_CDS, "a/web|8080"), cluster);
    /* The plan's (base), the service's, and no other. */
    assert_int_equal(atomic_load(&cluster->ref.n), 2);
}

static void proxies_of_one_workload_share_their_plan(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT POD("web2", "web", "u-web2", "10.0.0.5", ""));
    assert_ptr_equal(plan_of(w, "u-web"), plan_of(w, "u-web2"));
    assert_ptr_equal(find(w, "u-web", XDS_CDS, "a/web|8080"),
                     find(w, "u-client", XDS_CDS, "a/web|8080"));
    assert_ptr_not_equal(find(w, "u-web", XDS_SDS, "service-cert"),
                         find(w, "u-client", XDS_SDS, "service-cert"));
}

static void renewal_changes_the_certificate_only(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT);
    struct plan *old = plan_ref(plan_of(w, "u-web"));
    planner_tick(w->planner, NOW + 3600);
    assert_ptr_equal(plan_of(w, "u-web"), old);
    planner_tick(w->planner, NOW + 20 * 3600); /* of 24 hours */
    for (int t = 0; t < XDS_TYPES; t++) {
        assert_int_equal(view_same(old->views[t], plan_of(w, "u-web")->views[t]), t != XDS_SDS);
    }
    uint64_t id = resource_id(STR("service-cert"));
    assert_true(view_find(old->views[XDS_SDS], id) != find(w, "u-web", XDS_SDS, "service-cert"));
    plan_unref(old);
}

/* Renewals and rules concern the audiences of one identity, of which there may be several. */
static void a_rule_changes_the_plans_of_its_identities_only(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT POD("web2", "web", "u-web2", "10.0.0.5",
                                             ", annotations: {prometheus.io/scrape: \"true\"}"));
    assert_ptr_not_equal(plan_of(w, "u-web"), plan_of(w, "u-web2"));
    assert_int_equal(count_changed(w), 4);
    assert_int_equal(count_changed(w), 0);
    struct plan *db = plan_of(w, "u-db");
    apply(w, GROUP TARGET("t", "web", "{kind: HTTPRouteGroup, name: group, matches: [buy]}"));
    assert_int_equal(count_changed(w), 3); /* web's two and the client's */
    assert_ptr_equal(plan_of(w, "u-db"), db);
    planner_tick(w->planner, NOW + 20 * 3600);
    assert_int_equal(count_changed(w), 4);
}

static void an_audience_that_goes_is_not_among_the_changed(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB);
    struct mesh_proxy_pod web = mesh_proxy_find(w->f.mesh, STR("u-web"))->pods.at[0];
    AUTO(free) char *key = mem_memdup(web.audience.ptr, web.audience.len);
    count_changed(w);
    /* It changes twice before anybody asks, then it is gone: its pod is behind no service. */
    planner_tick(w->planner, NOW + 20 * 3600);
    apply(w, POD("web", "db", "u-web", "10.0.0.1", ""));
    assert_null(planner_plan(w->planner, str_of(key)));
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct strs changed = planner_take_changed(w->planner, a);
    for (size_t i = 0; i < changed.len; i++) {
        assert_non_null(planner_plan(w->planner, changed.at[i]));
    }
}

static void modes_change_back_and_forth(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    struct plan *old = plan_ref(plan_of(w, "u-client"));
    apply(w, SMI);
    expect_names(w, "u-client", XDS_EDS, "");
    apply(w, PERMISSIVE);
    for (int t = 0; t < XDS_TYPES; t++) {
        assert_true(view_same(old->views[t], plan_of(w, "u-client")->views[t]));
    }
    plan_unref(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MESH(what_says_the_same_changes_nothing),
        WITH_MESH(a_new_endpoint_changes_one_list),
        WITH_MESH(what_is_made_again_the_same_is_kept_once),
        WITH_MESH(proxies_of_one_workload_share_their_plan),
        WITH_MESH(renewal_changes_the_certificate_only),
        WITH_MESH(a_rule_changes_the_plans_of_its_identities_only),
        WITH_MESH(an_audience_that_goes_is_not_among_the_changed),
        WITH_MESH(modes_change_back_and_forth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
