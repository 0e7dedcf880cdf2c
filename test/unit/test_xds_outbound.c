/* What a caller is given: clusters, endpoints, secrets, listeners, routes. */
#include "xds_fixture.h"

static void in_permissive_mode_a_client_has_every_service(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    expect_names(w, "u-client", XDS_CDS, "a/db|3306 a/web|8080 passthrough-outbound ");
    expect_names(w, "u-client", XDS_EDS, "a/db|3306 a/web|8080 ");
    expect_names(w, "u-client", XDS_SDS,
                 "root-cert-for-mtls-inbound root-cert-for-mtls-outbound service-cert ");
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/db_3306_tcp outbound_a/web_80_http ");
    expect_names(w, "u-client", XDS_RDS, "rds-outbound.a/web.80 ");
}

static void egress_is_on_or_off(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE CLIENT);
    expect(w, "u-client", XDS_LDS, "outbound-listener",
           PARTS("address:\"0.0.0.0\" port_value:15001", "use_original_dst{value:1 }",
                 "default_filter_chain{",
                 "stat_prefix:\"egress-tcp-proxy.passthrough-outbound\" "
                 "cluster:\"passthrough-outbound\""),
           "403");
    expect(w, "u-client", XDS_CDS, "passthrough-outbound",
           PARTS("type:ORIGINAL_DST", "lb_policy:CLUSTER_PROVIDED"), NULL);
    apply(w, SMI);
    expect_names(w, "u-client", XDS_CDS, "");
    expect(w, "u-client", XDS_LDS, "outbound-listener",
           PARTS("default_filter_chain{", "status:403"), "passthrough");
}

static void an_outbound_cluster_calls_with_mutual_tls(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    expect(w, "u-client", XDS_CDS, "a/web|8080",
           PARTS("type:EDS", "eds_config{ads{}", "sni:\"web.a.svc.cluster.local\"",
                 "alpn_protocols:\"osm\"", "name:\"service-cert\"",
                 "name:\"root-cert-for-mtls-outbound\"", "san_type:URI",
                 "exact:\"spiffe://cluster.local/web/a\"", "max_connections{value:4294967295 }",
                 "track_remaining:1", "use_downstream_protocol_config{",
                 "tls_minimum_protocol_version:TLSv1_2 tls_maximum_protocol_version:TLSv1_3"),
           NULL);
    expect(w, "u-client", XDS_CDS, "a/db|3306", PARTS("sni:\"db.a.svc.cluster.local\""),
           "use_downstream_protocol_config");
    expect(w, "u-client", XDS_EDS, "a/web|8080",
           PARTS("cluster_name:\"a/web|8080\"", "zone:\"local\"",
                 "address:\"10.0.0.1\" port_value:8080"),
           NULL);
    expect(w, "u-client", XDS_SDS, "root-cert-for-mtls-outbound", PARTS("BEGIN CERTIFICATE"),
           "spiffe");
    expect(w, "u-client", XDS_SDS, "root-cert-for-mtls-inbound", PARTS("BEGIN CERTIFICATE"),
           "spiffe");
    expect(w, "u-client", XDS_SDS, "service-cert",
           PARTS("tls_certificate{", "BEGIN CERTIFICATE", "BEGIN PRIVATE KEY"), NULL);
}

/* Nobody may answer for a service that has no workloads. */
static void a_service_without_workloads_trusts_nobody(void **state)
{
    struct world *w = *state;
    apply(w,
          NAMESPACE PERMISSIVE SERVICE("new", "clusterIP: 10.1.0.7, ports: [{port: 80}]") CLIENT);
    expect(w, "u-client", XDS_CDS, "a/new|80", PARTS("exact:\"spiffe://nobody.invalid/\""),
           "spiffe://cluster.local");
    expect(w, "u-client", XDS_EDS, "a/new|80", PARTS("cluster_name"), "address");
}

static void pods_without_a_sidecar_are_no_endpoints(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT
          "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: bare, labels: {app: "
          "web}}\nspec: {serviceAccountName: web, containers: [{name: c, image: i}]}\n"
          "status: {phase: Running, podIP: 10.0.0.8, podIPs: [{ip: 10.0.0.8}]}\n" SLICE(
              "web", "{addresses: [10.0.0.1]}, {addresses: [10.0.0.8]}", "{port: 8080}"));
    expect(w, "u-client", XDS_EDS, "a/web|8080", PARTS("10.0.0.1"), "10.0.0.8");
}

static void outbound_listeners_have_the_cluster_ip(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    expect(w, "u-client", XDS_LDS, "outbound_a/web_80_http",
           PARTS("address:\"10.1.0.1\" port_value:80", "bind_to_port{} stat_prefix:\"outbound\"",
                 "traffic_direction:OUTBOUND", "stat_prefix:\"rds-outbound.80\"",
                 "route_config_name:\"rds-outbound.a/web.80\"", "default_filter_chain{"),
           "filter_chains{");
    expect(w, "u-client", XDS_LDS, "outbound_a/db_3306_tcp",
           PARTS("address:\"10.1.0.2\" port_value:3306",
                 "stat_prefix:\"outbound_a/db_3306_tcp\" cluster:\"a/db|3306\""),
           "http_connection_manager");
    expect(w, "u-client", XDS_RDS, "rds-outbound.a/web.80",
           PARTS("name:\"outbound_virtual-host|web.a.svc.cluster.local\"", "prefix:\"/\"",
                 "cluster:\"a/web|8080\" timeout{}", "validate_clusters{}"),
           "rbac");
}

static void a_split_divides_calls(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT SERVICE(
                 "v1", "clusterIP: 10.1.0.5, selector: {app: web}, ports: [{port: 80, targetPort: "
                       "8080}]")
                 SERVICE("v2", "clusterIP: 10.1.0.6, selector: {app: web}, ports: [{port: 80, "
                               "targetPort: 8080}]")
                     SLICE("v1", "{addresses: [10.0.0.1]}", "{port: 8080}")
                         SLICE("v2", "{addresses: [10.0.0.1]}",
                               "{port: 8080}") "---\napiVersion: split.smi-spec.io/v1alpha4\nkind: "
                                               "TrafficSplit\nmetadata: {namespace: "
                                               "a, name: s}\nspec: {service: web, backends: "
                                               "[{service: v1, weight: 90}, {service: v2, "
                                               "weight: 10}]}\n");
    expect(w, "u-client", XDS_RDS, "rds-outbound.a/web.80",
           PARTS("weighted_clusters{clusters{name:\"a/v1|8080\" weight{value:90 } } "
                 "clusters{name:\"a/v2|8080\" weight{value:10 } }"),
           "a/web|8080");
}

static void a_headless_service_has_a_listener_for_each_endpoint(void **state)
{
    struct world *w = *state;
    apply(w,
          NAMESPACE PERMISSIVE CLIENT ACCOUNT("h") SERVICE(
              "h", "clusterIP: None, selector: {app: h}, ports: [{port: 80, targetPort: 8080}]")
              POD("h1", "h", "u-h1", "10.0.1.1", "") POD("h2", "h", "u-h2", "10.0.1.2", "")
                  SLICE("h", "{addresses: [10.0.1.1]}, {addresses: [10.0.1.2]}", "{port: 8080}"));
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/h_80_http_10.0.1.1 outbound_a/h_80_http_10.0.1.2 ");
    expect_names(w, "u-client", XDS_EDS, "a/h|8080 ");
    expect(w, "u-client", XDS_CDS, "a/h|8080|dialled", PARTS("type:ORIGINAL_DST"), NULL);
    expect(w, "u-client", XDS_CDS, "a/h|8080", PARTS("type:EDS"), NULL);
    expect(w, "u-client", XDS_RDS, "rds-outbound.a/h.80", PARTS("cluster:\"a/h|8080|dialled\""),
           NULL);
    expect(w, "u-client", XDS_LDS, "outbound_a/h_80_http_10.0.1.2",
           PARTS("address:\"10.0.1.2\" port_value:8080"), NULL);
    /* Two services with the same pods: the first name has the addresses, until it goes. */
    apply(w,
          SERVICE("g", "clusterIP: None, selector: {app: h}, ports: [{port: 80, targetPort: 8080}]")
              SLICE("g", "{addresses: [10.0.1.1]}", "{port: 8080}"));
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/g_80_http_10.0.1.1 outbound_a/h_80_http_10.0.1.2 ");
    remove_object(w, KIND_SERVICE, "a", "g");
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/h_80_http_10.0.1.1 outbound_a/h_80_http_10.0.1.2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MESH(in_permissive_mode_a_client_has_every_service),
        WITH_MESH(egress_is_on_or_off),
        WITH_MESH(an_outbound_cluster_calls_with_mutual_tls),
        WITH_MESH(a_service_without_workloads_trusts_nobody),
        WITH_MESH(pods_without_a_sidecar_are_no_endpoints),
        WITH_MESH(outbound_listeners_have_the_cluster_ip),
        WITH_MESH(a_split_divides_calls),
        WITH_MESH(a_headless_service_has_a_listener_for_each_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
