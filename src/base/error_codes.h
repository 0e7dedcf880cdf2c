/* Error codes as users of Open Service Mesh know them: in logs (field error_code), in the metric
 * osm_error_err_code_count and in `osm support error-info`. Numbers and names don't change; a code
 * that this implementation never reports stays described, for logs of older installations. */
#ifndef OSM_BASE_ERROR_CODES_H
#define OSM_BASE_ERROR_CODES_H

#include <stddef.h>

#include "base/str.h"

/* X(number, constant, what happened, what to do) */
#define ERROR_CODES_START(X)                                                                       \
    X(1000, INVALID_CLI_ARGUMENT, "A flag of a control plane program is missing or wrong.",        \
      "Read the program's last log line; it names the flag. Correct the Deployment's arguments, "  \
      "which come from the chart's values.")                                                       \
    X(1001, SETTING_LOG_LEVEL, "The log level asked for doesn't exist.",                           \
      "Set MeshConfig spec.observability.osmLogLevel to trace, debug, info, warn, error or "       \
      "disabled.")                                                                                 \
    X(1002, FETCHING_CONTROLLER_POD, "osm-controller can't read its own Pod.",                     \
      "Check that the pod has CONTROLLER_POD_NAME and that its role may get pods; osm check "      \
      "tells.")                                                                                    \
    X(1003, FETCHING_INJECTOR_POD, "osm-injector can't read its own Pod.",                         \
      "Check that the pod has INJECTOR_POD_NAME and that its role may get pods; osm check tells.") \
    X(1004, STARTING_INGRESS_CLIENT,                                                               \
      "The part that keeps the ingress gateway's certificate "                                     \
      "didn't start.",                                                                             \
      "Check MeshConfig spec.certificate.ingressGateway and that the role may write the Secret "   \
      "that it names.")                                                                            \
    X(1005, STARTING_RECONCILER,                                                                   \
      "The reconciler of CRDs and webhook configurations didn't start.",                           \
      "Check that the role may watch and write them, or turn it off with osm.enableReconciler: "   \
      "false.")

#define ERROR_CODES_POLICY(X)                                                                      \
    X(2000, DEDUP_EGRESS_TRAFFIC_MATCHES,                                                          \
      "Two Egress policies have ports or hosts that can't be "                                     \
      "told apart.",                                                                               \
      "Change or remove one of the Egress objects that the log names.")                            \
    X(2001, DEDUP_EGRESS_CLUSTER_CONFIGS,                                                          \
      "Two Egress policies want different things of one "                                          \
      "destination.",                                                                              \
      "Change or remove one of the Egress objects that the log names.")                            \
    X(2002, INVALID_EGRESS_IP_RANGE,                                                               \
      "An Egress policy's IP range is no CIDR; the range is left "                                 \
      "out.",                                                                                      \
      "Write spec.ipAddresses as 10.0.0.0/24.")                                                    \
    X(2003, INVALID_EGRESS_MATCHES,                                                                \
      "An Egress policy's matches name something that can't be "                                   \
      "matched.",                                                                                  \
      "spec.matches may name HTTPRouteGroups of specs.smi-spec.io/v1alpha4 and one "               \
      "UpstreamTrafficSetting.")                                                                   \
    X(2004, EGRESS_SMI_HTTP_ROUTE_GROUP_NOT_FOUND,                                                 \
      "An Egress policy names an HTTPRouteGroup that "                                             \
      "isn't there.",                                                                              \
      "Create the HTTPRouteGroup in the Egress object's namespace, or correct its name.")          \
    X(2005, FETCHING_SMI_HTTP_ROUTE_GROUP_FOR_TRAFFIC_TARGET,                                      \
      "A TrafficTarget names an HTTPRouteGroup that isn't there; that rule allows nothing.",       \
      "Create the HTTPRouteGroup in the TrafficTarget's namespace, or correct its name.")          \
    X(2006, SMI_HTTP_ROUTE_GROUP_NO_MATCH,                                                         \
      "A TrafficTarget names a match that its "                                                    \
      "HTTPRouteGroup lacks; that rule allows nothing.",                                           \
      "Add the match to the HTTPRouteGroup, or correct its name in the TrafficTarget.")            \
    X(2007, MULTIPLE_SMI_SPLIT_PER_SERVICE_UNSUPPORTED,                                            \
      "Several TrafficSplits have the same apex service; the first is used.",                      \
      "Keep one TrafficSplit for the service that the log names.")                                 \
    X(2008, ADDING_ROUTE_TO_OUTBOUND_TRAFFIC_POLICY,                                               \
      "A route couldn't be added to a service's "                                                  \
      "outbound routes.",                                                                          \
      "Look at the HTTPRouteGroups and TrafficSplits of the service that the log names.")          \
    X(2009, GETTING_INBOUND_TRAFFIC_TARGETS, "The TrafficTargets of a workload couldn't be read.", \
      "Look at the TrafficTargets whose destination is the service account that the log names.")   \
    X(2010, INVALID_DESTINATION_KIND, "A policy's destination has a kind that isn't supported.",   \
      "A TrafficTarget's destination is a ServiceAccount.")                                        \
    X(2011, INVALID_SOURCE_KIND, "A policy's source has a kind that isn't supported.",             \
      "Sources of TrafficTargets and Egress are ServiceAccounts; of IngressBackends Services, "    \
      "AuthenticatedPrincipals and IPRanges.")

#define ERROR_CODES_KUBERNETES(X)                                                                  \
    X(3000, ENDPOINTS_NOT_FOUND, "A service that a policy names has no endpoints.",                \
      "Check that the Service's selector matches running pods: kubectl get endpointslices.")       \
    X(3001, MARSHALLING_KUBERNETES_RESOURCE, "An object couldn't be written as JSON or YAML.",     \
      "Report it with osm support bug-report; the object is in the log.")                          \
    X(3002, UNMARSHALLING_KUBERNETES_RESOURCE, "An object from the API server couldn't be read.",  \
      "Look at the object and the field that the log names.")

#define ERROR_CODES_CERTIFICATES(X)                                                                \
    X(4000, FETCHING_CERT_SECRET, "The Secret with a certificate can't be read.",                  \
      "Check that it exists and that the role may get it; osm check tells.")                       \
    X(4001, OBTAINING_CERT_FROM_SECRET, "A Secret has no certificate under the expected key.",     \
      "The root's Secret needs ca.crt and private.key. Restore it, or delete it for a new root "   \
      "(all sidecars then need new certificates).")                                                \
    X(4002, OBTAINING_PRIVATE_KEY_FROM_SECRET,                                                     \
      "A Secret has no private key under the expected "                                            \
      "key.",                                                                                      \
      "The root's Secret needs ca.crt and private.key.")                                           \
    X(4003, OBTAINING_CERT_EXPIRATION_FROM_SECRET,                                                 \
      "A Secret doesn't say when its certificate "                                                 \
      "expires.",                                                                                  \
      "Only older installations wrote it; upgrade with osm mesh upgrade.")                         \
    X(4004, OBTAINING_CA_CERT_FROM_SECRET, "A Secret has no root certificate.",                    \
      "The root's Secret needs ca.crt.")                                                           \
    X(4005, PARSING_CERT_EXPIRATION, "The time at which a certificate expires can't be read.",     \
      "Look at the certificate in the Secret that the log names.")                                 \
    X(4006, CREATING_CERT_SECRET, "The Secret with a certificate can't be written.",               \
      "Check MeshConfig spec.certificate.ingressGateway, and that the role may write Secrets "     \
      "in that namespace.")                                                                        \
    X(4007, GENERATING_PRIVATE_KEY, "A private key couldn't be made.",                             \
      "Check MeshConfig spec.certificate.certKeyBitSize (2048 to 4096).")                          \
    X(4008, ENCODING_KEY_DER_TO_PEM, "A private key couldn't be written as PEM.",                  \
      "Report it with osm support bug-report.")                                                    \
    X(4009, CREATING_CERT_REQ, "A certificate signing request couldn't be made.",                  \
      "Look at the name in the log: a service account's or namespace's name may be too long.")     \
    X(4010, CREATING_ROOT_CERT, "The mesh's root certificate couldn't be made.",                   \
      "The log's next field says why.")                                                            \
    X(4011, ENCODING_CERT_DER_TO_PEM, "A certificate couldn't be written as PEM.",                 \
      "Report it with osm support bug-report.")                                                    \
    X(4012, DECODING_PEM_CERT, "A certificate isn't valid PEM.",                                   \
      "Look at ca.crt of the root's Secret, or at what Vault or cert-manager sent.")               \
    X(4013, DECODING_PEM_PRIVATE_KEY, "A private key isn't valid PEM.",                            \
      "Look at private.key of the root's Secret.")                                                 \
    X(4014, ISSUING_CERT, "The certificate provider refused or failed to issue a certificate.",    \
      "The log says what the provider answered; check that it is up and that our token or issuer " \
      "may sign.")                                                                                 \
    X(4015, CREATING_CERT, "A certificate couldn't be made.",                                      \
      "The log says why; the root may be expired: osm check tells.")                               \
    X(4016, INVALID_CA, "The root isn't a certificate authority that can sign.",                   \
      "Check that ca.crt is a CA, isn't expired and belongs to private.key: osm check tells.")     \
    X(4017, ROTATING_CERT, "A certificate couldn't be renewed in time.",                           \
      "The certificate in use stays until it expires; see E4014 and E4015 for why.")               \
    X(4018, UPDATING_BOOTSTRAP_SECRET, "A sidecar's bootstrap Secret couldn't be renewed.",        \
      "Check that the role may update Secrets in the pod's namespace.")                            \
    X(4019, INVALID_MRC_ROLE_COMBINATION,                                                          \
      "MeshRootCertificates have roles that don't go "                                             \
      "together.",                                                                                 \
      "One must be active; a second may be active or passive.")                                    \
    X(4020, NUM_MRC_EXCEEDS_MAX_SUPPORTED, "More than two MeshRootCertificates are in use.",       \
      "Set the role of all but two to inactive.")

#define ERROR_CODES_CONFIG(X)                                                                      \
    X(4100, PUB_SUB_MESSAGE_FORMAT, "A message between parts of the control plane was malformed.", \
      "Report it with osm support bug-report.")                                                    \
    X(4150, CONFIG_INFORMER_INIT_CACHE, "MeshConfig couldn't be read at the start.",               \
      "Check that the CRDs are installed and the role may watch meshconfigs; osm check tells.")    \
    X(4151, MESH_CONFIG_STRUCT_CASTING, "MeshConfig isn't what it should be.",                     \
      "Look at MeshConfig osm-mesh-config: kubectl get meshconfig -A -o yaml.")                    \
    X(4152, MESH_CONFIG_FETCH_FROM_CACHE,                                                          \
      "MeshConfig isn't there; SMI mode without egress is in "                                     \
      "force.",                                                                                    \
      "Create MeshConfig osm-mesh-config in the mesh's namespace; osm mesh upgrade does.")         \
    X(4153, GETTING_SERVICE_IDENTITIES_FOR_SERVICE,                                                \
      "The service accounts behind a service are "                                                 \
      "unknown.",                                                                                  \
      "Check that the Service's selector matches pods of the mesh.")

#define ERROR_CODES_XDS(X)                                                                         \
    X(5000, MARSHALLING_XDS_RESOURCE, "A sidecar's configuration couldn't be encoded.",            \
      "Report it with osm support bug-report; the resource is in the log.")                        \
    X(5001, PARSING_XDS_CERT_CN, "A sidecar's certificate doesn't name a proxy.",                  \
      "Restart the pod, so that it is injected anew.")                                             \
    X(5002, FETCHING_POD_FROM_CERT, "There is no pod for a sidecar's certificate.",                \
      "It may be gone already. If it isn't: is its namespace in the mesh, and does the pod have "  \
      "the label osm-proxy-uuid?")                                                                 \
    X(5003, POD_BELONGS_TO_MULTIPLE_SERVICES, "Several pods have the same osm-proxy-uuid label.",  \
      "Remove the label from pod templates; the injector sets it per pod.")                        \
    X(5004, GETTING_PROXY_FROM_POD, "A pod has no sidecar of this mesh.",                          \
      "Restart the pod, so that it is injected.")                                                  \
    X(5005, GRPC_CONNECTION_FAILED, "A sidecar's connection failed.",                              \
      "Look at the sidecar's log: kubectl logs POD -c envoy.")                                     \
    X(5006, SENDING_DISCOVERY_RESPONSE, "A configuration couldn't be sent to a sidecar.",          \
      "The sidecar connects again by itself; osm proxy status shows whether it has.")              \
    X(5007, GENERATING_REQ_RESOURCE, "A sidecar's configuration couldn't be made.",                \
      "osm proxy status says which part and why.")                                                 \
    X(5008, RECORDING_SNAPSHOT, "A sidecar's configuration couldn't be kept.",                     \
      "Report it with osm support bug-report.")                                                    \
    X(5009, STARTING_ADS_SERVER, "The server that sidecars connect to didn't start.",              \
      "The log says why; port 15128 may be taken.")                                                \
    X(5010, MISMATCHED_SERVICE_ACCOUNT,                                                            \
      "A sidecar's certificate is for another service account "                                    \
      "than its pod's.",                                                                           \
      "Restart the pod. If it comes again, somebody uses another pod's certificate: look who.")    \
    X(5011, GRPC_STREAM_CLOSED_BY_PROXY, "A sidecar ended its connection.",                        \
      "Nothing, when its pod ended. Else look at the sidecar's log: kubectl logs POD -c envoy.")   \
    X(5012, UNEXPECTED_XDS_REQUEST, "A sidecar asked for something out of order.",                 \
      "Check that its Envoy is a supported version.")                                              \
    X(5013, INVALID_XDS_TYPE_URI, "A sidecar asked for a type of resource that there isn't.",      \
      "Check that its Envoy is a supported version.")                                              \
    X(5014, PARSING_DISCOVERY_REQ_VERSION, "A sidecar named a version that it can't have.",        \
      "Restart the pod; report it if it comes again.")                                             \
    X(5015, GETTING_ORG_DST_EGRESS_CLUSTER,                                                        \
      "The way out for unknown destinations couldn't be "                                          \
      "made.",                                                                                     \
      "Look at the Egress policies that the log names.")                                           \
    X(5016, GETTING_DNS_EGRESS_CLUSTER,                                                            \
      "The way out to a host of an Egress policy couldn't be "                                     \
      "made.",                                                                                     \
      "Check spec.hosts and spec.ports of the Egress policy that the log names.")                  \
    X(5017, OBTAINING_UPSTREAM_SERVICE_CLUSTER, "The cluster of a service couldn't be made.",      \
      "Check the ports of the Service and the UpstreamTrafficSetting for it.")                     \
    X(5018, FETCHING_SERVICE_LIST, "The services of a pod couldn't be found.",                     \
      "Check that a Service selects the pod.")                                                     \
    X(5019, DUPLICATE_CLUSTERS, "Two clusters have the same name; one is left out.",               \
      "Report it with osm support bug-report.")                                                    \
    X(5020, UNSUPPORTED_PROTOCOL_FOR_SERVICE, "A port's protocol isn't supported.",                \
      "Use http, grpc, tcp or tcp-server-first as appProtocol or prefix of the port's name; for "  \
      "IngressBackends http or https.")                                                            \
    X(5021, INGRESS_FILTER_CHAIN, "The way in for an IngressBackend couldn't be made.",            \
      "Its status says why: kubectl get ingressbackends -A.")                                      \
    X(5022, BUILDING_RBAC_POLICY_FOR_ROUTE,                                                        \
      "A rule about who may call couldn't be made; nobody "                                        \
      "may.",                                                                                      \
      "Look at the TrafficTargets of the service account that the log names.")                     \
    X(5023, UNMARSHALLING_SDS_CERT,                                                                \
      "A sidecar asked for a certificate by a name that there isn't.",                             \
      "Check that its Envoy is configured by this mesh.")                                          \
    X(5024, GETTING_SERVICE_CERT_SECRET, "A sidecar's certificate couldn't be made.",              \
      "See E4014 and E4015 for why.")                                                              \
    X(5025, GETTING_MESH_SERVICE, "A certificate is asked for a service that there isn't.",        \
      "It may have been deleted just now. If it comes again, report it.")                          \
    X(5026, GETTING_K8S_SERVICE_ACCOUNT,                                                           \
      "A certificate is asked for a service account that "                                         \
      "there isn't.",                                                                              \
      "It may have been deleted just now. If it comes again, report it.")                          \
    X(5027, SDS_CERT_MISMATCH, "A sidecar asked for a certificate that isn't its own.",            \
      "Restart the pod. If it comes again, somebody uses another pod's certificate: look who.")

#define ERROR_CODES_WEBHOOKS(X)                                                                    \
    X(6100, MARSHALLING_PROTO_TO_YAML, "A sidecar's bootstrap configuration couldn't be written.", \
      "Report it with osm support bug-report.")                                                    \
    X(6101, PARSING_MUTATING_WEBHOOK_CERT, "The injector's certificate can't be read.",            \
      "Restart osm-injector; see E4016 if it comes again.")                                        \
    X(6102, STARTING_INJECTION_WEBHOOK_HTTP_SERVER, "The injector's server didn't start.",         \
      "The log says why; port 9090 may be taken.")                                                 \
    X(6103, DECODING_ADMISSION_REQ_BODY, "An admission review that came in can't be read.",        \
      "Only the API server should call the injector: look who else does.")                         \
    X(6104, PARSING_REQ_TIMEOUT, "The time limit of an admission review can't be read.",           \
      "Only the API server should call the injector: look who else does.")                         \
    X(6105, INVALID_ADMISSION_REQ_HEADER, "An admission review came without JSON content type.",   \
      "Only the API server should call the injector: look who else does.")                         \
    X(6106, WRITING_ADMISSION_RESP, "The answer to an admission review couldn't be sent.",         \
      "The API server may have given up waiting: look at its log and at osm.injector's "           \
      "resources.")                                                                                \
    X(6107, NIL_ADMISSION_REQ, "An admission review has no request.",                              \
      "Only the API server should call the injector: look who else does.")                         \
    X(6108, DETERMINING_POD_INJECTION_ENABLEMENT,                                                  \
      "A pod's annotation doesn't say clearly whether "                                            \
      "to inject.",                                                                                \
      "Set openservicemesh.io/sidecar-injection of the pod to enabled or disabled.")               \
    X(6109, DETERMINING_NAMESPACE_INJECTION_ENABLEMENT,                                            \
      "A namespace's annotation doesn't say "                                                      \
      "clearly whether to inject.",                                                                \
      "Set openservicemesh.io/sidecar-injection of the namespace to enabled or disabled; osm "     \
      "namespace add does.")                                                                       \
    X(6110, DETERMINING_POD_PORT_EXCLUSIONS,                                                       \
      "A pod's annotation has ports that can't be "                                                \
      "excluded.",                                                                                 \
      "Write ...-port-exclusion-list as numbers from 1 to 65535 with commas between them.")        \
    X(6111, READING_ADMISSION_REQ_BODY, "An admission review broke off.",                          \
      "Look at the network between the API server and osm-injector; osm check tries it.")          \
    X(6112, NIL_ADMISSION_REQ_BODY, "An admission review came without a body.",                    \
      "Only the API server should call the injector: look who else does.")                         \
    X(6113, CREATING_MUTATING_WEBHOOK, "The injector's webhook configuration couldn't be made.",   \
      "Check that the role may create mutatingwebhookconfigurations; osm check tells.")            \
    X(6114, UPDATING_MUTATING_WEBHOOK,                                                             \
      "The injector's webhook configuration couldn't be changed.",                                 \
      "Check that the role may update mutatingwebhookconfigurations; osm check tells.")            \
    X(6700, SHUTTING_DOWN_VALIDATING_WEBHOOK_HTTP_SERVER,                                          \
      "The validator's server didn't end "                                                         \
      "cleanly.",                                                                                  \
      "Nothing; calls that were open are tried again by the API server.")                          \
    X(6701, STARTING_VALIDATING_WEBHOOK_HTTP_SERVER, "The validator's server didn't start.",       \
      "The log says why; port 9093 may be taken.")                                                 \
    X(6702, PARSING_VALIDATING_WEBHOOK_CERT, "The validator's certificate can't be read.",         \
      "Restart osm-controller; see E4016 if it comes again.")                                      \
    X(6703, CREATING_VALIDATING_WEBHOOK,                                                           \
      "The validator's webhook configuration couldn't be made.",                                   \
      "Check that the role may create validatingwebhookconfigurations; osm check tells.")

#define ERROR_CODES_RECONCILER(X)                                                                  \
    X(7000, RECONCILING_UPDATED_CRD, "A CRD that somebody changed couldn't be put back.",          \
      "Check that the role may update CRDs; osm check compares them.")                             \
    X(7001, RECONCILING_DELETED_CRD, "A CRD that somebody deleted couldn't be made again.",        \
      "Check that the role may create CRDs; osm check lists those that are missing.")              \
    X(7002, RECONCILING_UPDATED_MUTATING_WEBHOOK,                                                  \
      "The injector's webhook configuration, which somebody changed, couldn't be put back.",       \
      "Check that the role may update mutatingwebhookconfigurations.")                             \
    X(7003, RECONCILING_DELETED_MUTATING_WEBHOOK,                                                  \
      "The injector's webhook configuration, which somebody deleted, couldn't be made again.",     \
      "Check that the role may create mutatingwebhookconfigurations.")                             \
    X(7004, RECONCILING_UPDATED_VALIDATING_WEBHOOK,                                                \
      "The validator's webhook configuration, which somebody changed, couldn't be put back.",      \
      "Check that the role may update validatingwebhookconfigurations.")                           \
    X(7005, RECONCILING_DELETED_VALIDATING_WEBHOOK,                                                \
      "The validator's webhook configuration, which somebody deleted, couldn't be made again.",    \
      "Check that the role may create validatingwebhookconfigurations.")

#define ERROR_CODES(X)                                                                             \
    ERROR_CODES_START(X)                                                                           \
    ERROR_CODES_POLICY(X)                                                                          \
    ERROR_CODES_KUBERNETES(X)                                                                      \
    ERROR_CODES_CERTIFICATES(X)                                                                    \
    ERROR_CODES_CONFIG(X)                                                                          \
    ERROR_CODES_XDS(X)                                                                             \
    ERROR_CODES_WEBHOOKS(X)                                                                        \
    ERROR_CODES_RECONCILER(X)

/* ERROR_INVALID_CLI_ARGUMENT = 1000, ... */
enum error_code {
#define ERROR_CODE_CONSTANT(number, name, what, todo) ERROR_##name = number,
    ERROR_CODES(ERROR_CODE_CONSTANT)
#undef ERROR_CODE_CONSTANT
};

struct error_code_info {
    enum error_code code;
    const char *label; /* "E1000", as logs and metrics have it */
    const char *what, *todo;
};

/* In the order of their numbers; *ret_len gets how many. */
const struct error_code_info *error_codes(size_t *ret_len);
/* NULL when there is none. */
const struct error_code_info *error_code_find(int number);

#endif
