/* Egress and IngressBackend. */
#include "kinds/policy.h"

#include "base/map.h"
#include "kinds/policy_fields.h"
#include "kinds/row.h"

static const char *const account_kinds[] = {"ServiceAccount", NULL};

const struct field account_fields[] = {
    {"kind", FIELD_STRING, AT(policy_subject, kind), FIELD_REQUIRED, .words = account_kinds,
     .help = "Kind of the source."},
    {"name", FIELD_STRING, AT(policy_subject, name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of the service account."},
    {"namespace", FIELD_STRING, AT(policy_subject, namespace), FIELD_REQUIRED,
     .format = &format_dns_label, .help = "Its namespace."},
    FIELDS_END,
};

const struct field policy_status_fields[] = {
    {"currentStatus", FIELD_STRING, .help = "Whether it is in force: committed or error."},
    {"reason", FIELD_STRING, .help = "Why."},
    FIELDS_END,
};

static const struct field match_fields[] = {
    {"apiGroup", FIELD_STRING, AT(policy_match, api_group), FIELD_REQUIRED, .max = 253,
     .help = "Group and version of the object, such as specs.smi-spec.io/v1alpha4."},
    {"kind", FIELD_STRING, AT(policy_match, kind), FIELD_REQUIRED, .max = 63, .help = "Its kind."},
    {"name", FIELD_STRING, AT(policy_match, name), FIELD_REQUIRED, .format = &format_dns_subdomain,
     .help = "Its name, in the namespace of this object."},
    FIELDS_END,
};

static const char *const egress_protocols[] = {"http", "https", "tcp", "tcp-server-first", NULL};

static const struct field egress_port_fields[] = {
    {"number", FIELD_INT, AT(policy_port, number), FIELD_REQUIRED, .min = 1, .max = 65535,
     .help = "Port number."},
    {"protocol", FIELD_STRING, AT(policy_port, protocol), FIELD_REQUIRED | FIELD_NOCASE,
     .words = egress_protocols,
     .help = "What is spoken there: http, https, tcp or "
             "tcp-server-first."},
    FIELDS_END,
};

static const struct field host_item = {"", FIELD_STRING, .max = 253};
static const struct field cidr_item = {"", FIELD_STRING, 0, FIELD_REQUIRED, .format = &format_cidr};

static const struct field_rule egress_match_rules[] = {
    {"self.all(m, (m.apiGroup == 'specs.smi-spec.io/v1alpha4' && m.kind == 'HTTPRouteGroup') || "
     "(m.apiGroup == 'policy.openservicemesh.io/v1alpha1' && m.kind == 'UpstreamTrafficSetting'))",
     "expected HTTPRouteGroups of specs.smi-spec.io/v1alpha4 and an UpstreamTrafficSetting of "
     "policy.openservicemesh.io/v1alpha1 only"},
    {"self.filter(m, m.kind == 'UpstreamTrafficSetting').size() <= 1",
     "expected at most one UpstreamTrafficSetting"},
    {NULL},
};

static const struct field egress_spec_fields[] = {
    {"sources", FIELD_LIST, AT(egress, sources), FIELD_REQUIRED, .max = POLICY_ENTRIES_MAX,
     .fields = account_fields, .size = sizeof(struct policy_subject),
     .help = "The service accounts that may call."},
    {"hosts", FIELD_LIST, AT(egress, hosts), .max = POLICY_ENTRIES_MAX, .item = &host_item,
     .help = "Host names that they may call."},
    {"ipAddresses", FIELD_LIST, AT(egress, ip_addresses), .max = POLICY_ENTRIES_MAX,
     .item = &cidr_item, .help = "Address ranges that they may call, as 10.0.0.0/8."},
    {"ports", FIELD_LIST, AT(egress, ports), FIELD_REQUIRED, .max = POLICY_PORTS_MAX,
     .fields = egress_port_fields, .size = sizeof(struct policy_port),
     .help = "Ports that they may call."},
    {"matches", FIELD_LIST, AT(egress, matches), .max = POLICY_MATCHES_MAX, .fields = match_fields,
     .size = sizeof(struct policy_match), .rules = egress_match_rules,
     .help = "HTTPRouteGroups that calls must match, and an UpstreamTrafficSetting with their "
             "limits."},
    FIELDS_END,
};

const struct field egress_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = egress_spec_fields,
     .help = "Calls to destinations outside the mesh."},
    FIELDS_END,
};

static void check_match(struct decode *d, const struct value *doc, const struct policy_match *m,
                        size_t i)
{
    bool routes = str_is(m->api_group, "specs.smi-spec.io/v1alpha4");
    bool setting = str_is(m->api_group, "policy.openservicemesh.io/v1alpha1");
    if (!routes && !setting) {
        decode_error(d, doc, arena_printf(d->arena, "spec.matches[%zu].apiGroup", i).ptr,
                     "expected \"specs.smi-spec.io/v1alpha4\" or "
                     "\"policy.openservicemesh.io/v1alpha1\", found \"%.*s\"",
                     STR_ARG(m->api_group));
        return;
    }
    const char *kind = routes ? "HTTPRouteGroup" : "UpstreamTrafficSetting";
    if (!str_is(m->kind, kind)) {
        decode_error(d, doc, arena_printf(d->arena, "spec.matches[%zu].kind", i).ptr,
                     "expected \"%s\" with this apiGroup, found \"%.*s\"", kind, STR_ARG(m->kind));
    }
}

static void check_egress_ports(struct decode *d, const struct value *doc, const struct egress *e)
{
    bool http = false;
    for (size_t i = 0; i < e->ports.len; i++) {
        http |= str_starts(e->ports.at[i].protocol, "http");
    }
    if (http && e->hosts.len == 0) {
        decode_warning(d, doc, "spec.hosts",
                       "is empty, so nothing may be called on ports of http and https");
    }
    if (e->ports.len == 0 || e->sources.len == 0) {
        decode_warning(d, doc, e->ports.len == 0 ? "spec.ports" : "spec.sources",
                       "is empty, so this Egress allows nothing");
    }
}

void egress_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    const struct egress *e = (struct egress *)o;
    size_t settings = 0;
    for (size_t i = 0; i < e->matches.len; i++) {
        const struct policy_match *m = &e->matches.at[i];
        if (m->api_group.len && m->kind.len) {
            check_match(d, doc, m, i);
        }
        settings += str_is(m->kind, "UpstreamTrafficSetting");
    }
    if (settings > 1) {
        decode_error(d, doc, "spec.matches",
                     "expected at most one UpstreamTrafficSetting, found %zu", settings);
    }
    if (clean) {
        check_egress_ports(d, doc, e);
    }
}

static const char *const ingress_protocols[] = {"http", "https", NULL};

static const struct field ingress_port_fields[] = {
    {"number", FIELD_INT, AT(policy_port, number), FIELD_REQUIRED, .min = 1, .max = 65535,
     .help = "Port of the service's pods."},
    {"protocol", FIELD_STRING, AT(policy_port, protocol), FIELD_REQUIRED | FIELD_NOCASE,
     .words = ingress_protocols, .help = "What the gateway speaks: http or https."},
    FIELDS_END,
};

static const struct field ingress_tls_fields[] = {
    {"skipClientCertValidation", FIELD_BOOL, AT(ingress_tls, skip_client_cert_validation),
     FIELD_REQUIRED, .help = "Let callers in whatever their certificate."},
    {"sniHosts", FIELD_LIST, AT(ingress_tls, sni_hosts), .max = POLICY_ENTRIES_MAX,
     .item = &host_item, .help = "Server names that callers may ask for; any when not given."},
    FIELDS_END,
};

static const struct field ingress_backend_entry_fields[] = {
    {"name", FIELD_STRING, AT(ingress_backend_entry, name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of a service in this namespace."},
    {"port", FIELD_STRUCT, AT(ingress_backend_entry, port), FIELD_REQUIRED,
     .fields = ingress_port_fields, .help = "Port that is opened."},
    {"tls", FIELD_POINTER, AT(ingress_backend_entry, tls), .fields = ingress_tls_fields,
     .size = sizeof(struct ingress_tls), .help = "TLS between the gateway and the service."},
    FIELDS_END,
};

static const char *const source_kinds[] = {"Service", "AuthenticatedPrincipal", "IPRange", NULL};

static const struct field ingress_source_fields[] = {
    {"kind", FIELD_STRING, AT(policy_subject, kind), FIELD_REQUIRED, .words = source_kinds,
     .help = "What name means."},
    {"name", FIELD_STRING, AT(policy_subject, name), FIELD_REQUIRED, .max = 512,
     .help = "Name of the gateway's service, a name in its certificate, or an address range."},
    {"namespace", FIELD_STRING, AT(policy_subject, namespace), .format = &format_dns_label,
     .help = "Namespace of the service."},
    FIELDS_END,
};

static const struct field_rule backend_rules[] = {
    {"self.all(b, self.exists_one(c, c.name == b.name && c.port.number == b.port.number))",
     "expected each backend and port once"},
    {NULL},
};

static const struct field_rule source_rules[] = {
    {"self.kind != 'Service' || (has(self.__namespace__) && self.__namespace__ != '')",
     "a source of kind Service needs a namespace"},
    {"self.kind != 'IPRange' || self.name.matches('^[0-9a-fA-F:.]+/[0-9]{1,3}$')",
     "expected an address range such as 10.0.0.0/8 as name of an IPRange"},
    {NULL},
};

static const struct field_rule ingress_rules[] = {
    {"!self.backends.exists(b, b.port.protocol.lowerAscii() == 'https' && !(has(b.tls) && "
     "b.tls.skipClientCertValidation)) || self.sources.exists(s, s.kind == "
     "'AuthenticatedPrincipal')",
     "https with validation of client certificates needs a source of kind "
     "AuthenticatedPrincipal"},
    {NULL},
};

static const struct field ingress_backend_spec_fields[] = {
    {"backends", FIELD_LIST, AT(ingress_backend, backends), FIELD_REQUIRED, .max = POLICY_PORTS_MAX,
     .fields = ingress_backend_entry_fields, .size = sizeof(struct ingress_backend_entry),
     .rules = backend_rules,
     .help = "Services of this namespace that may be called from outside the mesh."},
    {"sources", FIELD_LIST, AT(ingress_backend, sources), FIELD_REQUIRED, .max = POLICY_ENTRIES_MAX,
     .fields = ingress_source_fields, .size = sizeof(struct policy_subject),
     .item_rules = source_rules, .help = "Who may call them."},
    {"matches", FIELD_LIST, AT(ingress_backend, matches), .max = POLICY_MATCHES_MAX,
     .fields = match_fields, .size = sizeof(struct policy_match),
     .help = "HTTPRouteGroups (specs.smi-spec.io/v1alpha4) that calls must match; any call when "
             "none is given."},
    FIELDS_END,
};

const struct field ingress_backend_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = ingress_backend_spec_fields,
     .rules = ingress_rules, .help = "Calls from outside the mesh."},
    IGNORED("status"),
    FIELDS_END,
};

static void check_backends_once(struct decode *d, const struct value *doc,
                                const struct ingress_backend *b)
{
    struct map seen = {0};
    for (size_t i = 0; i < b->backends.len; i++) {
        const struct ingress_backend_entry *e = &b->backends.at[i];
        struct str key = arena_printf(d->arena, "%.*s:%d", STR_ARG(e->name), (int)e->port.number);
        if (e->name.len && map_put(&seen, key, d)) {
            decode_error(d, doc, arena_printf(d->arena, "spec.backends[%zu]", i).ptr,
                         "expected each backend and port once, found \"%.*s\" with port %d again",
                         STR_ARG(e->name), (int)e->port.number);
        }
    }
    map_done(&seen, NULL);
}

static void check_source(struct decode *d, const struct value *doc, const struct policy_subject *s,
                         size_t i)
{
    struct err why = ERR_INIT;
    const char *name = arena_printf(d->arena, "spec.sources[%zu].name", i).ptr;
    if (str_is(s->kind, "IPRange") && format_cidr.check(s->name, &why) < 0) {
        decode_error(d, doc, name, "expected %s, found \"%.*s\"%s%s", format_cidr.what,
                     STR_ARG(s->name), *why.text ? "; " : "", why.text);
    } else if (str_is(s->kind, "Service")) {
        if (format_dns_subdomain.check(s->name, &why) < 0) {
            decode_error(d, doc, name, "expected %s, found \"%.*s\"", format_dns_subdomain.what,
                         STR_ARG(s->name));
        }
        if (s->namespace.len == 0) {
            decode_error(d, doc, arena_printf(d->arena, "spec.sources[%zu].namespace", i).ptr,
                         "is required: expected the namespace of the Service, found nothing");
        }
    }
}

/* A certificate that is checked must be compared with something. */
static void check_principals(struct decode *d, const struct value *doc,
                             const struct ingress_backend *b)
{
    for (size_t i = 0; i < b->sources.len; i++) {
        if (str_is(b->sources.at[i].kind, "AuthenticatedPrincipal")) {
            return;
        }
    }
    for (size_t i = 0; i < b->backends.len; i++) {
        const struct ingress_backend_entry *e = &b->backends.at[i];
        bool skip = e->tls && e->tls->skip_client_cert_validation;
        if (str_is(e->port.protocol, "https") && !skip) {
            decode_error(d, doc, arena_printf(d->arena, "spec.backends[%zu]", i).ptr,
                         "expected a source of kind AuthenticatedPrincipal, as client certificates "
                         "are validated, found none; add the gateway's principal, or set "
                         "tls.skipClientCertValidation");
        }
    }
}

void ingress_backend_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    const struct ingress_backend *b = (struct ingress_backend *)o;
    check_backends_once(d, doc, b);
    for (size_t i = 0; i < b->sources.len; i++) {
        if (b->sources.at[i].name.len) {
            check_source(d, doc, &b->sources.at[i], i);
        }
    }
    if (clean) {
        check_principals(d, doc, b);
    }
    for (size_t i = 0; clean && i < b->backends.len; i++) {
        if (b->backends.at[i].tls && str_is(b->backends.at[i].port.protocol, "http")) {
            decode_warning(d, doc, arena_printf(d->arena, "spec.backends[%zu].tls", i).ptr,
                           "has no effect: the port's protocol is http");
        }
    }
    if (clean && (b->backends.len == 0 || b->sources.len == 0)) {
        decode_warning(d, doc, b->backends.len == 0 ? "spec.backends" : "spec.sources",
                       "is empty, so this IngressBackend allows nothing");
    }
}
