/* Health probes of a container, made inside its pod: HTTP and TCP to the pod's loopback address, or
 * a command beside the container. gRPC probes only connect. On the loop's thread. */
#ifndef OSM_LOCAL_PROBE_H
#define OSM_LOCAL_PROBE_H

#include "kinds/core.h"
#include "local/children.h"
#include "net/loop.h"

/* Counts results as Kubernetes does: true after success_threshold successes in a row, false after
 * failure_threshold failures in a row, what it was in between. Pure. */
struct probe_count {
    bool good, decided; /* decided: a threshold was reached since the start */
    int64_t successes, failures;
};
void probe_count_add(struct probe_count *c, const struct probe *spec, bool success);

/* Where a probe goes. */
struct probe_target {
    struct loop *loop;
    struct children *children;
    const struct container *container; /* for ports by name */
    int netns_fd;
    /* Starts an exec probe's command in the container. */
    int (*exec)(void *arg, const struct strs *command, pid_t *ret, struct err *e);
    void *arg;
};

struct prober;
struct prober *prober_new(const struct probe *spec, const struct probe_target *target,
                          int64_t now_ms);
void prober_free(struct prober *p);
/* Starts an attempt when one is due, gives one up that takes too long. */
void prober_tick(struct prober *p, int64_t now_ms);
const struct probe_count *prober_count(const struct prober *p);
/* What the last failure was: "GET /health on port 80: status 503"; "" when it was a success. */
const char *prober_detail(const struct prober *p);

#endif
