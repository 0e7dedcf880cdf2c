/* What a server is given: its listener and routes, and whom they let in. */
#include "xds_fixture.h"

static void a_server_also_has_its_inbound_side(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB);
    expect_names(w, "u-web", XDS_CDS,
                 "a/db|3306 a/web|8080 a/web|8080|local passthrough-outbound ");
    expect_names(
        w, "u-web", XDS_LDS,
        "inbound-listener outbound-listener outbound_a/db_3306_tcp outbound_a/web_80_http ");
    expect_names(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080 rds-outbound.a/web.80 ");
    expect_names(w, "u-db", XDS_RDS, "rds-outbound.a/web.80 ");
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
           PARTS("permissions{any:1 } principals{authenticated{principal_name{prefix:"
                 "\"spiffe://cluster.local/\" } } }",
                 "cluster:\"a/web|8080|local\""),
           "principals{any:1 }");
}

static void proxies_that_are_scraped_have_a_listener_for_it(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE ACCOUNT("m") SCRAPED("m"));
    expect_names(w, "u-m", XDS_CDS, "envoy-metrics-cluster passthrough-outbound ");
    expect_names(w, "u-m", XDS_LDS, "inbound-prometheus-listener outbound-listener ");
    expect(w, "u-m", XDS_LDS, "inbound-prometheus-listener",
           PARTS("port_value:15010", "prefix:\"/stats/prometheus\"",
                 "cluster:\"envoy-metrics-cluster\"", "prometheus-inbound-virtual-host"),
           NULL);
    expect(w, "u-m", XDS_CDS, "envoy-metrics-cluster", PARTS("port_value:15000"), NULL);
}

static void the_inbound_listener_takes_calls_of_the_mesh_only(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB);
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("address:\"0.0.0.0\" port_value:15003", "traffic_direction:INBOUND",
                 "name:\"envoy.filters.listener.tls_inspector\"",
                 "name:\"envoy.filters.listener.original_dst\"", "destination_port{value:8080 }",
                 "server_names:\"web.a.svc.cluster.local\"", "transport_protocol:\"tls\"",
                 "application_protocols:\"osm\"", "name:\"inbound_a/web_8080_http\"",
                 "require_client_certificate{value:1 }", "name:\"root-cert-for-mtls-inbound\"",
                 "route_config_name:\"rds-inbound.a/web.8080\"",
                 "name:\"envoy.filters.http.rbac\""),
           "a/db");
    expect(w, "u-web", XDS_CDS, "a/web|8080|local",
           PARTS("type:STATIC", "address:\"127.0.0.1\" port_value:8080",
                 "alt_stat_name:\"a/web|8080|local\""),
           "tls");
    expect(w, "u-db", XDS_LDS, "inbound-listener",
           PARTS("stat_prefix:\"network-\"", "rules{policies{key:\"permissive\"",
                 "cluster:\"a/db|3306|local\""),
           "http_connection_manager");
}

static void without_targets_nobody_sees_or_may_anything(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT);
    expect_names(w, "u-client", XDS_CDS, "");
    expect_names(w, "u-client", XDS_LDS, "outbound-listener ");
    expect_names(w, "u-client", XDS_SDS,
                 "root-cert-for-mtls-inbound root-cert-for-mtls-outbound service-cert ");
    /* RBAC that allows, without a policy, lets nobody in. */
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
           PARTS("key:\"envoy.filters.http.rbac\" value{rbac{rules{}"), "any:1");
    expect(w, "u-db", XDS_LDS, "inbound-listener",
           PARTS("typed_config{rules{} stat_prefix:\"network-\" }"), "any:1");
}

static void a_target_names_its_principals(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT GROUP TARGET(
                 "t", "web", "{kind: HTTPRouteGroup, name: group, matches: [buy]}"));
    expect_names(w, "u-client", XDS_CDS, "a/web|8080 ");
    expect_names(w, "u-client", XDS_LDS, "outbound-listener outbound_a/web_80_http ");
    expect_names(w, "u-db", XDS_CDS, "a/db|3306|local ");
    expect(
        w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
        PARTS("policies{key:\"a/t\" value{permissions{and_rules{",
              "principals{authenticated{principal_name{exact:\"spiffe://cluster.local/client/a\"",
              "regex:\"/buy\"", "exact:\"GET\"", "exact:\"POST\"", "name:\"x-who\""),
        "/sell");
    apply(w, TARGET("t", "web", "{kind: HTTPRouteGroup, name: group}"));
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
           PARTS("regex:\"/buy\"", "regex:\"/sell\""), "exact:\"*\"");
    remove_object(w, KIND_TRAFFIC_TARGET, "a", "t");
    expect_names(w, "u-client", XDS_CDS, "");
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080", PARTS("rbac{rules{}"), "spiffe:");
}

static void a_tcp_target_names_principals_and_ports(void **state)
{
    struct world *w = *state;
    apply(w,
          NAMESPACE SMI WEB DB CLIENT TCP_ROUTE TARGET("t", "db", "{kind: TCPRoute, name: tcp}"));
    expect_names(w, "u-client", XDS_CDS, "a/db|3306 ");
    expect(w, "u-db", XDS_LDS, "inbound-listener",
           PARTS("policies{key:\"a/t\" value{permissions{destination_port:3306 } "
                 "principals{authenticated{principal_name{exact:\"spiffe://cluster.local/client/"
                 "a\""),
           "any:1");
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080", PARTS("rbac{rules{}"), "spiffe:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MESH(a_server_also_has_its_inbound_side),
        WITH_MESH(proxies_that_are_scraped_have_a_listener_for_it),
        WITH_MESH(the_inbound_listener_takes_calls_of_the_mesh_only),
        WITH_MESH(without_targets_nobody_sees_or_may_anything),
        WITH_MESH(a_target_names_its_principals),
        WITH_MESH(a_tcp_target_names_principals_and_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
