/* The text of osm-init: rules for iptables-restore that send a pod's TCP traffic through Envoy.
 *
 * Everything that comes from annotations or MeshConfig is parsed to numbers, addresses and
 * interface names and printed again from these, as the text goes through a shell. */
#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/vec.h"
#include "inject/inject.h"
#include "inject/names.h"

/* The multiport match of iptables takes this many. */
enum { MULTIPORT_MAX = 15 };
/* Address ranges of one list, and interfaces; each becomes a rule that every new connection passes.
 */
enum { CIDRS_MAX = 1024, INTERFACES_MAX = 256 };
enum { PORT_MAX = 65535 };
/* All ports excluded both ways, for two address families, and the ranges. */
#define RULES_BYTES_MAX (4u << 20)

struct cidr {
    bool v6;
    char text[INET6_ADDRSTRLEN + 4]; /* "10.0.0.0/8" */
};

struct cidrs {
    VEC(struct cidr) list;
};

struct ports {
    uint64_t set[(PORT_MAX + 1) / 64];
};

struct rules {
    struct ports in, out; /* not redirected */
    struct cidrs excluded, included;
    const struct strs *interfaces;
    bool pod_ip;
    bool grpc; /* probes have ports */
};

static void ports_add(struct ports *ports, int64_t port)
{
    ports->set[(port & PORT_MAX) / 64] |= UINT64_C(1) << (port & 63);
}

static bool cidr_parse(struct str s, struct cidr *ret)
{
    struct str address, prefix;
    int64_t bits;
    char text[INET6_ADDRSTRLEN];
    unsigned char raw[16];
    if (!str_cut(str_trim(s), '/', &address, &prefix) || address.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    bool v6 = strchr(text, ':') != NULL;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, raw) != 1 ||
        !str_int(prefix, 0, v6 ? 128 : 32, &bits)) {
        return false;
    }
    inet_ntop(v6 ? AF_INET6 : AF_INET, raw, text, sizeof(text));
    ret->v6 = v6;
    snprintf(ret->text, sizeof(ret->text), "%s/%d", text, (int)bits);
    return true;
}

static int bad_entry(struct err *e, const char *expected, struct str entry)
{
    return err_set(e, "expected %s, found \"%.*s\"", expected, STR_ARG(entry));
}

static int add_port(struct ports *ports, struct str entry, struct err *e)
{
    int64_t port;
    if (!str_int(entry, 1, PORT_MAX, &port)) {
        return bad_entry(e, "a comma-separated list of ports from 1 to 65535", entry);
    }
    ports_add(ports, port);
    return 0;
}

static int add_cidr(struct cidrs *cidrs, struct str entry, struct err *e)
{
    struct cidr c;
    if (!cidr_parse(entry, &c)) {
        return bad_entry(e, "a comma-separated list of address ranges such as 10.0.0.0/8", entry);
    }
    VEC_EACH(cidrs->list, known) {
        if (strcmp(known->text, c.text) == 0) {
            return 0;
        }
    }
    if (cidrs->list.len == CIDRS_MAX) {
        return err_set(e, "expected at most %d address ranges, found more", CIDRS_MAX);
    }
    VEC_PUSH(cidrs->list, c);
    return 0;
}

/* Adds each entry of a comma list in an annotation to one of ports and cidrs. */
static int add_annotation(const struct pod *pod, const char *name, struct ports *ports,
                          struct cidrs *cidrs, struct err *e)
{
    const struct str *text = pairs_find(&pod->object.meta.annotations, name);
    struct str rest = text ? *text : STR("");
    while (rest.len > 0) {
        struct str entry;
        struct str tail = STR("");
        str_cut(rest, ',', &entry, &tail);
        rest = tail;
        entry = str_trim(entry);
        if ((ports ? add_port(ports, entry, e) : add_cidr(cidrs, entry, e)) < 0) {
            return err_wrap(e, "Pod %.*s/%.*s: annotation %s", STR_ARG(pod->object.meta.namespace),
                            STR_ARG(pod->object.meta.name), name);
        }
    }
    return 0;
}

static int add_config_cidrs(const struct strs *list, const char *field, struct cidrs *cidrs,
                            struct err *e)
{
    for (size_t i = 0; i < list->len; i++) {
        if (add_cidr(cidrs, list->at[i], e) < 0) {
            return err_wrap(e, "MeshConfig: spec.traffic.%s", field);
        }
    }
    return 0;
}

/* What Linux takes as an interface's name, and "+" at the end for "begins with". */
static bool interface_ok(struct str s)
{
    if (s.len == 0 || s.len >= IFNAMSIZ) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (!isalnum(c) && !strchr("._-@", c) && !(c == '+' && i + 1 == s.len)) {
            return false;
        }
    }
    return s.ptr[0] != '-';
}

static int check_interfaces(const struct strs *list, struct err *e)
{
    static const char field[] = "MeshConfig: spec.traffic.networkInterfaceExclusionList";
    if (list->len > INTERFACES_MAX) {
        return err_set(e, "%s: expected at most %d network interfaces, found %zu", field,
                       INTERFACES_MAX, list->len);
    }
    for (size_t i = 0; i < list->len; i++) {
        if (!interface_ok(list->at[i])) {
            return err_set(e, "%s: expected the name of a network interface, found \"%.*s\"", field,
                           STR_ARG(list->at[i]));
        }
    }
    return 0;
}

static bool probes_grpc(const struct container *c)
{
    return (c->liveness && c->liveness->grpc) || (c->readiness && c->readiness->grpc) ||
           (c->startup && c->startup->grpc);
}

static bool has_grpc_probe(const struct pod *pod)
{
    bool found = false;
    for (size_t i = 0; i < pod->spec->containers.len; i++) {
        found = found || probes_grpc(&pod->spec->containers.at[i]);
    }
    for (size_t i = 0; i < pod->spec->init_containers.len; i++) {
        found = found || probes_grpc(&pod->spec->init_containers.at[i]);
    }
    return found;
}

static int rules_gather(struct rules *r, const struct pod *pod, const struct mesh_config *c,
                        struct err *e)
{
    for (size_t i = 0; i < c->traffic.inbound_port_exclusions.len; i++) {
        ports_add(&r->in, c->traffic.inbound_port_exclusions.at[i]);
    }
    for (size_t i = 0; i < c->traffic.outbound_port_exclusions.len; i++) {
        ports_add(&r->out, c->traffic.outbound_port_exclusions.at[i]);
    }
    r->interfaces = &c->traffic.interface_exclusions;
    r->pod_ip = str_is(c->sidecar.local_proxy_mode, "PodIP");
    r->grpc = has_grpc_probe(pod);
    if (check_interfaces(r->interfaces, e) < 0 ||
        add_annotation(pod, ANNOTATION_IN_PORTS, &r->in, NULL, e) < 0 ||
        add_annotation(pod, ANNOTATION_OUT_PORTS, &r->out, NULL, e) < 0 ||
        add_annotation(pod, ANNOTATION_OUT_EXCLUDED, NULL, &r->excluded, e) < 0 ||
        add_annotation(pod, ANNOTATION_OUT_INCLUDED, NULL, &r->included, e) < 0 ||
        add_config_cidrs(&c->traffic.outbound_ip_exclusions, "outboundIPRangeExclusionList",
                         &r->excluded, e) < 0 ||
        add_config_cidrs(&c->traffic.outbound_ip_inclusions, "outboundIPRangeInclusionList",
                         &r->included, e) < 0) {
        return -1;
    }
    return 0;
}

/* "-A CHAIN ... --dports a,b,... -j RETURN", as many rules as the ports need. */
static void put_ports(struct buf *out, const char *chain, const struct ports *ports)
{
    int n = 0;
    for (int port = 1; port <= PORT_MAX; port++) {
        uint64_t rest = ports->set[port / 64] >> (port & 63);
        if (rest == 0) {
            port |= 63; /* none is left of these 64 */
            continue;
        }
        if (!(rest & 1)) {
            continue;
        }
        if (n % MULTIPORT_MAX == 0) {
            buf_printf(out, "%s-A %s -p tcp --match multiport --dports %d", n ? " -j RETURN\n" : "",
                       chain, port);
        } else {
            buf_printf(out, ",%d", port);
        }
        n++;
    }
    buf_addz(out, n ? " -j RETURN\n" : "");
}

static void put_inbound(struct buf *out, const struct rules *r)
{
    buf_printf(out, "-A OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-port %d\n", PORT_INBOUND);
    for (size_t i = 0; i < r->interfaces->len; i++) {
        buf_printf(out, "-A OSM_PROXY_INBOUND -i %.*s -j RETURN\n", STR_ARG(r->interfaces->at[i]));
    }
    put_ports(out, "OSM_PROXY_INBOUND", &r->in);
    buf_printf(out, "-A OSM_PROXY_INBOUND -p tcp --dport %d -j RETURN\n", PORT_METRICS);
    for (int port = PORT_PROBES_FIRST; port <= PORT_PROBES_LAST; port++) {
        buf_printf(out, "-A OSM_PROXY_INBOUND -p tcp --dport %d -j RETURN\n", port);
    }
    if (r->grpc) {
        buf_printf(out, "-A OSM_PROXY_INBOUND -p tcp --dport %d:%d -j RETURN\n", PORT_GRPC_FIRST,
                   PORT_GRPC_LAST);
    }
    buf_addz(out, "-A OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT\n");
}

static void put_outbound(struct buf *out, const struct rules *r, bool v6)
{
    const char *lo = v6 ? "::1/128" : "127.0.0.1/32";
    int user = SIDECAR_USER;
    buf_printf(out, "-A OSM_PROXY_OUT_REDIRECT -p tcp -j REDIRECT --to-port %d\n", PORT_OUTBOUND);
    buf_printf(out, "-A OSM_PROXY_OUT_REDIRECT -p tcp --dport %d -j ACCEPT\n", PORT_ADMIN);
    if (r->pod_ip && !v6) {
        /* $POD_IP is set by the kubelet from status.podIP, not by the pod's author. The sidecar's
         * admin page is on the loopback address only. */
        buf_printf(out,
                   "-A OSM_PROXY_OUTBOUND -p tcp -o lo -d %s --dport %d -m owner --uid-owner %d -j "
                   "RETURN\n",
                   lo, PORT_ADMIN, user);
        buf_printf(out,
                   "-A OSM_PROXY_OUTBOUND -p tcp -o lo -d %s -m owner --uid-owner %d -j DNAT "
                   "--to-destination $POD_IP\n",
                   lo, user);
    }
    /* Envoy calling its own pod's address goes through the inbound side, as for any caller. */
    buf_printf(out,
               "-A OSM_PROXY_OUTBOUND -o lo ! -d %s -m owner --uid-owner %d -j "
               "OSM_PROXY_IN_REDIRECT\n",
               lo, user);
    buf_printf(out, "-A OSM_PROXY_OUTBOUND -o lo -m owner ! --uid-owner %d -j RETURN\n", user);
    buf_printf(out, "-A OSM_PROXY_OUTBOUND -m owner --uid-owner %d -j RETURN\n", user);
    buf_printf(out, "-A OSM_PROXY_OUTBOUND -d %s -j RETURN\n", lo);
    for (size_t i = 0; i < r->interfaces->len; i++) {
        buf_printf(out, "-A OSM_PROXY_OUTBOUND -o %.*s -j RETURN\n", STR_ARG(r->interfaces->at[i]));
    }
    VEC_EACH(r->excluded.list, c) {
        if (c->v6 == v6) {
            buf_printf(out, "-A OSM_PROXY_OUTBOUND -d %s -j RETURN\n", c->text);
        }
    }
    put_ports(out, "OSM_PROXY_OUTBOUND", &r->out);
    VEC_EACH(r->included.list, c) {
        if (c->v6 == v6) {
            buf_printf(out, "-A OSM_PROXY_OUTBOUND -d %s -j OSM_PROXY_OUT_REDIRECT\n", c->text);
        }
    }
    buf_printf(out, "-A OSM_PROXY_OUTBOUND -j %s\n",
               r->included.list.len > 0 ? "RETURN" : "OSM_PROXY_OUT_REDIRECT");
}

/* Declaring a chain to iptables-restore empties it, so chains are safe to write twice; the jumps
 * from the built-in chains, which hold others' rules, are added only when they are missing.
 * Connections that are older than the rules, such as that of the sidecar to osm-controller, are new
 * to the kernel's tracking with their next packet, and an answer looks like a call from outside:
 * only what opens a connection is redirected. */
static void put_table(struct buf *out, const struct rules *r, bool v6)
{
    const char *tool = v6 ? "ip6tables" : "iptables";
    buf_printf(out,
               "%s-restore --noflush <<EOF\n"
               "# OSM sidecar interception rules\n"
               "*nat\n"
               ":OSM_PROXY_INBOUND - [0:0]\n"
               ":OSM_PROXY_IN_REDIRECT - [0:0]\n"
               ":OSM_PROXY_OUTBOUND - [0:0]\n"
               ":OSM_PROXY_OUT_REDIRECT - [0:0]\n",
               tool);
    put_inbound(out, r);
    put_outbound(out, r, v6);
    buf_addz(out, "COMMIT\nEOF\n");
    static const char *const jumps[] = {"PREROUTING -p tcp --syn -j OSM_PROXY_INBOUND",
                                        "OUTPUT -p tcp --syn -j OSM_PROXY_OUTBOUND"};
    for (size_t i = 0; i < COUNT_OF(jumps); i++) {
        buf_printf(out, "%s -t nat -C %s 2>/dev/null || %s -t nat -A %s\n", tool, jumps[i], tool,
                   jumps[i]);
    }
}

int inject_redirection(struct arena *a, const struct pod *pod, const struct inject_options *o,
                       struct str *ret, struct err *e)
{
    AUTO(free) struct rules *r = NEW(struct rules);
    int result = rules_gather(r, pod, o->config, e);
    if (result == 0) {
        struct buf out;
        buf_init(&out, RULES_BYTES_MAX);
        buf_addz(&out, "set -e\n");
        put_table(&out, r, false);
        if (o->ipv6) {
            /* Where ip6tables doesn't work it isn't needed by a pod without an IPv6 address; one
             * that has an address, and can't redirect it, doesn't start. */
            buf_addz(&out, "if ip6tables -t nat -S OUTPUT >/dev/null 2>&1 || "
                           "grep -qv -e ' lo$' -e '^fe80' /proc/net/if_inet6 2>/dev/null; then\n");
            put_table(&out, r, true);
            buf_addz(&out, "fi\n");
        }
        ASSERT(!buf_full(&out));
        *ret = arena_str(a, buf_str(&out));
        buf_done(&out);
    }
    VEC_DONE(r->excluded.list);
    VEC_DONE(r->included.list);
    return result;
}
