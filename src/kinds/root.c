/* MeshRootCertificate and ExtensionService. */
#include "kinds/root.h"

#include "kinds/row.h"

static const char *const roles[] = {"passive", "active", "inactive", NULL};

const char *root_role_name(enum root_role role)
{
    ASSERT(role <= ROOT_INACTIVE);
    return roles[role];
}

static const struct field builtin_ref_fields[] = {
    {"name", FIELD_STRING, AT(root_builtin, secret_name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of the Secret."},
    {"namespace", FIELD_STRING, AT(root_builtin, secret_namespace), FIELD_REQUIRED,
     .format = &format_dns_label, .help = "Its namespace."},
    FIELDS_END,
};
static const struct field builtin_ca_fields[] = {
    {"secretRef", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = builtin_ref_fields,
     .help = "The Secret with the root."},
    FIELDS_END,
};
static const struct field builtin_fields[] = {
    {"ca", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = builtin_ca_fields, .help = "The root."},
    FIELDS_END,
};

static const struct field vault_key_fields[] = {
    {"name", FIELD_STRING, AT(root_vault, token_name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of the Secret."},
    {"key", FIELD_STRING, AT(root_vault, token_key), FIELD_REQUIRED, .format = &format_config_key,
     .help = "Key in it."},
    {"namespace", FIELD_STRING, AT(root_vault, token_namespace), FIELD_REQUIRED,
     .format = &format_dns_label, .help = "Its namespace."},
    FIELDS_END,
};
static const struct field vault_token_fields[] = {
    {"secretKeyRef", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = vault_key_fields,
     .help = "A key of a Secret."},
    FIELDS_END,
};
static const char *const vault_protocols[] = {"http", "https", NULL};
static const struct field vault_fields[] = {
    {"host", FIELD_STRING, AT(root_vault, host), FIELD_REQUIRED, .max = 253,
     .help = "Host of the server."},
    {"port", FIELD_INT, AT(root_vault, port), FIELD_REQUIRED, .min = 1, .max = 65535,
     .help = "Its port."},
    {"role", FIELD_STRING, AT(root_vault, role), FIELD_REQUIRED, .max = 253,
     .help = "Vault's role for the mesh."},
    {"protocol", FIELD_STRING, AT(root_vault, protocol), FIELD_REQUIRED, .words = vault_protocols,
     .help = "http or https."},
    {"token", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = vault_token_fields,
     .help = "Vault's token."},
    FIELDS_END,
};

static const char *const issuer_kinds[] = {"Issuer", "ClusterIssuer", NULL};
static const struct field cert_manager_fields[] = {
    {"issuerName", FIELD_STRING, AT(root_cert_manager, issuer_name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of the issuer."},
    {"issuerKind", FIELD_STRING, AT(root_cert_manager, issuer_kind), FIELD_REQUIRED,
     .words = issuer_kinds, .help = "Issuer or ClusterIssuer."},
    {"issuerGroup", FIELD_STRING, AT(root_cert_manager, issuer_group), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Its API group."},
    FIELDS_END,
};

static const struct field provider_fields[] = {
    {"tresor", FIELD_POINTER, AT(mesh_root_certificate, builtin), .fields = builtin_fields,
     .size = sizeof(struct root_builtin), .help = "The control plane issues certificates."},
    {"vault", FIELD_POINTER, AT(mesh_root_certificate, vault), .fields = vault_fields,
     .size = sizeof(struct root_vault), .help = "HashiCorp Vault issues them."},
    {"certManager", FIELD_POINTER, AT(mesh_root_certificate, cert_manager),
     .fields = cert_manager_fields, .size = sizeof(struct root_cert_manager),
     .help = "cert-manager issues them."},
    FIELDS_END,
};

static const struct field_rule provider_rules[] = {
    {"[has(self.tresor), has(self.vault), has(self.certManager)].filter(x, x).size() == 1",
     "expected one of tresor, vault and certManager"},
    {"self == oldSelf", "can't be changed; make another MeshRootCertificate"},
    {NULL},
};

static const struct field_rule role_rules[] = {
    {"!(oldSelf == 'active' && self == 'inactive') && !(oldSelf == 'inactive' && self == "
     "'active')",
     "active and inactive aren't neighbours; make it passive first"},
    {NULL},
};

/* The fields have defaults, so the old object has them. */
static const struct field_rule spec_rules[] = {
    {"self.trustDomain == oldSelf.trustDomain",
     "trustDomain can't be changed; make another MeshRootCertificate"},
    {"self.spiffeEnabled == oldSelf.spiffeEnabled",
     "spiffeEnabled can't be changed; make another MeshRootCertificate"},
    {NULL},
};

static const struct field root_spec_fields[] = {
    {"trustDomain", FIELD_STRING, AT(mesh_root_certificate, trust_domain),
     .format = &format_dns_subdomain, .initial = "cluster.local",
     .help = "Trust domain of the identities."},
    {"role", FIELD_ENUM, AT(mesh_root_certificate, role), FIELD_REQUIRED, .words = roles,
     .rules = role_rules,
     .help = "active: it signs; passive: it is trusted; inactive: it isn't used."},
    {"spiffeEnabled", FIELD_BOOL, AT(mesh_root_certificate, spiffe_enabled), .initial = "false",
     .help = "Certificates carry SPIFFE identities."},
    {"provider", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = provider_fields,
     .rules = provider_rules, .help = "Who issues certificates."},
    FIELDS_END,
};

const struct field mesh_root_certificate_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = root_spec_fields, .rules = spec_rules,
     .help = "A root of trust."},
    IGNORED("status"),
    FIELDS_END,
};

#define COMPONENT(key) {key, FIELD_STRING, .words = component_states, .help = "State of it."}
static const char *const component_states[] = {"issuing", "validating", "unused", "unknown", NULL};
static const struct field component_fields[] = {
    COMPONENT("validatingWebhook"),
    COMPONENT("mutatingWebhook"),
    COMPONENT("xdsControlPlane"),
    COMPONENT("sidecar"),
    COMPONENT("bootstrap"),
    COMPONENT("gateway"),
    FIELDS_END,
};
const struct field status_condition_fields[] = {
    {"type", FIELD_STRING, 0, FIELD_REQUIRED, .help = "What is said."},
    {"status", FIELD_STRING, 0, FIELD_REQUIRED, .help = "True, False or Unknown."},
    {"reason", FIELD_STRING, .help = "A word for why."},
    {"message", FIELD_STRING, .help = "Why."},
    {"lastTransitionTime", FIELD_STRING, .help = "Since when."},
    {"observedGeneration", FIELD_INT, .help = "The generation that it is about."},
    FIELDS_END,
};
const struct field mesh_root_certificate_status_fields[] = {
    {"state", FIELD_STRING, .help = "State of the root."},
    {"transitionAfter", FIELD_STRING, .help = "When its state changes next."},
    {"componentStatuses", FIELD_STRUCT, .fields = component_fields,
     .help = "What it is used for by each part of the mesh."},
    {"conditions", FIELD_LIST, .fields = status_condition_fields, .help = "More about its state."},
    FIELDS_END,
};

uint64_t mesh_root_certificate_provider_hash(const struct mesh_root_certificate *r)
{
    return fields_hash(provider_fields, r);
}

/* The control plane issues from the root in a Secret beside it, like the one that an install makes.
 * Certificates carry SPIFFE identities beside the others, whatever spiffeEnabled is. */
bool mesh_root_certificate_as_is(const struct object *o)
{
    const struct mesh_root_certificate *r = (const struct mesh_root_certificate *)o;
    return r->role == ROOT_ACTIVE && r->builtin &&
           str_eq(r->builtin->secret_namespace, o->meta.namespace);
}

void mesh_root_certificate_finish(struct decode *d, const struct value *doc, struct object *o,
                                  bool clean)
{
    const struct mesh_root_certificate *r = (struct mesh_root_certificate *)o;
    int n = !!r->builtin + !!r->vault + !!r->cert_manager;
    if (n != 1 && value_at(doc, "spec.provider")) {
        decode_error(d, doc, "spec.provider",
                     "expected one of tresor, vault and certManager, found %s",
                     n ? "several" : "none");
    }
    const struct value *domain = value_at(doc, "spec.trustDomain");
    if (domain && domain->type == VALUE_STRING && domain->string.len == 0) {
        decode_error(d, doc, "spec.trustDomain", "expected a name, found an empty one");
    }
}

static const char *const extension_protocols[] = {"h2c", "http2", "http1", NULL};

static const struct field extension_spec_fields[] = {
    {"host", FIELD_STRING, AT(extension_service, host), FIELD_REQUIRED, .max = 253,
     .help = "Host of the service."},
    {"port", FIELD_INT, AT(extension_service, port), FIELD_REQUIRED, .min = 1, .max = 65535,
     .help = "Its port."},
    {"protocol", FIELD_STRING, AT(extension_service, protocol), FIELD_NOCASE,
     .words = extension_protocols,
     .help = "h2c or http2: HTTP/2; http1: HTTP/1.1; that of the call when not given."},
    {"connectTimeout", FIELD_DURATION, AT(extension_service, connect_timeout_ms),
     .help = "Time to connect; 5s when not given."},
    FIELDS_END,
};

const struct field extension_service_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = extension_spec_fields,
     .help = "A service that sidecars use."},
    FIELDS_END,
};
