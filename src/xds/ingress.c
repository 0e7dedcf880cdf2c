/* Filter chains for callers outside the mesh.
 *
 * Envoy picks a chain by port, server name, whether TLS is spoken, application protocol and the
 * caller's address, in this order, and doesn't come back from a choice: who asks for the name of a
 * mesh chain without speaking the mesh's protocol finds no other chain that doesn't have this name,
 * too. Of two chains with equal conditions it refuses the listener: so each is given once, to the
 * service that comes first. */
#include "base/map.h"
#include "xds/pb.h"

/* Server names, or ranges of addresses. */
typedef VEC(struct str) str_vec;

/* What callers outside the mesh find at one port. */
struct opening {
    struct arena *a;
    const struct translate *t;
    const struct mesh_audience *audience;
    const struct mesh_inbound *in;
    const struct mesh_ingress_port *port;
    struct map *taken; /* conditions that a chain has */
};

static const char *protocol_of(const struct opening *o)
{
    return o->port->tls ? "https" : "http";
}

static struct str condition(const struct opening *o, struct str name, struct str range)
{
    return arena_printf(o->a, "%u %s %.*s %.*s", o->in->target_port, protocol_of(o), STR_ARG(name),
                        STR_ARG(range));
}

static bool is_free(const struct opening *o, const str_vec *names, struct str range)
{
    VEC_EACH(*names, name) {
        if (map_has(o->taken, condition(o, *name, range))) {
            return false;
        }
    }
    return true;
}

static void take(const struct opening *o, const str_vec *names, struct str range)
{
    VEC_EACH(*names, name) {
        map_put(o->taken, condition(o, *name, range), o->taken);
    }
}

/* The addresses that no other chain of these names has. */
static void free_ranges(const struct opening *o, const str_vec *names, str_vec *ret)
{
    static const struct str everywhere[] = {{"0.0.0.0/0", 9}, {"::/0", 4}};
    const struct str *at = o->port->any_address ? everywhere : o->port->ranges.at;
    size_t n = o->port->any_address ? COUNT_OF(everywhere) : o->port->ranges.len;
    for (size_t i = 0; i < n; i++) {
        if (is_free(o, names, at[i])) {
            take(o, names, at[i]);
            VEC_PUSH(*ret, at[i]);
        }
    }
}

static CidrRange *cidr_of(struct arena *a, struct str range)
{
    struct str address, bits;
    int64_t n = 0;
    CidrRange *r = new_CidrRange(a);
    str_cut(range, '/', &address, &bits);
    bool number = str_int(bits, 0, 128, &n);
    ASSERT(number); /* the mesh writes it */
    r->address_prefix = pb_str(a, address);
    r->prefix_len = pb_uint32(a, (uint32_t)n);
    return r;
}

static FilterChainMatch *match_of(const struct opening *o, const str_vec *names,
                                  const str_vec *ranges)
{
    struct arena *a = o->a;
    FilterChainMatch *m = new_FilterChainMatch(a);
    m->destination_port = pb_uint32(a, o->in->target_port);
    m->transport_protocol = o->port->tls ? "tls" : "raw_buffer";
    m->server_names = arena_array(a, names->len, sizeof(*m->server_names));
    VEC_EACH(*names, name) {
        if (name->len > 0) {
            m->server_names[m->n_server_names++] = pb_str(a, *name);
        }
    }
    m->source_prefix_ranges = arena_array(a, ranges->len, sizeof(*m->source_prefix_ranges));
    VEC_EACH(*ranges, range) {
        m->source_prefix_ranges[m->n_source_prefix_ranges++] = cidr_of(a, *range);
    }
    return m;
}

/* The application is spoken to as the gateway speaks, so HTTP/2 is offered only where it is gRPC; a
 * gateway that begins with it all the same is understood. Who isn't asked for a certificate may
 * have any. */
static TransportSocket *tls_of(const struct opening *o, char *name)
{
    DownstreamTls *d = new_DownstreamTls(o->a);
    d->common_tls_context =
        pb_common_tls(o->a, o->t, o->port->any_client ? NULL : "root-cert-for-mtls-inbound");
    d->common_tls_context->alpn_protocols =
        ONE(o->a, (char *)(o->in->protocol == PROTOCOL_GRPC ? "h2" : "http/1.1"));
    d->common_tls_context->n_alpn_protocols = 1;
    d->require_client_certificate = pb_bool(o->a, !o->port->any_client);
    return pb_tls_socket(o->a, name, &d->base);
}

static FilterChain *chain_of(const struct opening *o, char *name, const str_vec *names,
                             const str_vec *ranges)
{
    FilterChain *c = new_FilterChain(o->a);
    c->name = name;
    c->filter_chain_match = match_of(o, names, ranges);
    if (o->port->tls) {
        c->transport_socket = tls_of(o, name);
    }
    Hcm *h = pb_hcm(o->a, "rds-ingress", HTTP_INBOUND);
    pb_hcm_rds(o->a, h, name_ingress_routes(o->a, o->in));
    c->filters =
        ONE(o->a, pb_filter(o->a, "envoy.filters.network.http_connection_manager", &h->base));
    c->n_filters = 1;
    return c;
}

static bool covers(const struct strs *server_names, struct str fqdn)
{
    bool yes = server_names->len == 0;
    for (size_t i = 0; i < server_names->len; i++) {
        struct str s = server_names->at[i];
        bool domain = s.len > 1 && s.ptr[0] == '*';
        yes |= domain && s.len - 1 < fqdn.len &&
               str_eq((struct str){s.ptr + 1, s.len - 1},
                      (struct str){fqdn.ptr + fqdn.len - (s.len - 1), s.len - 1});
    }
    return yes;
}

static bool lists(const str_vec *names, struct str name)
{
    VEC_EACH(*names, x) {
        if (str_eq(*x, name)) {
            return true;
        }
    }
    return false;
}

/* Names of the mesh's chains at this port that its server names include. */
static void add_mesh_names(const struct opening *o, str_vec *ret)
{
    for (size_t i = 0; i < o->audience->inbound.len; i++) {
        const struct mesh_inbound *other = &o->audience->inbound.at[i];
        if (other->target_port == o->in->target_port &&
            covers(&o->port->server_names, other->fqdn) && !lists(ret, other->fqdn)) {
            VEC_PUSH(*ret, other->fqdn);
        }
    }
}

static size_t add_chain(const struct opening *o, char *name, const str_vec *names,
                        FilterChain **out)
{
    str_vec ranges = {0};
    free_ranges(o, names, &ranges);
    size_t n = ranges.len > 0;
    if (n > 0) {
        out[0] = chain_of(o, name, names, &ranges);
    }
    VEC_DONE(ranges);
    return n;
}

/* At most two chains: where any server name will do, those of the mesh need one of their own. */
static size_t add_chains(const struct opening *o, FilterChain **out)
{
    str_vec names = {0}, own = {0};
    char *name = pb_printf(o->a, "ingress_%.*s_%u_%s", STR_ARG(o->in->service), o->in->target_port,
                           protocol_of(o));
    for (size_t i = 0; i < o->port->server_names.len; i++) {
        VEC_PUSH(names, o->port->server_names.at[i]);
    }
    bool any = names.len == 0;
    if (any) {
        VEC_PUSH(names, STR(""));
    }
    if (o->port->tls) {
        add_mesh_names(o, any ? &own : &names);
    }
    size_t n = add_chain(o, name, &names, out);
    if (own.len > 0) {
        n += add_chain(o, pb_printf(o->a, "%s_by_name", name), &own, out + n);
    }
    VEC_DONE(names);
    VEC_DONE(own);
    return n;
}

size_t pb_ingress_chains(struct arena *a, const struct translate *t,
                         const struct mesh_audience *audience,
                         const struct mesh_ingress_port *const *ingress, FilterChain **out)
{
    struct map taken = {0};
    size_t n = 0;
    for (size_t i = 0; i < audience->inbound.len; i++) {
        if (ingress[i]) {
            struct opening o = {a, t, audience, &audience->inbound.at[i], ingress[i], &taken};
            n += add_chains(&o, out + n);
        }
    }
    map_done(&taken, NULL);
    return n;
}
