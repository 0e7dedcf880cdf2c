/* osm proxy get and set: Envoy's admin pages of a pod. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/forward.h"
#include "cli/meshes.h"

static const char *namespace = "default", *file;
static int64_t local_port;

const struct flag proxy_get_flags[] = {
    {"namespace", 'n', FLAG_STRING, "NAME", "the pod's", &namespace,
     .complete = complete_namespaces},
    {"file", 'f', FLAG_STRING, "FILE", "write it there", &file, .complete = complete_files},
    {"local-port", 'p', FLAG_NUMBER, "PORT", "port of this machine to use (a free one)",
     &local_port, .min = 1, .max = 65535},
    {0},
};

static int check_pod(struct cluster *c, const struct object_name *pod, struct err *e)
{
    struct value *found = NULL;
    int there = cluster_find(c, core_path(c, "pods", pod->namespace, pod->name, NULL), &found, e);
    if (there < 0) {
        return -1;
    }
    if (there == 0) {
        return err_set(e, "there is no pod [%s] in namespace [%s]", pod->name, pod->namespace);
    }
    return label_of(found, LABEL_PROXY).len > 0
               ? 0
               : err_set(e, "pod [%s] in namespace [%s] is not a part of a mesh: it has no sidecar",
                         pod->name, pod->namespace);
}

static int write_answer(struct str text, struct err *e)
{
    FILE *to = file ? fopen(file, "we") : stdout;
    if (!to) {
        return err_errno(e, "can't write %s", file);
    }
    bool whole = fwrite(text.ptr, 1, text.len, to) == text.len;
    if (!file && text.len > 0 && text.ptr[text.len - 1] != '\n') {
        fputc('\n', to);
    }
    if (file && fclose(to) != 0) {
        whole = false;
    }
    return whole ? 0 : err_errno(e, "can't write %s", file ? file : "the answer");
}

static int answer(const struct forward *f, const char *method, const char *query,
                  const struct object_name *pod, struct err *e)
{
    struct buf said;
    int status = forward_ask(f, method, query, &said, e);
    int result = status < 0 ? err_wrap(e, "pod %s/%s", pod->namespace, pod->name) : 0;
    if (status >= 0 && status != 200) {
        struct str text = str_trim(buf_str(&said)), first = text, rest;
        str_cut(text, '\n', &first, &rest);
        result = err_set(e, "Envoy of pod %s/%s answered %d to \"%s\": %.*s", pod->namespace,
                         pod->name, status, query, STR_ARG(first));
    } else if (status == 200) {
        result = write_answer(buf_str(&said), e);
    }
    buf_done(&said);
    return result;
}

static int run(const struct args *args, const char *method, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    AUTO(forward_stop) struct forward f = {0};
    struct object_name pod;
    if (object_name_parse(args->at[1], namespace, "pod", &pod, e) < 0 || cluster_open(&c, e) < 0 ||
        check_pod(&c, &pod, e) < 0) {
        return -1;
    }
    AUTO(free) char *target = mem_printf("pod/%s", pod.name);
    return forward_start(pod.namespace, target, PORT_ENVOY_ADMIN, (uint16_t)local_port, &f, e) < 0
               ? -1
               : answer(&f, method, args->at[0], &pod, e);
}

int proxy_get_run(const struct args *args, struct err *e)
{
    return run(args, "GET", e);
}

int proxy_set_run(const struct args *args, struct err *e)
{
    return run(args, "POST", e);
}
