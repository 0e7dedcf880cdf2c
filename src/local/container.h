/* One container of a running pod: started, watched, probed, started again. On the loop's thread. */
#ifndef OSM_LOCAL_CONTAINER_H
#define OSM_LOCAL_CONTAINER_H

#include "kinds/core.h"
#include "local/backoff.h"
#include "local/logs.h"
#include "local/probe.h"

struct pod_run;

enum container_state { CONTAINER_WAITING, CONTAINER_RUNNING, CONTAINER_EXITED };

struct container_run {
    struct pod_run *pod;
    const struct container *spec;
    enum container_state state;
    pid_t pid;     /* while running */
    int ns_mnt;    /* its mounts, while running; -1 */
    int exit_code; /* 128 + signal number when a signal ended it */
    int restarts;
    bool started_once; /* then a start is a restart */
    bool stopping;     /* told to end: not started again */
    int64_t started_ms;
    struct backoff backoff;
    struct log_file *log;
    struct prober *readiness, *liveness, *startup;
    char *reason; /* why it doesn't run; NULL */
};

void container_init(struct container_run *c, struct pod_run *pod, const struct container *spec);
void container_done(struct container_run *c);
/* Starts it when that is due; a failure becomes the reason and is tried again later. */
void container_start(struct container_run *c, int64_t now_ms);
/* Probes: also restarts it when its liveness probe fails. */
void container_tick(struct container_run *c, int64_t now_ms);
bool container_ready(const struct container_run *c);
void container_stop(struct container_run *c, int signo);
/* What it waits for or suffers from, "" when all is well. */
void container_describe(const struct container_run *c, char *out, size_t size);

#endif
