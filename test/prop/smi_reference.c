#include "smi_reference.h"

struct question {
    const struct store *s;
    const struct mesh_call *call;
    bool (*regex)(void *arg, struct str pattern, struct str text);
    struct str ns, account; /* of the destination */
    bool yes;
};

static bool match_says(const struct question *q, const struct http_match *m)
{
    bool method = m->methods.len == 0, headers = true;
    for (size_t i = 0; i < m->methods.len; i++) {
        method |= str_is(m->methods.at[i], "*") || str_eq(m->methods.at[i], q->call->method);
    }
    for (size_t i = 0; i < m->headers.len; i++) {
        bool one = false, host = str_is_nocase(m->headers.at[i].key, "host");
        for (size_t j = 0; j < q->call->headers.len; j++) {
            const struct pair *h = &q->call->headers.at[j];
            bool same = host ? str_is(h->key, ":authority")
                             : str_is_nocase(m->headers.at[i].key, h->key.ptr);
            one |= same && q->regex(NULL, m->headers.at[i].value, h->value);
        }
        headers &= one;
    }
    struct str path, query;
    str_cut(q->call->path, '?', &path, &query);
    return method && headers && (m->path_regex.len == 0 || q->regex(NULL, m->path_regex, path));
}

static bool rule_says(const struct question *q, const struct traffic_target_rule *rule)
{
    bool http = q->call->protocol == PROTOCOL_HTTP || q->call->protocol == PROTOCOL_GRPC,
         yes = false;
    enum kind kind = http ? KIND_HTTP_ROUTE_GROUP : KIND_TCP_ROUTE;
    const void *o = str_is(rule->kind, kind_info(kind)->name)
                        ? store_find(q->s, kind, q->ns, rule->name)
                        : NULL;
    const struct http_route_group *group = o;
    const struct tcp_route *route = o;
    for (size_t i = 0; o && http && i < group->matches.len; i++) {
        bool named = rule->matches.len == 0;
        for (size_t j = 0; j < rule->matches.len; j++) {
            named |= str_eq(rule->matches.at[j], group->matches.at[i].name);
        }
        yes |= named && match_says(q, &group->matches.at[i]);
    }
    for (size_t i = 0; o && !http && i < route->ports.len; i++) {
        yes |= route->ports.at[i] == q->call->target_port;
    }
    return yes || (o && !http && route->ports.len == 0);
}

static void ask(void *arg, struct object *o)
{
    struct question *q = arg;
    const struct traffic_target *t = (struct traffic_target *)o;
    bool source = false, rule = false;
    for (size_t i = 0; i < t->sources.len; i++) {
        struct str ns, account;
        str_cut(q->call->source, '/', &ns, &account);
        source |= str_eq(t->sources.at[i].namespace, ns) && str_eq(t->sources.at[i].name, account);
    }
    for (size_t i = 0; i < t->rules.len; i++) {
        rule |= rule_says(q, &t->rules.at[i]);
    }
    q->yes |= source && rule && str_eq(o->meta.namespace, q->ns) &&
              str_eq(t->destination.namespace, q->ns) && str_eq(t->destination.name, q->account);
}

bool smi_reference_allows(const struct store *s, bool permissive, const struct mesh_call *call,
                          bool (*regex)(void *arg, struct str pattern, struct str text))
{
    struct question q = {.s = s, .call = call, .regex = regex};
    str_cut(call->destination, '/', &q.ns, &q.account);
    const struct object *ns = store_find(s, KIND_NAMESPACE, STR(""), q.ns);
    const struct str *mesh =
        ns ? pairs_find(&ns->meta.labels, "openservicemesh.io/monitored-by") : NULL;
    if (!mesh || !str_is(*mesh, "osm") || permissive) {
        return mesh && str_is(*mesh, "osm");
    }
    store_each(s, KIND_TRAFFIC_TARGET, ask, &q);
    return q.yes;
}
