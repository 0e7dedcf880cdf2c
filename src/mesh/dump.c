/* Parts as text. The text is canonical, so it serves to compare and to hash parts, too: every
 * string is quoted, so that none can look like two. */
#include "mesh/internal.h"

static void quote(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            buf_addc(b, '\\');
            buf_addc(b, (char)c);
        } else if (c < ' ' || c == 0x7f) {
            buf_printf(b, "\\x%02x", c);
        } else {
            buf_addc(b, (char)c);
        }
    }
    buf_addc(b, '"');
}

static void field(struct buf *b, const char *name, struct str s)
{
    buf_printf(b, " %s=", name);
    quote(b, s);
}

static void strings(struct buf *b, const char *name, const struct strs *s)
{
    buf_printf(b, " %s=[", name);
    for (size_t i = 0; i < s->len; i++) {
        buf_addz(b, i ? " " : "");
        quote(b, s->at[i]);
    }
    buf_addc(b, ']');
}

static void match_text(struct buf *b, const struct mesh_http_match *m)
{
    buf_addz(b, "    match");
    field(b, "path", m->path_regex);
    strings(b, "methods", &m->methods);
    for (size_t i = 0; i < m->headers.len; i++) {
        buf_addz(b, " header ");
        quote(b, m->headers.at[i].key);
        field(b, "is", m->headers.at[i].value);
    }
    buf_addc(b, '\n');
}

static void service_text(struct buf *b, const void *part)
{
    const struct mesh_service *s = part;
    buf_addz(b, "service ");
    quote(b, s->key);
    field(b, "fqdn", s->fqdn);
    strings(b, "ips", &s->ips);
    buf_printf(b, "%s\n", s->headless ? " headless" : "");
    for (size_t i = 0; i < s->ports.len; i++) {
        const struct mesh_port *p = &s->ports.at[i];
        buf_printf(b, "  port %u to %u %s", p->port, p->target_port, protocol_name(p->protocol));
        field(b, "name", p->name);
        buf_addc(b, '\n');
        for (size_t j = 0; j < p->routes.len; j++) {
            const struct mesh_route *r = &p->routes.at[j];
            buf_addz(b, "   route\n");
            for (size_t k = 0; k < r->matches.len; k++) {
                match_text(b, &r->matches.at[k]);
            }
            for (size_t k = 0; k < r->backends.len; k++) {
                const struct mesh_backend *to = &r->backends.at[k];
                buf_addz(b, "    to ");
                quote(b, to->service);
                buf_printf(b, " port %u weight %u\n", to->target_port, to->weight);
            }
        }
    }
}

static void endpoints_text(struct buf *b, const void *part)
{
    const struct mesh_endpoints *e = part;
    const struct mesh_endpoint *first = e->at.at;
    buf_addz(b, "endpoints ");
    quote(b, e->service);
    strings(b, "identities", &e->identities);
    buf_printf(b, " ports=%zu\n", e->port_count);
    for (size_t i = 0; i < e->at.len; i++) {
        buf_addz(b, "  at ");
        quote(b, first[i].ip);
        for (size_t j = 0; j < e->port_count; j++) {
            buf_printf(b, " %u", first[i].ports[j]);
        }
        field(b, "identity", first[i].identity);
        buf_printf(b, "%s\n", first[i].in_mesh ? " in-mesh" : "");
    }
}

static void policy_text(struct buf *b, const void *part)
{
    const struct mesh_policy *p = part;
    buf_addz(b, "policy ");
    quote(b, p->identity);
    buf_printf(b, "%s\n", p->allow_all ? " allow-all" : "");
    for (size_t i = 0; i < p->rules.len; i++) {
        const struct mesh_rule *r = &p->rules.at[i];
        buf_addz(b, "  rule ");
        quote(b, r->name);
        strings(b, "sources", &r->sources);
        buf_addz(b, r->tcp ? " tcp" : "");
        for (size_t j = 0; j < r->tcp_ports.len; j++) {
            buf_printf(b, " %u", r->tcp_ports.at[j]);
        }
        buf_addc(b, '\n');
        for (size_t j = 0; j < r->http.len; j++) {
            match_text(b, &r->http.at[j]);
        }
    }
}

static void access_text(struct buf *b, const void *part)
{
    const struct mesh_access *a = part;
    buf_addz(b, "access ");
    quote(b, a->identity);
    buf_addc(b, '\n');
    for (size_t i = 0; i < a->services.len; i++) {
        const struct mesh_access_entry *e = &a->services.at[i];
        buf_addz(b, "  to ");
        quote(b, e->service);
        if (e->all_identities) {
            buf_addz(b, " all");
        } else {
            strings(b, "identities", &e->identities);
        }
        buf_addc(b, '\n');
    }
}

static void ingress_text(struct buf *b, const void *part)
{
    const struct mesh_ingress *x = part;
    buf_addz(b, "ingress ");
    quote(b, x->service);
    buf_addc(b, '\n');
    for (size_t i = 0; i < x->ports.len; i++) {
        const struct mesh_ingress_port *p = &x->ports.at[i];
        buf_printf(b, "  port %u%s%s%s%s", p->target_port, p->tls ? " tls" : "",
                   p->any_address ? " any-address" : "", p->any_client ? " any-client" : "",
                   p->any_call ? " any-call" : "");
        field(b, "policy", p->policy);
        strings(b, "server-names", &p->server_names);
        strings(b, "ranges", &p->ranges);
        strings(b, "principals", &p->principals);
        buf_addc(b, '\n');
        for (size_t j = 0; j < p->matches.len; j++) {
            match_text(b, &p->matches.at[j]);
        }
    }
}

static void audience_text(struct buf *b, const void *part)
{
    const struct mesh_audience *a = part;
    buf_addz(b, "audience ");
    quote(b, a->key);
    field(b, "identity", a->identity);
    buf_printf(b, "%s%s\n", a->prometheus ? " prometheus" : "", a->ipv6 ? " ipv6" : "");
    for (size_t i = 0; i < a->inbound.len; i++) {
        const struct mesh_inbound *in = &a->inbound.at[i];
        buf_addz(b, "  inbound ");
        quote(b, in->service);
        buf_printf(b, " %u %s", in->target_port, protocol_name(in->protocol));
        field(b, "fqdn", in->fqdn);
        buf_addc(b, '\n');
    }
}

static void proxy_text(struct buf *b, const void *part)
{
    const struct mesh_proxy *p = part;
    buf_addz(b, "proxy ");
    quote(b, p->uuid);
    buf_addc(b, '\n');
    for (size_t i = 0; i < p->pods.len; i++) {
        buf_addz(b, "  pod ");
        quote(b, p->pods.at[i].pod);
        field(b, "identity", p->pods.at[i].identity);
        field(b, "audience", p->pods.at[i].audience);
        buf_addc(b, '\n');
    }
}

static void (*const texts[MESH_MAP_COUNT])(struct buf *b, const void *part) = {
    [MESH_SERVICES] = service_text, [MESH_ENDPOINTS] = endpoints_text,
    [MESH_POLICIES] = policy_text,  [MESH_ACCESS] = access_text,
    [MESH_INGRESS] = ingress_text,  [MESH_AUDIENCES] = audience_text,
    [MESH_PROXIES] = proxy_text,
};

void part_dump(enum mesh_map which, const void *part, struct buf *out)
{
    texts[which](out, part);
}

static void findings_text(const struct mesh *m, struct buf *out)
{
    AUTO(free) struct str *units = map_sorted_keys(&m->findings);
    for (size_t i = 0; i < map_len(&m->findings); i++) {
        const struct findings *f = map_find(&m->findings, units[i]);
        VEC_EACH(f->list, finding) {
            AUTO(free) char *text = finding_text(finding);
            buf_printf(out, "finding %s\n", text);
        }
    }
}

void mesh_dump(const struct mesh *m, struct buf *out)
{
    buf_printf(out, "mode %s\n", m->permissive ? "permissive" : "smi");
    for (int which = 0; which < MESH_MAP_COUNT; which++) {
        AUTO(free) struct str *keys = map_sorted_keys(&m->parts[which]);
        for (size_t i = 0; i < map_len(&m->parts[which]); i++) {
            part_dump(which, map_find(&m->parts[which], keys[i]), out);
        }
    }
    findings_text(m, out);
}
