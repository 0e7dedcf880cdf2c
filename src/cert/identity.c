/* Who a sidecar is, from what its certificate says. */
#include <string.h>

#include "cert/cert.h"

/* "spiffe://<td>/<uuid>/sidecar/<sa>/<ns>": exactly four parts. */
static bool parse_uri(struct str uri, const char *trust_domain, struct proxy_identity *ret)
{
    static const char scheme[] = "spiffe://";
    struct str rest = uri, domain, kind;
    if (!str_starts(uri, scheme)) {
        return false;
    }
    rest.ptr += sizeof(scheme) - 1;
    rest.len -= sizeof(scheme) - 1;
    return str_cut(rest, '/', &domain, &rest) && str_is(domain, trust_domain) &&
           str_cut(rest, '/', &ret->uuid, &rest) && str_cut(rest, '/', &kind, &rest) &&
           str_is(kind, "sidecar") && str_cut(rest, '/', &ret->service_account, &ret->namespace) &&
           !memchr(ret->namespace.ptr, '/', ret->namespace.len);
}

/* "<uuid>.sidecar.<sa>.<ns>.<td>": of these only the service account and the trust domain may hold
 * dots. */
static bool parse_name(struct str cn, const char *trust_domain, struct proxy_identity *ret)
{
    struct str domain = str_of(trust_domain), rest, kind;
    if (cn.len <= domain.len + 1 || !str_ends(cn, trust_domain) ||
        cn.ptr[cn.len - domain.len - 1] != '.') {
        return false;
    }
    cn.len -= domain.len + 1;
    if (!str_cut(cn, '.', &ret->uuid, &rest) || !str_cut(rest, '.', &kind, &rest) ||
        !str_is(kind, "sidecar")) {
        return false;
    }
    const char *dot = memrchr(rest.ptr, '.', rest.len);
    if (!dot) {
        return false;
    }
    ret->service_account = (struct str){rest.ptr, (size_t)(dot - rest.ptr)};
    ret->namespace = (struct str){dot + 1, rest.len - ret->service_account.len - 1};
    return true;
}

/* Names as Kubernetes has them: nothing that could be read as a separator elsewhere. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            return false;
        }
    }
    return s.len > 0;
}

int proxy_identity_parse(struct str common_name, struct str uri, const char *trust_domain,
                         struct proxy_identity *ret, struct err *e)
{
    struct proxy_identity found = {0};
    bool parsed = uri.len > 0 ? parse_uri(uri, trust_domain, &found)
                              : parse_name(common_name, trust_domain, &found);
    if (!parsed || !is_plain(found.uuid) || !is_plain(found.service_account) ||
        !is_plain(found.namespace) || memchr(found.namespace.ptr, '.', found.namespace.len)) {
        return err_set(e,
                       "the certificate isn't a sidecar's of trust domain %s: expected "
                       "spiffe://%s/<uuid>/sidecar/<service account>/<namespace>, found \"%.*s\"",
                       trust_domain, trust_domain,
                       uri.len > 0 ? (int)uri.len : (int)common_name.len,
                       uri.len > 0 ? uri.ptr : common_name.ptr);
    }
    *ret = found;
    return 0;
}
