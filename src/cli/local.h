/* `osm local`: what its commands share. */
#ifndef OSM_CLI_LOCAL_H
#define OSM_CLI_LOCAL_H

#include <stdio.h>

#include "base/command.h"
#include "doc/value.h"
#include "local/state.h"

/* The commands of `osm local` and the flags of all of them. */
extern const struct command local_commands[];
extern const struct flag local_flags[];

/* The mesh that --name and --state-dir name; without root an error. */
int local_open(struct state *ret, struct err *e);
/* The same; an error unless its runtime runs. */
int local_open_running(struct state *ret, struct err *e);

/* Asks the runtime. The answer's status, or -1 when there was none; the caller does buf_done also
 * then. */
int local_ask(const struct state *s, const char *method, const char *target, struct str body,
              struct buf *ret, struct err *e);
/* The status document; edges: with statistics. */
int local_status(const struct state *s, bool edges, struct arena *a, const struct value **ret,
                 struct err *e);

/* The pod that a person means by "name", "ns/name" or the name of its workload: an exact name
 * first, then a pod of the workload, a ready one before others. Several namespaces that have one
 * are an error. */
int local_find_pod(const struct value *status, const char *text, const struct value **ret,
                   struct err *e);
/* Prints "error: demo/split.yaml:14: TrafficSplit bookstore/split: ..." for each finding. */
void local_print_findings(const struct value *status, FILE *to);

struct run_options;
/* Returns when the runtime answers: 1 for one that it started, 0 for one that is there or that
 * another `up` starts. */
int local_start_daemon(const struct state *s, const struct run_options *o, struct err *e);
/* Prints how the controller, and with `pods` they too, get ready; returns when all are, with an
 * error when that takes too long or the controller can't run. */
int local_watch_ready(const struct state *s, int64_t timeout_s, bool pods, struct err *e);

int local_up_run(const struct args *args, struct err *e);
int local_daemon_run(const struct args *args, struct err *e);
int local_status_run(const struct args *args, struct err *e);
int local_apply_run(const struct args *args, struct err *e);
int local_delete_run(const struct args *args, struct err *e);
int local_logs_run(const struct args *args, struct err *e);
int local_exec_run(const struct args *args, struct err *e);
int local_proxy_get_run(const struct args *args, struct err *e);
int local_down_run(const struct args *args, struct err *e);

extern const struct flag local_up_flags[], local_status_flags[], local_files_flags[],
    local_logs_flags[], local_exec_flags[];

static inline __attribute__((unused)) void state_done_auto(struct state *s)
{
    state_done(s);
}

#endif
