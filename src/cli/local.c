/* What the commands of `osm local` share. */
#include "cli/local.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/http_client.h"

static const char *mesh_name = "osm", *state_dir = STATE_BASE_DEFAULT;

const struct flag local_flags[] = {
    {"name", 0, FLAG_STRING, "NAME", "which mesh; several run side by side", &mesh_name},
    {"state-dir", 0, FLAG_STRING, "DIR", "where meshes keep their state", &state_dir},
    {0},
};

#define POD_HELP                                                                                   \
    "POD is a pod's name, NAMESPACE/NAME, or the name of its Deployment, StatefulSet or Job."

const struct command local_commands[] = {
    {.name = "up",
     .summary = "Start a mesh, or bring a running one to what is asked",
     .help =
         "Folders are watched from then on: edit a manifest and the mesh follows. Run it again\n"
         "to add folders or images; what is right already isn't touched. Without -f the\n"
         "folders of the last time are meant.\n"
         "\n"
         "  osm local up -f manifests/ --image shop/web=\"/usr/local/bin/web --port 80\" --wait",
     .flags = local_up_flags,
     .run = local_up_run},
    {.name = "status",
     .summary = "Show pods, sidecars, who calls whom, and what is wrong",
     .help = "SUCCESS is the share of answers below 400, DENIED counts those with 403. P50 and\n"
             "P99 are those of the slowest pod of the source. Counting begins anew when a\n"
             "sidecar gets a service anew. The exit code is 0 when all is ready, 1 when not.",
     .flags = local_status_flags,
     .run = local_status_run},
    {.name = "apply",
     .summary = "Put objects into the mesh without touching its folders",
     .help = "What is applied has precedence over the same object in a folder.\n\n"
             "  osm local apply -f split.yaml\n"
             "  osm local apply -f - <<< '{\"kind\": ...}'",
     .flags = local_files_flags,
     .run = local_apply_run},
    {.name = "delete",
     .summary = "Take objects out of the mesh, also those that come from its folders",
     .help = "Files in the folders stay as they are. `osm local apply` brings an object back.",
     .flags = local_files_flags,
     .run = local_delete_run},
    {.name = "logs",
     .arguments = "POD",
     .summary = "Print what a container wrote",
     .help = POD_HELP,
     .flags = local_logs_flags,
     .min_args = 1,
     .max_args = 1,
     .run = local_logs_run},
    {.name = "exec",
     .arguments = "POD -- COMMAND [ARGUMENT...]",
     .summary = "Run a command inside a pod",
     .help = POD_HELP "\n\n  osm local exec bookbuyer -- curl -i http://bookstore.bookstore:14001/",
     .flags = local_exec_flags,
     .min_args = 2,
     .max_args = SIZE_MAX,
     .run = local_exec_run},
    {.name = "proxy",
     .summary = "Ask a pod's Envoy",
     .children =
         (const struct command[]){{.name = "get",
                                   .arguments = "QUERY POD",
                                   .summary = "Print a page of the Envoy of a pod",
                                   .help = POD_HELP
                                   "\n\n"
                                   "  osm local proxy get config_dump bookbuyer\n"
                                   "  osm local proxy get 'stats?filter=upstream_rq' bookbuyer",
                                   .min_args = 2,
                                   .max_args = 2,
                                   .run = local_proxy_get_run},
                                  {0}}},
    {.name = "down", .summary = "End a mesh and remove all that it made", .run = local_down_run},
    {.name = "daemon",
     .summary = "The process behind a mesh; `up` starts it",
     .run = local_daemon_run,
     .hidden = true},
    {0},
};

int local_open(struct state *ret, struct err *e)
{
    if (geteuid() != 0) {
        return err_set(e, "osm local makes network namespaces, which needs root; run it with sudo");
    }
    AUTO(free) char *absolute = realpath(state_dir, NULL);
    return state_init(ret, absolute ? absolute : state_dir, mesh_name, e);
}

int local_open_running(struct state *ret, struct err *e)
{
    if (local_open(ret, e) < 0) {
        return -1;
    }
    if (state_daemon(ret) == 0) {
        return err_set(e, "mesh \"%s\" doesn't run; start it with: osm local up -f DIR", mesh_name);
    }
    return 0;
}

int local_ask(const struct state *s, const char *method, const char *target, struct str body,
              struct buf *ret, struct err *e)
{
    AUTO(free) char *socket = state_path(s, "control.sock");
    AUTO(free) char *url = mem_printf("http://osm-local%s", target);
    struct http_call call = {.method = method,
                             .url = url,
                             .unix_path = socket,
                             .body = body,
                             .timeout_ms = 30000,
                             .max_bytes = LIMIT_CONTROL_REPLY_BYTES};
    int status = http_do(&call, ret, e);
    if (status < 0) {
        return err_wrap(e, "the mesh's process doesn't answer");
    }
    return status;
}

int local_status(const struct state *s, bool edges, struct arena *a, const struct value **ret,
                 struct err *e)
{
    struct buf body;
    struct value *v;
    int status = local_ask(s, "GET", edges ? "/status?edges=1" : "/status", STR(""), &body, e);
    int result = status < 0 ? -1 : value_read_json(a, buf_str(&body), &v, e);
    buf_done(&body);
    if (result == 0) {
        *ret = v;
    }
    return result;
}

/* 0: no; 1: a pod of that workload; 2: a ready one; 3: that pod. */
static int match(const struct value *pod, struct str ns, struct str name)
{
    struct str kind, workload;
    if (ns.len > 0 && !str_eq(value_string_at(pod, "namespace"), ns)) {
        return 0;
    }
    if (str_eq(value_string_at(pod, "name"), name)) {
        return 3;
    }
    if (str_cut(value_string_at(pod, "workload"), '/', &kind, &workload) &&
        str_eq(workload, name)) {
        return value_bool_at(pod, "ready") ? 2 : 1;
    }
    return 0;
}

int local_find_pod(const struct value *status, const char *text, const struct value **ret,
                   struct err *e)
{
    struct str ns, name;
    const struct value *pods = value_at(status, "pods"), *best = NULL;
    int best_match = 0;
    if (!str_cut(str_of(text), '/', &ns, &name)) {
        name = str_of(text);
        ns = STR("");
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        const struct value *pod = &pods->array.at[i];
        int found = match(pod, ns, name);
        if (found > 0 && best &&
            !str_eq(value_string_at(pod, "namespace"), value_string_at(best, "namespace"))) {
            return err_set(e, "\"%s\" is in namespaces %.*s and %.*s; say NAMESPACE/NAME", text,
                           STR_ARG(value_string_at(best, "namespace")),
                           STR_ARG(value_string_at(pod, "namespace")));
        }
        if (found > best_match) {
            best = pod;
            best_match = found;
        }
    }
    *ret = best;
    return best ? 0 : err_set(e, "there is no pod or workload \"%s\"; see: osm local status", text);
}

void local_print_findings(const struct value *status, FILE *to)
{
    const struct value *findings = value_at(status, "findings");
    for (size_t i = 0; i < value_len(findings); i++) {
        const struct value *f = &findings->array.at[i];
        struct str file = value_string_at(f, "file"), object = value_string_at(f, "object");
        const struct value *line = value_member(f, "line");
        fprintf(to, "%.*s: ", STR_ARG(value_string_at(f, "level")));
        if (file.len > 0 && line && line->type == VALUE_INT && line->integer > 0) {
            fprintf(to, "%.*s:%d: ", STR_ARG(file), (int)line->integer);
        } else if (file.len > 0) {
            fprintf(to, "%.*s: ", STR_ARG(file));
        }
        if (object.len > 0) {
            fprintf(to, "%.*s: ", STR_ARG(object));
        }
        fprintf(to, "%.*s\n", STR_ARG(value_string_at(f, "text")));
    }
}
