/* TLS contexts and the secrets that they name. */
#include "xds/pb.h"

#define T(x) ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__##x

static const struct {
    const char *name;
    int value;
} versions[] = {
    {"TLS_AUTO", T(TLS_PARAMETERS__TLS_PROTOCOL__TLS_AUTO)},
    {"TLSv1_0", T(TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_0)},
    {"TLSv1_1", T(TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_1)},
    {"TLSv1_2", T(TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_2)},
    {"TLSv1_3", T(TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_3)},
};

static int version_of(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        if (str_is(name, versions[i].name)) {
            return versions[i].value;
        }
    }
    return T(TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_2);
}

static char **strings(struct arena *a, const struct strs *s)
{
    char **out = arena_array(a, s->len, sizeof(*out));
    for (size_t i = 0; i < s->len; i++) {
        out[i] = pb_str(a, s->at[i]);
    }
    return out;
}

static TlsParameters *parameters(struct arena *a, const struct mesh_config *c)
{
    TlsParameters *p = new_TlsParameters(a);
    p->tls_minimum_protocol_version = version_of(c->sidecar.tls_min);
    p->tls_maximum_protocol_version = version_of(c->sidecar.tls_max);
    p->cipher_suites = strings(a, &c->sidecar.cipher_suites);
    p->n_cipher_suites = c->sidecar.cipher_suites.len;
    p->ecdh_curves = strings(a, &c->sidecar.ecdh_curves);
    p->n_ecdh_curves = c->sidecar.ecdh_curves.len;
    return p;
}

static SdsConfig *sds(struct arena *a, char *name)
{
    SdsConfig *s = new_SdsConfig(a);
    s->name = name;
    s->sds_config = pb_ads(a);
    return s;
}

static CommonTls *common_tls(struct arena *a, const struct translate *t)
{
    CommonTls *c = new_CommonTls(a);
    c->tls_params = parameters(a, t->config);
    c->tls_certificate_sds_secret_configs = ONE(a, sds(a, "service-cert"));
    c->n_tls_certificate_sds_secret_configs = 1;
    return c;
}

CommonTls *pb_common_tls(struct arena *a, const struct translate *t, char *validation_secret)
{
    CommonTls *c = common_tls(a, t);
    if (!validation_secret) {
        return c;
    }
    c->validation_context_type_case =
        T(COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_VALIDATION_CONTEXT_SDS_SECRET_CONFIG);
    c->validation_context_sds_secret_config = sds(a, validation_secret);
    return c;
}

static SanMatcher *uri_matcher(struct arena *a, struct str uri)
{
    SanMatcher *m = new_SanMatcher(a);
    m->san_type = T(SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__URI);
    m->matcher = pb_exact(a, uri);
    return m;
}

/* The roots are one secret for all services: what differs is the names, and these are in the
 * cluster. Else each service would repeat the roots at every sidecar, and a rotation would send
 * them so many times. Never an open context: without identities the name is one that no certificate
 * bears. */
CommonTls *pb_common_tls_to(struct arena *a, const struct translate *t,
                            const struct strs *identities)
{
    ValidationContext *v = new_ValidationContext(a);
    size_t n = identities ? identities->len : 0;
    v->match_typed_subject_alt_names =
        arena_array(a, n + 1, sizeof(*v->match_typed_subject_alt_names));
    for (size_t i = 0; i < n; i++) {
        v->match_typed_subject_alt_names[v->n_match_typed_subject_alt_names++] =
            uri_matcher(a, str_of(name_spiffe(a, t, identities->at[i])));
    }
    if (n == 0) {
        v->match_typed_subject_alt_names[v->n_match_typed_subject_alt_names++] =
            uri_matcher(a, STR("spiffe://nobody.invalid/"));
    }
    CombinedValidationContext *both = new_CombinedValidationContext(a);
    both->default_validation_context = v;
    both->validation_context_sds_secret_config = sds(a, XDS_UPSTREAM_ROOTS);
    CommonTls *c = common_tls(a, t);
    c->validation_context_type_case =
        T(COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_COMBINED_VALIDATION_CONTEXT);
    c->combined_validation_context = both;
    return c;
}

static void emit_roots(struct arena *a, const struct translate *t, char *name, resource_vec *out)
{
    Secret *s = new_Secret(a);
    s->name = name;
    s->type_case = T(SECRET__TYPE_VALIDATION_CONTEXT);
    s->validation_context = new_ValidationContext(a);
    s->validation_context->trusted_ca = pb_bytes(a, t->roots);
    pb_emit(out, str_of(name), &s->base);
}

/* Inbound they check that a client is of this mesh; who it is, RBAC looks at. */
void translate_root_secrets(struct arena *a, const struct translate *t, resource_vec out[XDS_TYPES])
{
    emit_roots(a, t, "root-cert-for-mtls-inbound", &out[XDS_SDS]);
    emit_roots(a, t, XDS_UPSTREAM_ROOTS, &out[XDS_SDS]);
}

void translate_certificate(const struct translate *t, struct str chain_pem, struct str key_pem,
                           resource_vec out[XDS_TYPES])
{
    AUTO(arena_free) struct arena *a = arena_new(2048);
    TlsCertificate *c = new_TlsCertificate(a);
    c->certificate_chain = pb_bytes(a, chain_pem);
    c->private_key = pb_bytes(a, key_pem);
    Secret *s = new_Secret(a);
    s->name = "service-cert";
    s->type_case = T(SECRET__TYPE_TLS_CERTIFICATE);
    s->tls_certificate = c;
    pb_emit_secret(&out[XDS_SDS], STR("service-cert"), &s->base);
}
