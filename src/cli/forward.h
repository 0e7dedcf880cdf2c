/* A port of a pod, reached through the API server: `kubectl port-forward` as a child process, on a
 * free local port, for what listens on 127.0.0.1 in the pod only. */
#ifndef OSM_CLI_FORWARD_H
#define OSM_CLI_FORWARD_H

#include <stdint.h>

#include "cli/program.h"

struct forward {
    struct program program;
    uint16_t local_port;
};

/* target: "pod/NAME" or "service/NAME"; local_port 0: a free one. */
int forward_start(const char *namespace, const char *target, uint16_t port, uint16_t local_port,
                  struct forward *ret, struct err *e);
void forward_stop(struct forward *f);
static inline __attribute__((unused)) void forward_stop_auto(struct forward *f)
{
    forward_stop(f);
}

/* A page behind the forwarded port; method NULL: GET. ret is init'ed by this and done by the
 * caller also on failure. Returns the HTTP status, or -1. */
int forward_ask(const struct forward *f, const char *method, const char *page, struct buf *ret,
                struct err *e);

/* One page of a pod's port, forwarded for it alone. As forward_ask; an answer that isn't 200 is an
 * error that repeats it. */
int pod_page(const char *namespace, const char *pod, uint16_t port, const char *page,
             struct buf *ret, struct err *e);

#endif
