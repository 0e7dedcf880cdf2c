/* Filter chains and routes for callers outside the mesh. */
#include "xds_fixture.h"

#define INGRESS(name, backend, sources)                                                            \
    "---\napiVersion: policy.openservicemesh.io/v1alpha1\nkind: IngressBackend\n"                  \
    "metadata: {namespace: a, name: " name "}\nspec: {backends: [{" backend                        \
    "}], sources: [" sources "]}\n"
#define AT_8080(protocol) "name: web, port: {number: 8080, protocol: " protocol "}"
#define GATEWAY(addresses)                                                                         \
    SERVICE("gateway", "ports: [{port: 443}]") SLICE("gateway", addresses, "{port: 443}")
#define FROM_GATEWAY "{kind: Service, name: gateway, namespace: a}"
#define NAMED "{kind: AuthenticatedPrincipal, name: g.example}"

static void ingress_over_http_is_a_chain_for_addresses(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB GATEWAY("{addresses: [10.0.0.7]}, {addresses: [10.0.0.8]}"));
    apply(w, INGRESS("in", AT_8080("http"), FROM_GATEWAY));
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("filter_chain_match{source_prefix_ranges{address_prefix:\"10.0.0.7\" "
                 "prefix_len{value:32 } } source_prefix_ranges{address_prefix:\"10.0.0.8\" "
                 "prefix_len{value:32 } } destination_port{value:8080 } "
                 "transport_protocol:\"raw_buffer\" } ",
                 "name:\"ingress_a/web_8080_http\"", "name:\"inbound_a/web_8080_http\"",
                 "route_config_name:\"rds-ingress.a/web.8080\""),
           "require_client_certificate{}");
    expect(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080",
           PARTS("ingress_virtual-host|a/web_from_in", "cluster:\"a/web|8080|local\"",
                 "key:\"a/in\" value{permissions{any:1 } principals{any:1 }"),
           NULL);
    remove_object(w, KIND_INGRESS_BACKEND, "a", "in");
    expect(w, "u-web", XDS_LDS, "inbound-listener", PARTS("inbound_a/web_8080_http"), "ingress");
    assert_null(find(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080"));
}

static void ingress_over_https_asks_for_the_principal(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB INGRESS("in", AT_8080("https"), NAMED));
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("destination_port{value:8080 } transport_protocol:\"tls\" } ",
                 "destination_port{value:8080 } transport_protocol:\"tls\" "
                 "server_names:\"web.a.svc.cluster.local\" } ",
                 "alpn_protocols:\"http/1.1\"", "name:\"ingress_a/web_8080_https\"",
                 "name:\"ingress_a/web_8080_https_by_name\""),
           "require_client_certificate{}");
    expect(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080",
           PARTS("principals{authenticated{principal_name{exact:\"g.example\" } } }"), "any:1 } }");
}

static void ingress_without_validation_asks_for_no_certificate(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB GATEWAY("{addresses: [10.0.0.7]}"));
    apply(w, INGRESS("in",
                     AT_8080("https") ", tls: {skipClientCertValidation: true, sniHosts: "
                                      "[b.example, \"*.svc.cluster.local\"]}",
                     FROM_GATEWAY));
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("server_names:\"*.svc.cluster.local\" server_names:\"b.example\" "
                 "server_names:\"web.a.svc.cluster.local\"",
                 "alpn_protocols:\"http/1.1\"",
                 "name:\"service-cert\" sds_config{ads{} resource_api_version:V3 } } } "
                 "require_client_certificate{}"),
           "_by_name");
}

/* Two chains with one condition would make Envoy refuse the listener. */
static void no_two_ingress_chains_have_the_same_conditions(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB SERVICE(
                 "alias", "selector: {app: web}, ports: [{port: 80, targetPort: 8080}]"));
    apply(w, INGRESS("alias", "name: alias, port: {number: 8080, protocol: http}",
                     "{kind: IPRange, name: 10.0.0.7/32}, {kind: IPRange, name: 10.0.0.9/32}")
                 INGRESS("in", AT_8080("http"),
                         "{kind: IPRange, name: 10.0.0.8/32}, {kind: IPRange, name: 10.0.0.9/32}"));
    AUTO(free) char *text = text_of(w, "u-web", XDS_LDS, "inbound-listener");
    const char *shared = strstr(text, "address_prefix:\"10.0.0.9\"");
    assert_non_null(shared);
    assert_null(strstr(shared + 1, "address_prefix:\"10.0.0.9\""));
    assert_non_null(strstr(text, "address_prefix:\"10.0.0.7\""));
    assert_non_null(strstr(text, "address_prefix:\"10.0.0.8\""));
}

static void a_gateways_endpoint_changes_one_listener(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT GATEWAY("{addresses: [10.0.0.7]}"));
    apply(w, INGRESS("in", AT_8080("http"), FROM_GATEWAY));
    struct resource *routes = find(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080");
    uint64_t listener = find(w, "u-web", XDS_LDS, "inbound-listener")->version;
    struct plan *client = plan_of(w, "u-client"), *db = plan_of(w, "u-db");
    uint64_t version = routes->version;
    apply(w, SLICE("gateway", "{addresses: [10.0.0.8]}", "{port: 443}"));
    assert_true(find(w, "u-web", XDS_LDS, "inbound-listener")->version != listener);
    assert_true(find(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080")->version == version);
    assert_ptr_equal(plan_of(w, "u-client"), client);
    assert_ptr_equal(plan_of(w, "u-db"), db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MESH(ingress_over_http_is_a_chain_for_addresses),
        WITH_MESH(ingress_over_https_asks_for_the_principal),
        WITH_MESH(ingress_without_validation_asks_for_no_certificate),
        WITH_MESH(no_two_ingress_chains_have_the_same_conditions),
        WITH_MESH(a_gateways_endpoint_changes_one_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
