/* References out of clusters and listeners, by Envoy's own messages. What isn't such a message
 * refers to nothing: that it's wrong is for others to say. */
#include "refs.h"

#include "base/map.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/config/listener/v3/listener.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb-c.h"
#include "xds/resource.h"

#define HCM                                                                                        \
    "type.googleapis.com/"                                                                         \
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

static struct map contents; /* hash -> ref_vec */
static struct map names;    /* id -> name */

static struct str key_of(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

uint64_t refs_intern(struct str name)
{
    uint64_t id = resource_id(name);
    if (!map_has(&names, key_of(&id))) {
        map_put(&names, key_of(&id), mem_memdup(name.ptr, name.len));
    }
    return id;
}

struct str refs_name(uint64_t id)
{
    return str_of(map_find(&names, key_of(&id)));
}

typedef Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig SecretConfig;

static void add(ref_vec *out, enum xds_type type, const char *name)
{
    struct ref_to r = {type, refs_intern(str_of(name))};
    VEC_PUSH(*out, r);
}

static void add_secret(const SecretConfig *c, ref_vec *out)
{
    if (c) {
        add(out, XDS_SDS, c->name);
    }
}

typedef Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext CommonTls;

static void add_common(const CommonTls *c, ref_vec *out)
{
    for (size_t i = 0; i < c->n_tls_certificate_sds_secret_configs; i++) {
        add_secret(c->tls_certificate_sds_secret_configs[i], out);
    }
    if (c->validation_context_type_case ==
        ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_VALIDATION_CONTEXT_SDS_SECRET_CONFIG) {
        add_secret(c->validation_context_sds_secret_config, out);
    }
    if (c->validation_context_type_case ==
        ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_COMBINED_VALIDATION_CONTEXT) {
        add_secret(c->combined_validation_context->validation_context_sds_secret_config, out);
    }
}

/* Upstream and downstream contexts both begin with the common one. */
static void add_transport(const Envoy__Config__Core__V3__TransportSocket *s, ref_vec *out)
{
    if (!s || !s->typed_config) {
        return;
    }
    Envoy__Extensions__TransportSockets__Tls__V3__UpstreamTlsContext *u =
        envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__unpack(
            NULL, s->typed_config->value.len, s->typed_config->value.data);
    if (u && u->common_tls_context) {
        add_common(u->common_tls_context, out);
    }
    envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__free_unpacked(u, NULL);
}

static void add_cluster(struct str body, ref_vec *out)
{
    Envoy__Config__Cluster__V3__Cluster *c =
        envoy__config__cluster__v3__cluster__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    if (!c) {
        return;
    }
    if (c->eds_cluster_config) {
        add(out, XDS_EDS, c->name);
    }
    add_transport(c->transport_socket, out);
    envoy__config__cluster__v3__cluster__free_unpacked(c, NULL);
}

static void add_filter(const Envoy__Config__Listener__V3__Filter *f, ref_vec *out)
{
    if (!f->typed_config || !str_is(str_of(f->typed_config->type_url), HCM)) {
        return;
    }
    Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager *h =
        envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__unpack(
            NULL, f->typed_config->value.len, f->typed_config->value.data);
    if (h &&
        h->route_specifier_case ==
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS) {
        add(out, XDS_RDS, h->rds->route_config_name);
    }
    envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__free_unpacked(
        h, NULL);
}

static void add_chain(const Envoy__Config__Listener__V3__FilterChain *c, ref_vec *out)
{
    for (size_t i = 0; c && i < c->n_filters; i++) {
        add_filter(c->filters[i], out);
    }
    add_transport(c ? c->transport_socket : NULL, out);
}

static void add_listener(struct str body, ref_vec *out)
{
    Envoy__Config__Listener__V3__Listener *l =
        envoy__config__listener__v3__listener__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    for (size_t i = 0; l && i < l->n_filter_chains; i++) {
        add_chain(l->filter_chains[i], out);
    }
    add_chain(l ? l->default_filter_chain : NULL, out);
    envoy__config__listener__v3__listener__free_unpacked(l, NULL);
}

const ref_vec *refs_find(uint64_t hash)
{
    return map_find(&contents, key_of(&hash));
}

const ref_vec *refs_of(enum xds_type type, uint64_t hash, struct str body)
{
    ref_vec *known = map_find(&contents, key_of(&hash));
    if (!known) {
        known = NEW(ref_vec);
        if (type == XDS_CDS) {
            add_cluster(body, known);
        } else {
            add_listener(body, known);
        }
        map_put(&contents, key_of(&hash), known);
    }
    return known;
}
