/* osm local status. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/local.h"
#include "base/table.h"

enum { WATCH_MS = 1000 };

static bool watch;
static const char *output = "text";

const struct flag local_status_flags[] = {
    {"watch", 'w', FLAG_BOOL, NULL, "show it again every second", &watch},
    {"output", 'o', FLAG_STRING, "text|json", "how to print it", &output},
    {0},
};

static void add_str(struct table *t, struct str s)
{
    table_add(t, "%.*s", STR_ARG(s));
}

static void add_row(struct table *t, const char *const *cells)
{
    for (size_t i = 0; i < t->columns; i++) {
        table_add(t, "%s", cells[i]);
    }
}

static long long int_at(const struct value *v, const char *key)
{
    const struct value *n = value_member(v, key);
    return n && n->type == VALUE_INT ? (long long)n->integer : 0;
}

/* NAN when there is none. */
static double number_at(const struct value *v, const char *key)
{
    const struct value *n = value_member(v, key);
    return !n || n->type == VALUE_NULL ? (double)NAN
           : n->type == VALUE_INT      ? (double)n->integer
                                       : n->number;
}

static void print_pods(const struct value *pods)
{
    static const char *const heading[] = {"POD", "READY", "SIDECAR", "RESTARTS", "IP", "REASON"};
    struct table t = {.columns = COUNT_OF(heading)};
    add_row(&t, heading);
    for (size_t i = 0; i < value_len(pods); i++) {
        const struct value *pod = &pods->array.at[i];
        struct str sidecar = value_string_at(pod, "sidecar");
        bool refused = str_starts(sidecar, "refused: ");
        table_add(&t, "%.*s/%.*s", STR_ARG(value_string_at(pod, "namespace")),
                  STR_ARG(value_string_at(pod, "name")));
        table_add(&t, "%s",
                  value_bool_at(pod, "ready")  ? "yes"
                  : value_bool_at(pod, "done") ? "done"
                                               : "no");
        add_str(&t, refused ? STR("refused") : sidecar);
        table_add(&t, "%lld", int_at(pod, "restarts"));
        add_str(&t, value_string_at(pod, "ip"));
        add_str(&t, refused ? (struct str){sidecar.ptr + 9, sidecar.len - 9}
                            : value_string_at(pod, "reason"));
    }
    table_print(&t, stdout);
    table_done(&t);
}

static void add_ms(struct table *t, double ms)
{
    if (isnan(ms)) {
        table_add(t, "-");
    } else if (ms < 1) {
        table_add(t, "<1 ms");
    } else {
        table_add(t, "%.*f ms", ms < 10 ? 1 : 0, ms);
    }
}

static void print_edges(const struct value *edges)
{
    static const char *const heading[] = {"SOURCE", "DESTINATION", "REQUESTS", "SUCCESS",
                                          "DENIED", "P50",         "P99"};
    struct table t = {.columns = COUNT_OF(heading)};
    if (value_len(edges) == 0) {
        return;
    }
    add_row(&t, heading);
    for (size_t i = 0; i < value_len(edges); i++) {
        const struct value *edge = &edges->array.at[i];
        double success = number_at(edge, "success_ratio");
        add_str(&t, value_string_at(edge, "source"));
        if (value_string_at(edge, "destination").len == 0) {
            table_add(&t, "(refused by its own sidecar)");
        } else {
            table_add(&t, "%.*s:%.*s", STR_ARG(value_string_at(edge, "destination")),
                      STR_ARG(value_string_at(edge, "port")));
        }
        table_add(&t, "%lld", int_at(edge, "requests"));
        if (isnan(success)) {
            table_add(&t, "-");
        } else {
            /* Never 100% when one failed. */
            table_add(&t, "%.1f%%", floor(success * 1000) / 10);
        }
        table_add(&t, "%lld", int_at(edge, "denied"));
        add_ms(&t, number_at(edge, "p50_ms"));
        add_ms(&t, number_at(edge, "p99_ms"));
    }
    printf("\n");
    table_print(&t, stdout);
    table_done(&t);
}

static void print_status(const struct value *status)
{
    struct str problem = value_string_at(status, "problem");
    printf("mesh \"%.*s\": %s\n", STR_ARG(value_string_at(status, "name")),
           value_bool_at(status, "ready") ? "ready" : "not ready");
    if (problem.len > 0) {
        printf("problem: %.*s\n", STR_ARG(problem));
    }
    if (!value_bool_at(status, "controller.ready")) {
        printf("controller: %.*s\n", STR_ARG(value_string_at(status, "controller.problem")));
    }
    printf("\n");
    print_pods(value_at(status, "pods"));
    print_edges(value_at(status, "edges"));
    if (value_len(value_at(status, "findings")) > 0) {
        printf("\n");
        local_print_findings(status, stdout);
    }
}

static int show(const struct state *s, bool json, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    const struct value *status;
    if (local_status(s, true, a, &status, e) < 0) {
        return -1;
    }
    if (json) {
        struct buf out;
        buf_init(&out, (size_t)-1 / 2);
        value_write_json(status, &out);
        printf("%.*s\n", STR_ARG(buf_str(&out)));
        buf_done(&out);
    } else {
        print_status(status);
    }
    return value_bool_at(status, "ready") ? EXIT_OK : EXIT_FAILED;
}

int local_status_run(const struct args *args, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    bool json = strcmp(output, "json") == 0;
    if (local_open_running(&s, e) < 0) {
        return -1;
    }
    int result;
    do {
        if (watch && isatty(STDOUT_FILENO)) {
            printf("\033[H\033[2J"); /* home, clear */
        }
        result = show(&s, json, e);
        fflush(stdout);
    } while (watch && result >= 0 && !ferror(stdout) && usleep(WATCH_MS * 1000) == 0);
    return result;
}
