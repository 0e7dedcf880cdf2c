#include "smi_reference.h"

struct question {
    const struct store *s;
    const struct mesh_call *call;
    bool (*regex)(void *arg, struct str pattern, struct str text);
    bool yes;
};

static bool listed(const struct strs *list, struct str wanted)
{
    bool yes = list->len == 0;
    for (size_t i = 0; i < list->len; i++) {
        yes |= str_is(list->at[i], "*") || str_eq(list->at[i], wanted);
    }
    return yes;
}

static bool match_says(const struct question *q, const struct http_match *m)
{
    struct str path, query;
    str_cut(q->call->path, '?', &path, &query);
    bool yes = m->path_regex.len == 0 || q->regex(NULL, m->path_regex, path);
    for (size_t i = 0; i < m->headers.len; i++) {
        bool one = false, host = str_is_nocase(m->headers.at[i].key, "host");
        for (size_t j = 0; j < q->call->headers.len; j++) {
            struct pair h = q->call->headers.at[j];
            one |= str_is_nocase(host ? STR(":authority") : m->headers.at[i].key, h.key.ptr) &&
                   q->regex(NULL, m->headers.at[i].value, h.value);
        }
        yes &= one;
    }
    return yes && listed(&m->methods, q->call->method);
}

static bool rule_says(const struct question *q, struct str ns, const struct traffic_target_rule *r)
{
    bool http = q->call->protocol <= PROTOCOL_GRPC;
    enum kind kind = http ? KIND_HTTP_ROUTE_GROUP : KIND_TCP_ROUTE;
    const void *o = store_find(q->s, kind, ns, r->name);
    const struct http_route_group *group = o;
    const struct tcp_route *route = o;
    if (!o || !str_is(r->kind, kind_info(kind)->name)) {
        return false;
    }
    bool yes = !http && route->ports.len == 0;
    for (size_t i = 0; http && i < group->matches.len; i++) {
        const struct http_match *m = &group->matches.at[i];
        yes |= listed(&r->matches, m->name) && match_says(q, m);
    }
    for (size_t i = 0; !http && i < route->ports.len; i++) {
        yes |= route->ports.at[i] == q->call->target_port;
    }
    return yes;
}

static bool is(const struct identity_subject *s, struct str identity)
{
    struct str ns, account;
    str_cut(identity, '/', &ns, &account);
    return str_eq(s->namespace, ns) && str_eq(s->name, account);
}

static void ask(void *arg, struct object *o)
{
    struct question *q = arg;
    const struct traffic_target *t = (struct traffic_target *)o;
    bool source = false, rule = false;
    for (size_t i = 0; i < t->sources.len; i++) {
        source |= is(&t->sources.at[i], q->call->source);
    }
    for (size_t i = 0; i < t->rules.len; i++) {
        rule |= rule_says(q, o->meta.namespace, &t->rules.at[i]);
    }
    q->yes |= source && rule && is(&t->destination, q->call->destination) &&
              str_eq(o->meta.namespace, t->destination.namespace);
}

bool smi_reference_allows(const struct store *s, const struct mesh_call *call,
                          bool (*regex)(void *arg, struct str pattern, struct str text))
{
    struct question q = {.s = s, .call = call, .regex = regex};
    store_each(s, KIND_TRAFFIC_TARGET, ask, &q);
    return q.yes;
}
