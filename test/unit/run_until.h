/* Waiting on a loop for what should come true. */
#ifndef OSM_TEST_RUN_UNTIL_H
#define OSM_TEST_RUN_UNTIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "net/loop.h"

enum { PATIENCE_MS = 60000 }; /* only what hangs takes so long */

struct until {
    struct loop *loop;
    bool (*ready)(void *arg);
    void *arg;
    int64_t deadline;
};

static inline void until_look(void *arg)
{
    struct until *u = arg;
    if (u->ready(u->arg) || clock_mono_ms() > u->deadline) {
        loop_stop(u->loop);
    }
}

/* Runs the loop until ready(arg), and once in any case: what mustn't happen has the time to. False:
 * it did not come true. */
static inline bool run_until(struct loop *loop, bool (*ready)(void *arg), void *arg)
{
    struct until u = {loop, ready, arg, clock_mono_ms() + PATIENCE_MS};
    struct loop_timer *t = loop_timer_new(loop, 2, true, until_look, &u);
    loop_run(loop);
    loop_timer_free(t);
    return ready(arg);
}

#endif
