/* rtnetlink, through libmnl. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "local/namespaces.h"
#include "local/netlink.h"

struct netlink {
    struct mnl_socket *socket;
    unsigned sequence;
    char request[4096];
};

int netlink_open(int netns_fd, struct netlink **ret, struct err *e)
{
    struct netns_visit visit;
    if (netns_enter(netns_fd, &visit, e) < 0) {
        return -1;
    }
    struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    netns_leave(&visit);
    if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
        int result = err_errno(e, "can't talk to the kernel about network links (netlink)");
        if (s) {
            mnl_socket_close(s);
        }
        return result;
    }
    struct netlink *n = NEW(struct netlink);
    n->socket = s;
    n->sequence = (unsigned)time(NULL);
    *ret = n;
    return 0;
}

void netlink_free(struct netlink *n)
{
    if (n) {
        mnl_socket_close(n->socket);
        free(n);
    }
}

/* A request whose body, of `extra` bytes, is at *body. */
static struct nlmsghdr *request(struct netlink *n, int type, int flags, size_t extra, void *body)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(n->request);
    h->nlmsg_type = (uint16_t)type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = ++n->sequence;
    *(void **)body = mnl_nlmsg_put_extra_header(h, extra);
    return h;
}

/* Sends and reads answers up to the last; errno tells what the kernel refused. */
static int talk(struct netlink *n, struct nlmsghdr *h, mnl_cb_t each, void *arg)
{
    char answer[16384];
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0) {
        return -1;
    }
    for (;;) {
        ssize_t len = mnl_socket_recvfrom(n->socket, answer, sizeof(answer));
        if (len < 0) {
            return -1;
        }
        int more = mnl_cb_run(answer, (size_t)len, n->sequence, mnl_socket_get_portid(n->socket),
                              each, arg);
        if (more < 0) {
            return -1;
        }
        if (more == MNL_CB_STOP) {
            return 0;
        }
    }
}

/* The kernel takes an alias only of a link that is there. */
static int set_alias(struct netlink *n, const char *name, const char *alias, struct err *e)
{
    int index = netlink_find(n, name);
    struct ifinfomsg *link;
    struct nlmsghdr *h = request(n, RTM_NEWLINK, NLM_F_ACK, sizeof(*link), &link);
    link->ifi_index = index;
    mnl_attr_put_strz(h, IFLA_IFALIAS, alias);
    if (talk(n, h, NULL, NULL) < 0) {
        return err_errno(e, "can't mark the network link %s as ours", name);
    }
    return 0;
}

int netlink_bridge(struct netlink *n, const char *name, const char *alias, struct err *e)
{
    struct ifinfomsg *link;
    struct nlmsghdr *h =
        request(n, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*link), &link);
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(h, info);
    if (talk(n, h, NULL, NULL) < 0) {
        return err_errno(e, "can't make the network bridge %s", name);
    }
    return set_alias(n, name, alias, e);
}

int netlink_veth(struct netlink *n, const char *name, const char *alias, int bridge, int netns_fd,
                 struct err *e)
{
    struct ifinfomsg *link;
    struct nlmsghdr *h =
        request(n, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*link), &link);
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)bridge);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
    struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    struct nlattr *peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
    struct ifinfomsg *peer_link = mnl_nlmsg_put_extra_header(h, sizeof(*peer_link));
    (void)peer_link;
    mnl_attr_put_strz(h, IFLA_IFNAME, "eth0");
    mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)netns_fd);
    mnl_attr_nest_end(h, peer);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    if (talk(n, h, NULL, NULL) < 0) {
        return err_errno(e, "can't make the network link %s", name);
    }
    if (set_alias(n, name, alias, e) < 0) {
        return -1;
    }
    return netlink_up(n, netlink_find(n, name), e);
}

int netlink_up(struct netlink *n, int index, struct err *e)
{
    struct ifinfomsg *link;
    struct nlmsghdr *h = request(n, RTM_NEWLINK, NLM_F_ACK, sizeof(*link), &link);
    link->ifi_index = index;
    link->ifi_flags = IFF_UP;
    link->ifi_change = IFF_UP;
    if (talk(n, h, NULL, NULL) < 0) {
        return err_errno(e, "can't switch network link number %d on", index);
    }
    return 0;
}

int netlink_add_address(struct netlink *n, int index, const struct ip *ip, int prefix,
                        struct err *e)
{
    struct ifaddrmsg *address;
    struct nlmsghdr *h =
        request(n, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*address), &address);
    address->ifa_family = (uint8_t)ip->family;
    address->ifa_prefixlen = (uint8_t)prefix;
    address->ifa_index = (uint32_t)index;
    /* Nobody else gives out addresses of this range, so there is no need to wait a second for the
     * search for duplicates. */
    address->ifa_flags = ip->family == AF_INET6 ? IFA_F_NODAD : 0;
    mnl_attr_put(h, IFA_LOCAL, (size_t)ip_bytes(ip), ip->bytes);
    mnl_attr_put(h, IFA_ADDRESS, (size_t)ip_bytes(ip), ip->bytes);
    if (talk(n, h, NULL, NULL) < 0) {
        char text[IP_TEXT];
        return err_errno(e, "can't give address %s to a network link", ip_text(ip, text));
    }
    return 0;
}

int netlink_add_default_route(struct netlink *n, const struct ip *gateway, struct err *e)
{
    struct rtmsg *route;
    struct nlmsghdr *h = request(n, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, sizeof(*route), &route);
    route->rtm_family = (uint8_t)gateway->family;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = RT_SCOPE_UNIVERSE;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put(h, RTA_GATEWAY, (size_t)ip_bytes(gateway), gateway->bytes);
    if (talk(n, h, NULL, NULL) < 0) {
        char text[IP_TEXT];
        return err_errno(e, "can't route through %s", ip_text(gateway, text));
    }
    return 0;
}

int netlink_delete(struct netlink *n, int index, struct err *e)
{
    struct ifinfomsg *link;
    struct nlmsghdr *h = request(n, RTM_DELLINK, NLM_F_ACK, sizeof(*link), &link);
    link->ifi_index = index;
    if (talk(n, h, NULL, NULL) < 0 && errno != ENODEV) {
        return err_errno(e, "can't delete network link number %d", index);
    }
    return 0;
}

static int on_link_index(const struct nlmsghdr *h, void *arg)
{
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(h);
    *(int *)arg = link->ifi_index;
    return MNL_CB_OK;
}

int netlink_find(struct netlink *n, const char *name)
{
    struct ifinfomsg *link;
    int index = 0;
    struct nlmsghdr *h = request(n, RTM_GETLINK, NLM_F_ACK, sizeof(*link), &link);
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    return talk(n, h, on_link_index, &index) < 0 ? 0 : index;
}

struct alias_search {
    const char *alias;
    void (*fn)(void *arg, int index, const char *name);
    void *arg;
};

static int on_link_alias(const struct nlmsghdr *h, void *arg)
{
    const struct alias_search *search = arg;
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(h);
    const char *name = NULL, *alias = NULL;
    const struct nlattr *attribute;
    mnl_attr_for_each(attribute, h, sizeof(*link))
    {
        if (mnl_attr_get_type(attribute) == IFLA_IFNAME) {
            name = mnl_attr_get_str(attribute);
        } else if (mnl_attr_get_type(attribute) == IFLA_IFALIAS) {
            alias = mnl_attr_get_str(attribute);
        }
    }
    if (name && alias && strcmp(alias, search->alias) == 0) {
        search->fn(search->arg, link->ifi_index, name);
    }
    return MNL_CB_OK;
}

int netlink_each_alias(struct netlink *n, const char *alias,
                       void (*fn)(void *arg, int index, const char *name), void *arg, struct err *e)
{
    struct ifinfomsg *link;
    struct alias_search search = {alias, fn, arg};
    struct nlmsghdr *h = request(n, RTM_GETLINK, NLM_F_DUMP, sizeof(*link), &link);
    if (talk(n, h, on_link_alias, &search) < 0) {
        return err_errno(e, "can't list this machine's network links");
    }
    return 0;
}

struct range_search {
    struct ip ip;
    int prefix;
    bool used;
};

static int on_route(const struct nlmsghdr *h, void *arg)
{
    struct range_search *search = arg;
    const struct rtmsg *route = mnl_nlmsg_get_payload(h);
    const struct nlattr *attribute;
    /* Ours is more specific than a route to half of the private addresses, as VPNs have. */
    int broad = search->ip.family == AF_INET ? 12 : 40;
    if (route->rtm_family != search->ip.family || route->rtm_dst_len < broad) {
        return MNL_CB_OK;
    }
    mnl_attr_for_each(attribute, h, sizeof(*route))
    {
        if (mnl_attr_get_type(attribute) == RTA_DST &&
            mnl_attr_get_payload_len(attribute) == (uint16_t)ip_bytes(&search->ip)) {
            struct ip to = {.family = search->ip.family};
            memcpy(to.bytes, mnl_attr_get_payload(attribute), (size_t)ip_bytes(&search->ip));
            search->used |= ip_ranges_overlap(&search->ip, search->prefix, &to, route->rtm_dst_len);
        }
    }
    return MNL_CB_OK;
}

/* Addresses are among the routes of the table "local". */
int netlink_range_used(struct netlink *n, const struct ip *ip, int prefix, bool *ret, struct err *e)
{
    struct rtmsg *route;
    struct range_search search = {*ip, prefix, false};
    struct nlmsghdr *h = request(n, RTM_GETROUTE, NLM_F_DUMP, sizeof(*route), &route);
    route->rtm_family = (uint8_t)ip->family;
    if (talk(n, h, on_route, &search) < 0) {
        return err_errno(e, "can't list this machine's routes");
    }
    *ret = search.used;
    return 0;
}
