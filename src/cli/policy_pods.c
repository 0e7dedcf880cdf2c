/* osm policy check-pods: may one pod call another? */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/policy_mesh.h"

static const char *output = "table";

const struct flag policy_check_pods_flags[] = {LISTING_FLAG(&output), {0}};

static struct value *strings(struct arena *a, const struct strs *s)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < s->len; i++) {
        value_push(a, list, value_new_string(a, s->at[i]));
    }
    return list;
}

static struct value *match_value(struct arena *a, const struct mesh_http_match *m)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "methods", strings(a, &m->methods));
    value_set(a, v, "pathRegex", value_new_string(a, m->path_regex));
    struct value *headers = value_ensure(a, v, "headers", VALUE_OBJECT);
    for (size_t i = 0; i < m->headers.len; i++) {
        value_set(a, headers, arena_str(a, m->headers.at[i].key).ptr,
                  value_new_string(a, m->headers.at[i].value));
    }
    return v;
}

static struct value *rule_value(struct arena *a, const struct mesh_rule *rule)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "trafficTarget", value_new_string(a, rule->name));
    struct value *http = value_ensure(a, v, "http", VALUE_ARRAY);
    for (size_t i = 0; i < rule->http.len; i++) {
        value_push(a, http, match_value(a, &rule->http.at[i]));
    }
    value_set(a, v, "tcp", value_new_bool(a, rule->tcp));
    struct value *ports = value_ensure(a, v, "tcpPorts", VALUE_ARRAY);
    for (size_t i = 0; i < rule->tcp_ports.len; i++) {
        value_push(a, ports, value_new_int(a, rule->tcp_ports.at[i]));
    }
    return v;
}

static struct value *verdict_value(struct arena *a, const struct policy_mesh *m,
                                   const struct policy_pod *from, const struct policy_pod *to)
{
    const struct mesh_policy *policy = policy_of(m, to);
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "source", value_new_stringf(a, "%s/%s", from->name.namespace, from->name.name));
    value_set(a, v, "destination",
              value_new_stringf(a, "%s/%s", to->name.namespace, to->name.name));
    value_set(a, v, "mesh", value_new_string(a, str_of(m->options.mesh_name)));
    value_set(a, v, "permissive", value_new_bool(a, mesh_permissive(m->mesh)));
    value_set(a, v, "allowed", value_new_bool(a, policy_allows(policy, from->identity)));
    struct value *rules = value_ensure(a, v, "rules", VALUE_ARRAY);
    for (size_t i = 0; policy && i < policy->rules.len; i++) {
        if (policy_rule_allows(&policy->rules.at[i], from->identity)) {
            value_push(a, rules, rule_value(a, &policy->rules.at[i]));
        }
    }
    return v;
}

/* "GET,POST /books.* user-agent: curl.*" */
static void print_match(const struct value *m)
{
    const struct value *methods = value_member(m, "methods"), *headers = value_member(m, "headers");
    struct str path = value_string_at(m, "pathRegex");
    printf("      HTTP: ");
    for (size_t i = 0; i < value_len(methods); i++) {
        printf("%s%.*s", i > 0 ? "," : "", STR_ARG(methods->array.at[i].string));
    }
    printf("%s %.*s", value_len(methods) == 0 ? "any method," : "",
           STR_ARG(path.len > 0 ? path : STR("any path")));
    for (size_t i = 0; i < headers->object.len; i++) {
        printf(", %.*s: %.*s", STR_ARG(headers->object.at[i].key),
               STR_ARG(headers->object.at[i].value.string));
    }
    printf("\n");
}

static void print_rule(const struct value *rule)
{
    const struct value *http = value_member(rule, "http"), *ports = value_member(rule, "tcpPorts");
    printf("    TrafficTarget %.*s\n", STR_ARG(value_string_at(rule, "trafficTarget")));
    for (size_t i = 0; i < value_len(http); i++) {
        print_match(&http->array.at[i]);
    }
    if (value_bool_at(rule, "tcp")) {
        printf("      TCP: %s", value_len(ports) == 0 ? "any port" : "");
        for (size_t i = 0; i < value_len(ports); i++) {
            printf("%s%lld", i > 0 ? "," : "", (long long)ports->array.at[i].integer);
        }
        printf("\n");
    }
}

static void print_verdict(const struct value *v, const struct policy_mesh *m)
{
    struct str from = value_string_at(v, "source"), to = value_string_at(v, "destination");
    const struct value *rules = value_member(v, "rules");
    bool permissive = value_bool_at(v, "permissive"), allowed = value_bool_at(v, "allowed");
    printf("[+] %s for mesh [%s] operated by osm-controller running in namespace [%s]\n",
           permissive ? "Permissive mode enabled" : "SMI traffic policy mode enabled",
           m->options.mesh_name, m->options.osm_namespace);
    printf("[+] Pod '%.*s' is %sallowed to communicate to pod '%.*s'%s\n", STR_ARG(from),
           allowed ? "" : "not ", STR_ARG(to),
           allowed && !permissive ? " by:"
           : allowed              ? ""
                                  : ": no TrafficTarget names both service accounts with a rule");
    for (size_t i = 0; i < value_len(rules) && !permissive; i++) {
        print_rule(&rules->array.at[i]);
    }
}

int policy_check_pods_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    AUTO(policy_mesh_done) struct policy_mesh m = {0};
    struct policy_pod from = {0}, to = {0};
    if (object_name_parse(args->at[0], "default", "pod", &from.name, e) < 0 ||
        object_name_parse(args->at[1], "default", "pod", &to.name, e) < 0 ||
        cluster_open(&c, e) < 0 || policy_mesh_load(&c, &from, &to, &m, e) < 0) {
        return -1;
    }
    const struct value *verdict = verdict_value(c.arena, &m, &from, &to);
    policy_mesh_print_findings(&m);
    if (format_is_table(output)) {
        print_verdict(verdict, &m);
    } else {
        document_print(verdict, output);
    }
    return value_bool_at(verdict, "allowed") ? EXIT_OK : EXIT_FAILED;
}
