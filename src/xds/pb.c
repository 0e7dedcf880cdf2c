/* Helpers of the translation. */
#include "xds/pb.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Any *pb_any(struct arena *a, const ProtobufCMessage *m)
{
    Any *any = new_Any(a);
    any->type_url = pb_printf(a, "type.googleapis.com/%s", m->descriptor->name);
    any->value.len = protobuf_c_message_get_packed_size(m);
    any->value.data = arena_alloc(a, any->value.len + 1);
    protobuf_c_message_pack(m, any->value.data);
    return any;
}

static void emit(resource_vec *out, struct str name, const ProtobufCMessage *m, bool secret)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = mem_alloc(len);
    protobuf_c_message_pack(m, bytes);
    struct blob *body = secret ? blob_new_secret(bytes, len) : blob_new(bytes, len);
    VEC_PUSH(*out, resource_new(name, body, 0));
    if (secret) {
        explicit_bzero(bytes, len);
    }
    free(bytes);
}

void pb_emit(resource_vec *out, struct str name, const ProtobufCMessage *m)
{
    emit(out, name, m, false);
}

void pb_emit_secret(resource_vec *out, struct str name, const ProtobufCMessage *m)
{
    emit(out, name, m, true);
}

char *pb_str(struct arena *a, struct str s)
{
    return (char *)arena_str(a, s).ptr;
}

char *pb_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    char *s = arena_alloc(a, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

Duration *pb_duration_ms(struct arena *a, int64_t ms)
{
    Duration *d = new_Duration(a);
    d->seconds = ms / 1000;
    d->nanos = (int32_t)(ms % 1000) * 1000000;
    return d;
}

UInt32Value *pb_uint32(struct arena *a, uint32_t n)
{
    UInt32Value *v = new_UInt32Value(a);
    v->value = n;
    return v;
}

BoolValue *pb_bool(struct arena *a, bool b)
{
    BoolValue *v = new_BoolValue(a);
    v->value = b;
    return v;
}

Address *pb_address(struct arena *a, struct str ip, uint16_t port)
{
    Address *x = new_Address(a);
    x->address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
    x->socket_address = new_SocketAddress(a);
    x->socket_address->address = pb_str(a, ip);
    x->socket_address->port_specifier_case =
        ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
    x->socket_address->port_value = port;
    return x;
}

ConfigSource *pb_ads(struct arena *a)
{
    ConfigSource *c = new_ConfigSource(a);
    c->config_source_specifier_case =
        ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS;
    c->ads = new_AggregatedConfigSource(a);
    c->resource_api_version = ENVOY__CONFIG__CORE__V3__API_VERSION__V3;
    return c;
}

DataSource *pb_bytes(struct arena *a, struct str bytes)
{
    DataSource *d = new_DataSource(a);
    d->specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES;
    d->inline_bytes.data = (uint8_t *)bytes.ptr;
    d->inline_bytes.len = bytes.len;
    return d;
}

StringMatcher *pb_exact(struct arena *a, struct str s)
{
    StringMatcher *m = new_StringMatcher(a);
    m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT;
    m->exact = pb_str(a, s);
    return m;
}

StringMatcher *pb_prefix(struct arena *a, char *s)
{
    StringMatcher *m = new_StringMatcher(a);
    m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX;
    m->prefix = s;
    return m;
}

StringMatcher *pb_regex(struct arena *a, struct str s)
{
    StringMatcher *m = new_StringMatcher(a);
    m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX;
    m->safe_regex = new_RegexMatcher(a);
    m->safe_regex->regex = pb_str(a, s);
    return m;
}

TransportSocket *pb_tls_socket(struct arena *a, char *name, const ProtobufCMessage *context)
{
    TransportSocket *s = new_TransportSocket(a);
    s->name = name;
    s->config_type_case = ENVOY__CONFIG__CORE__V3__TRANSPORT_SOCKET__CONFIG_TYPE_TYPED_CONFIG;
    s->typed_config = pb_any(a, context);
    return s;
}

Filter *pb_filter(struct arena *a, char *name, const ProtobufCMessage *config)
{
    Filter *f = new_Filter(a);
    f->name = name;
    f->config_type_case = ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG;
    f->typed_config = pb_any(a, config);
    return f;
}

/* --- names --- */

char *name_cluster(struct arena *a, struct str service, uint16_t target_port)
{
    return pb_printf(a, "%.*s|%u", STR_ARG(service), target_port);
}

char *name_dialled_cluster(struct arena *a, struct str service, uint16_t target_port)
{
    return pb_printf(a, "%.*s|%u|dialled", STR_ARG(service), target_port);
}

char *name_backend_cluster(struct arena *a, const struct mesh_service *apex,
                           const struct mesh_backend *b)
{
    return apex->headless && str_eq(b->service, apex->key)
               ? name_dialled_cluster(a, b->service, b->target_port)
               : name_cluster(a, b->service, b->target_port);
}

char *name_local_cluster(struct arena *a, struct str service, uint16_t target_port)
{
    return pb_printf(a, "%.*s|%u|local", STR_ARG(service), target_port);
}

char *name_outbound_chain(struct arena *a, struct str service, const struct mesh_port *p)
{
    return pb_printf(a, "outbound_%.*s_%u_%s", STR_ARG(service), p->port,
                     protocol_name(p->protocol));
}

char *name_outbound_routes(struct arena *a, struct str service, uint16_t port)
{
    return pb_printf(a, "rds-outbound.%.*s.%u", STR_ARG(service), port);
}

char *name_inbound_chain(struct arena *a, const struct mesh_inbound *in)
{
    return pb_printf(a, "inbound_%.*s_%u_%s", STR_ARG(in->service), in->target_port,
                     protocol_name(in->protocol));
}

char *name_inbound_routes(struct arena *a, const struct mesh_inbound *in)
{
    return pb_printf(a, "rds-inbound.%.*s.%u", STR_ARG(in->service), in->target_port);
}

char *name_ingress_routes(struct arena *a, const struct mesh_inbound *in)
{
    return pb_printf(a, "rds-ingress.%.*s.%u", STR_ARG(in->service), in->target_port);
}

/* "ns/sa" to spiffe://<td>/<sa>/<ns> (as in Open Service Mesh). */
char *name_spiffe(struct arena *a, const struct translate *t, struct str identity)
{
    struct str ns, sa;
    str_cut(identity, '/', &ns, &sa);
    return pb_printf(a, "spiffe://%s/%.*s/%.*s", t->trust_domain, STR_ARG(sa), STR_ARG(ns));
}
