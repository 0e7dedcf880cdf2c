/* Short names for the generated messages and what every translation does with them. A message is
 * built in an arena, from the inside out, and packed once. */
#ifndef OSM_XDS_PB_H
#define OSM_XDS_PB_H

#include "all.pb-c.h"
#include "xds/translate.h"

/* Ports of the sidecar (as in Open Service Mesh). */
enum {
    XDS_PORT_ADMIN = 15000,
    XDS_PORT_OUTBOUND = 15001,
    XDS_PORT_INBOUND = 15003,
    XDS_PORT_METRICS = 15010,
};

/* Defines the type T, and new_T(arena) that makes an empty one. */
#define PB_TYPE(T, generated, prefix)                                                              \
    typedef generated T;                                                                           \
    static inline __attribute__((unused)) T *new_##T(struct arena *a)                              \
    {                                                                                              \
        T *m = arena_alloc(a, sizeof(T));                                                          \
        prefix##__init(m);                                                                         \
        return m;                                                                                  \
    }

PB_TYPE(Any, Google__Protobuf__Any, google__protobuf__any)
PB_TYPE(Duration, Google__Protobuf__Duration, google__protobuf__duration)
PB_TYPE(UInt32Value, Google__Protobuf__UInt32Value, google__protobuf__uint32_value)
PB_TYPE(BoolValue, Google__Protobuf__BoolValue, google__protobuf__bool_value)
PB_TYPE(Struct, Google__Protobuf__Struct, google__protobuf__struct)
PB_TYPE(StructField, Google__Protobuf__Struct__FieldsEntry, google__protobuf__struct__fields_entry)
PB_TYPE(StructValue, Google__Protobuf__Value, google__protobuf__value)
PB_TYPE(Address, Envoy__Config__Core__V3__Address, envoy__config__core__v3__address)
PB_TYPE(SocketAddress, Envoy__Config__Core__V3__SocketAddress,
        envoy__config__core__v3__socket_address)
PB_TYPE(ConfigSource, Envoy__Config__Core__V3__ConfigSource, envoy__config__core__v3__config_source)
PB_TYPE(AggregatedConfigSource, Envoy__Config__Core__V3__AggregatedConfigSource,
        envoy__config__core__v3__aggregated_config_source)
PB_TYPE(DataSource, Envoy__Config__Core__V3__DataSource, envoy__config__core__v3__data_source)
PB_TYPE(TransportSocket, Envoy__Config__Core__V3__TransportSocket,
        envoy__config__core__v3__transport_socket)
PB_TYPE(Locality, Envoy__Config__Core__V3__Locality, envoy__config__core__v3__locality)
PB_TYPE(CoreHttpOptions, Envoy__Config__Core__V3__HttpProtocolOptions,
        envoy__config__core__v3__http_protocol_options)
PB_TYPE(Http1Options, Envoy__Config__Core__V3__Http1ProtocolOptions,
        envoy__config__core__v3__http1_protocol_options)
PB_TYPE(Http2Options, Envoy__Config__Core__V3__Http2ProtocolOptions,
        envoy__config__core__v3__http2_protocol_options)
PB_TYPE(HealthCheck, Envoy__Config__Core__V3__HealthCheck, envoy__config__core__v3__health_check)
PB_TYPE(HttpHealthCheck, Envoy__Config__Core__V3__HealthCheck__HttpHealthCheck,
        envoy__config__core__v3__health_check__http_health_check)
PB_TYPE(FormatString, Envoy__Config__Core__V3__SubstitutionFormatString,
        envoy__config__core__v3__substitution_format_string)
PB_TYPE(ExtensionConfig, Envoy__Config__Core__V3__TypedExtensionConfig,
        envoy__config__core__v3__typed_extension_config)
PB_TYPE(RegexMatcher, Envoy__Type__Matcher__V3__RegexMatcher,
        envoy__type__matcher__v3__regex_matcher)
PB_TYPE(StringMatcher, Envoy__Type__Matcher__V3__StringMatcher,
        envoy__type__matcher__v3__string_matcher)
PB_TYPE(PathMatcher, Envoy__Type__Matcher__V3__PathMatcher, envoy__type__matcher__v3__path_matcher)
PB_TYPE(AccessLog, Envoy__Config__Accesslog__V3__AccessLog,
        envoy__config__accesslog__v3__access_log)
PB_TYPE(StdoutAccessLog, Envoy__Extensions__AccessLoggers__Stream__V3__StdoutAccessLog,
        envoy__extensions__access_loggers__stream__v3__stdout_access_log)
PB_TYPE(ReqWithoutQuery, Envoy__Extensions__Formatter__ReqWithoutQuery__V3__ReqWithoutQuery,
        envoy__extensions__formatter__req_without_query__v3__req_without_query)
PB_TYPE(Listener, Envoy__Config__Listener__V3__Listener, envoy__config__listener__v3__listener)
PB_TYPE(AdditionalAddress, Envoy__Config__Listener__V3__AdditionalAddress,
        envoy__config__listener__v3__additional_address)
PB_TYPE(FilterChain, Envoy__Config__Listener__V3__FilterChain,
        envoy__config__listener__v3__filter_chain)
PB_TYPE(FilterChainMatch, Envoy__Config__Listener__V3__FilterChainMatch,
        envoy__config__listener__v3__filter_chain_match)
PB_TYPE(CidrRange, Envoy__Config__Core__V3__CidrRange, envoy__config__core__v3__cidr_range)
PB_TYPE(Filter, Envoy__Config__Listener__V3__Filter, envoy__config__listener__v3__filter)
PB_TYPE(ListenerFilter, Envoy__Config__Listener__V3__ListenerFilter,
        envoy__config__listener__v3__listener_filter)
PB_TYPE(OriginalDst, Envoy__Extensions__Filters__Listener__OriginalDst__V3__OriginalDst,
        envoy__extensions__filters__listener__original_dst__v3__original_dst)
PB_TYPE(TlsInspector, Envoy__Extensions__Filters__Listener__TlsInspector__V3__TlsInspector,
        envoy__extensions__filters__listener__tls_inspector__v3__tls_inspector)
PB_TYPE(RouteConfiguration, Envoy__Config__Route__V3__RouteConfiguration,
        envoy__config__route__v3__route_configuration)
PB_TYPE(VirtualHost, Envoy__Config__Route__V3__VirtualHost, envoy__config__route__v3__virtual_host)
PB_TYPE(PerFilterConfig, Envoy__Config__Route__V3__VirtualHost__TypedPerFilterConfigEntry,
        envoy__config__route__v3__virtual_host__typed_per_filter_config_entry)
PB_TYPE(Route, Envoy__Config__Route__V3__Route, envoy__config__route__v3__route)
PB_TYPE(RouteMatch, Envoy__Config__Route__V3__RouteMatch, envoy__config__route__v3__route_match)
PB_TYPE(RouteAction, Envoy__Config__Route__V3__RouteAction, envoy__config__route__v3__route_action)
PB_TYPE(WeightedCluster, Envoy__Config__Route__V3__WeightedCluster,
        envoy__config__route__v3__weighted_cluster)
PB_TYPE(ClusterWeight, Envoy__Config__Route__V3__WeightedCluster__ClusterWeight,
        envoy__config__route__v3__weighted_cluster__cluster_weight)
PB_TYPE(DirectResponse, Envoy__Config__Route__V3__DirectResponseAction,
        envoy__config__route__v3__direct_response_action)
PB_TYPE(HeaderMatcher, Envoy__Config__Route__V3__HeaderMatcher,
        envoy__config__route__v3__header_matcher)
PB_TYPE(Rbac, Envoy__Config__Rbac__V3__RBAC, envoy__config__rbac__v3__rbac)
PB_TYPE(RbacEntry, Envoy__Config__Rbac__V3__RBAC__PoliciesEntry,
        envoy__config__rbac__v3__rbac__policies_entry)
PB_TYPE(Policy, Envoy__Config__Rbac__V3__Policy, envoy__config__rbac__v3__policy)
PB_TYPE(Permission, Envoy__Config__Rbac__V3__Permission, envoy__config__rbac__v3__permission)
PB_TYPE(PermissionSet, Envoy__Config__Rbac__V3__Permission__Set,
        envoy__config__rbac__v3__permission__set)
PB_TYPE(Principal, Envoy__Config__Rbac__V3__Principal, envoy__config__rbac__v3__principal)
PB_TYPE(Authenticated, Envoy__Config__Rbac__V3__Principal__Authenticated,
        envoy__config__rbac__v3__principal__authenticated)
PB_TYPE(HttpRbac, Envoy__Extensions__Filters__Http__Rbac__V3__RBAC,
        envoy__extensions__filters__http__rbac__v3__rbac)
PB_TYPE(HttpRbacPerRoute, Envoy__Extensions__Filters__Http__Rbac__V3__RBACPerRoute,
        envoy__extensions__filters__http__rbac__v3__rbacper_route)
PB_TYPE(NetworkRbac, Envoy__Extensions__Filters__Network__Rbac__V3__RBAC,
        envoy__extensions__filters__network__rbac__v3__rbac)
PB_TYPE(Router, Envoy__Extensions__Filters__Http__Router__V3__Router,
        envoy__extensions__filters__http__router__v3__router)
PB_TYPE(TcpProxy, Envoy__Extensions__Filters__Network__TcpProxy__V3__TcpProxy,
        envoy__extensions__filters__network__tcp_proxy__v3__tcp_proxy)
PB_TYPE(TcpWeights, Envoy__Extensions__Filters__Network__TcpProxy__V3__TcpProxy__WeightedCluster,
        envoy__extensions__filters__network__tcp_proxy__v3__tcp_proxy__weighted_cluster)
PB_TYPE(
    TcpWeight,
    Envoy__Extensions__Filters__Network__TcpProxy__V3__TcpProxy__WeightedCluster__ClusterWeight,
    envoy__extensions__filters__network__tcp_proxy__v3__tcp_proxy__weighted_cluster__cluster_weight)
PB_TYPE(Hcm, Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager,
        envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager)
PB_TYPE(
    UpgradeConfig,
    Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager__UpgradeConfig,
    envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__upgrade_config)
PB_TYPE(Rds, Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__Rds,
        envoy__extensions__filters__network__http_connection_manager__v3__rds)
PB_TYPE(HttpFilter, Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpFilter,
        envoy__extensions__filters__network__http_connection_manager__v3__http_filter)
PB_TYPE(TlsParameters, Envoy__Extensions__TransportSockets__Tls__V3__TlsParameters,
        envoy__extensions__transport_sockets__tls__v3__tls_parameters)
PB_TYPE(TlsCertificate, Envoy__Extensions__TransportSockets__Tls__V3__TlsCertificate,
        envoy__extensions__transport_sockets__tls__v3__tls_certificate)
PB_TYPE(SanMatcher, Envoy__Extensions__TransportSockets__Tls__V3__SubjectAltNameMatcher,
        envoy__extensions__transport_sockets__tls__v3__subject_alt_name_matcher)
PB_TYPE(
    CombinedValidationContext,
    Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext__CombinedCertificateValidationContext,
    envoy__extensions__transport_sockets__tls__v3__common_tls_context__combined_certificate_validation_context)
PB_TYPE(ValidationContext,
        Envoy__Extensions__TransportSockets__Tls__V3__CertificateValidationContext,
        envoy__extensions__transport_sockets__tls__v3__certificate_validation_context)
PB_TYPE(SdsConfig, Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig,
        envoy__extensions__transport_sockets__tls__v3__sds_secret_config)
PB_TYPE(Secret, Envoy__Extensions__TransportSockets__Tls__V3__Secret,
        envoy__extensions__transport_sockets__tls__v3__secret)
PB_TYPE(UpstreamTls, Envoy__Extensions__TransportSockets__Tls__V3__UpstreamTlsContext,
        envoy__extensions__transport_sockets__tls__v3__upstream_tls_context)
PB_TYPE(DownstreamTls, Envoy__Extensions__TransportSockets__Tls__V3__DownstreamTlsContext,
        envoy__extensions__transport_sockets__tls__v3__downstream_tls_context)
PB_TYPE(CommonTls, Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext,
        envoy__extensions__transport_sockets__tls__v3__common_tls_context)
PB_TYPE(UpstreamHttpOptions, Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions,
        envoy__extensions__upstreams__http__v3__http_protocol_options)
PB_TYPE(UseDownstream,
        Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions__UseDownstreamHttpConfig,
        envoy__extensions__upstreams__http__v3__http_protocol_options__use_downstream_http_config)
PB_TYPE(Endpoint, Envoy__Config__Endpoint__V3__Endpoint, envoy__config__endpoint__v3__endpoint)
PB_TYPE(LbEndpoint, Envoy__Config__Endpoint__V3__LbEndpoint,
        envoy__config__endpoint__v3__lb_endpoint)
PB_TYPE(LocalityEndpoints, Envoy__Config__Endpoint__V3__LocalityLbEndpoints,
        envoy__config__endpoint__v3__locality_lb_endpoints)
PB_TYPE(LoadAssignment, Envoy__Config__Endpoint__V3__ClusterLoadAssignment,
        envoy__config__endpoint__v3__cluster_load_assignment)
PB_TYPE(Cluster, Envoy__Config__Cluster__V3__Cluster, envoy__config__cluster__v3__cluster)
PB_TYPE(ClusterOptions, Envoy__Config__Cluster__V3__Cluster__TypedExtensionProtocolOptionsEntry,
        envoy__config__cluster__v3__cluster__typed_extension_protocol_options_entry)
PB_TYPE(EdsConfig, Envoy__Config__Cluster__V3__Cluster__EdsClusterConfig,
        envoy__config__cluster__v3__cluster__eds_cluster_config)
PB_TYPE(CircuitBreakers, Envoy__Config__Cluster__V3__CircuitBreakers,
        envoy__config__cluster__v3__circuit_breakers)
PB_TYPE(Thresholds, Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds,
        envoy__config__cluster__v3__circuit_breakers__thresholds)

/* An array of one. */
#define ONE(a, p)                                                                                  \
    __extension__({                                                                                \
        __typeof__(p) *one_array = arena_alloc((a), sizeof(p));                                    \
        one_array[0] = (p);                                                                        \
        one_array;                                                                                 \
    })

/* Packs a message into an Any; its type URL comes from its descriptor. */
Any *pb_any(struct arena *a, const ProtobufCMessage *m);
/* Packs a finished resource and appends it. */
void pb_emit(resource_vec *out, struct str name, const ProtobufCMessage *m);
/* The same for one that holds a private key: its bytes are zeroed when freed. */
void pb_emit_secret(resource_vec *out, struct str name, const ProtobufCMessage *m);

char *pb_str(struct arena *a, struct str s);
char *pb_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
Duration *pb_duration_ms(struct arena *a, int64_t ms);
UInt32Value *pb_uint32(struct arena *a, uint32_t n);
BoolValue *pb_bool(struct arena *a, bool b);
Address *pb_address(struct arena *a, struct str ip, uint16_t port);
ConfigSource *pb_ads(struct arena *a);
DataSource *pb_bytes(struct arena *a, struct str bytes);
StringMatcher *pb_exact(struct arena *a, struct str s);
StringMatcher *pb_prefix(struct arena *a, char *s);
StringMatcher *pb_regex(struct arena *a, struct str s);
TransportSocket *pb_tls_socket(struct arena *a, char *name, const ProtobufCMessage *context);

/* Names of resources, in one place (as in Open Service Mesh). */
char *name_cluster(struct arena *a, struct str service, uint16_t target_port);
/* Of a headless service: goes to the pod that was dialled, where name_cluster's goes to any. */
char *name_dialled_cluster(struct arena *a, struct str service, uint16_t target_port);
/* Where calls of a service go: a headless one's own share stays with the pod that was dialled. */
char *name_backend_cluster(struct arena *a, const struct mesh_service *apex,
                           const struct mesh_backend *b);
char *name_local_cluster(struct arena *a, struct str service, uint16_t target_port);
char *name_outbound_chain(struct arena *a, struct str service, const struct mesh_port *p);
char *name_outbound_routes(struct arena *a, struct str service, uint16_t port);
char *name_inbound_chain(struct arena *a, const struct mesh_inbound *in);
char *name_inbound_routes(struct arena *a, const struct mesh_inbound *in);
char *name_ingress_routes(struct arena *a, const struct mesh_inbound *in);
char *name_spiffe(struct arena *a, const struct translate *t, struct str identity);

/* Parts of resources that several translations use. */
enum http_side { HTTP_INBOUND, HTTP_OUTBOUND };
/* A connection manager without its routes. */
Hcm *pb_hcm(struct arena *a, char *stat_prefix, enum http_side side);
void pb_hcm_rds(struct arena *a, Hcm *h, char *routes);
Filter *pb_filter(struct arena *a, char *name, const ProtobufCMessage *config);
/* validation_secret NULL: the peer's certificate isn't asked for. */
CommonTls *pb_common_tls(struct arena *a, const struct translate *t, char *validation_secret);
/* Also the peer's name must be that of one of these identities; of none, nobody's will do. */
CommonTls *pb_common_tls_to(struct arena *a, const struct translate *t,
                            const struct strs *identities);
Rbac *pb_http_policy(struct arena *a, const struct translate *t, const struct mesh_policy *p);
Rbac *pb_tcp_policy(struct arena *a, const struct translate *t, const struct mesh_policy *p);
Rbac *pb_ingress_policy(struct arena *a, const struct mesh_ingress_port *p);
/* Chains for callers outside the mesh, at most two for each inbound; returns how many. */
size_t pb_ingress_chains(struct arena *a, const struct translate *t,
                         const struct mesh_audience *audience,
                         const struct mesh_ingress_port *const *ingress, FilterChain **out);
HeaderMatcher *pb_header_regex(struct arena *a, struct str name, struct str regex);
HeaderMatcher *pb_header_exact(struct arena *a, struct str name, struct str value);
/* Routes of a listener's own: answers 403 with these words; sends a prefix to a cluster. */
RouteConfiguration *pb_refusal_routes(struct arena *a, char *name, const char *words);
RouteConfiguration *pb_prefix_routes(struct arena *a, char *name, char *prefix, char *cluster);

/* Whether the address is this service's (claims.h). */
bool translate_claimed(const struct translate *t, struct str ip, uint16_t port);
/* Ports of a service that share a target port share its cluster: the first of them stands for it.
 */
bool first_of_target_port(const struct mesh_service *s, size_t port);

/* Each builds one kind of resource and appends it. */
void translate_outbound_routes(struct arena *a, const struct mesh_service *s,
                               const struct mesh_port *p, resource_vec *out);
void translate_inbound_routes(struct arena *a, const struct translate *t,
                              const struct mesh_inbound *in, const struct mesh_policy *policy,
                              resource_vec *out);
void translate_ingress_routes(struct arena *a, const struct mesh_inbound *in,
                              const struct mesh_ingress_port *port, resource_vec *out);
void translate_outbound_cluster(struct arena *a, const struct translate *t,
                                const struct mesh_service *s, const struct mesh_port *p,
                                const struct mesh_endpoints *endpoints, resource_vec *out);
void translate_local_cluster(struct arena *a, const struct mesh_inbound *in, resource_vec *out);
void translate_metrics_cluster(struct arena *a, resource_vec *out);
void translate_passthrough_cluster(struct arena *a, resource_vec *out);
void translate_outbound_listeners(struct arena *a, const struct translate *t,
                                  const struct mesh_service *s,
                                  const struct mesh_endpoints *endpoints, resource_vec *out);
void translate_catcher(struct arena *a, const struct translate *t, bool ipv6, resource_vec *out);
void translate_inbound_listener(struct arena *a, const struct translate *t,
                                const struct mesh_audience *audience,
                                const struct mesh_policy *policy,
                                const struct mesh_ingress_port *const *ingress, resource_vec *out);
void translate_metrics_listener(struct arena *a, const struct mesh_audience *audience,
                                resource_vec *out);
void translate_root_secrets(struct arena *a, const struct translate *t,
                            resource_vec out[XDS_TYPES]);

#endif
