/* Proxies for which the controller has more than it can write: they don't read, or grant no window.
 * That it is so is proved: at the end it still has the rest of a response for each. Where it
 * hasn't, that counts as a failure of the run. */
#ifndef BENCH_SWARM_BLOCKED_H
#define BENCH_SWARM_BLOCKED_H

#include "run.h"

struct blocked {
    struct run *run;
    const char *what; /* the step, for words about failures */
    enum link_manner manner;
    int n;          /* seats 0 to n - 1 */
    uint64_t *left; /* for each: bytes that have left the controller */
    uint64_t lost;  /* the fleet's, when all were stuck */
};

/* Nobody waits for them any more, and they go away. */
void blocked_init(struct blocked *b, struct run *r, const char *what, enum link_manner manner,
                  int n);
/* They are as all others again. */
void blocked_done(struct blocked *b);

/* They connect; known: with what they hold. */
void blocked_open(struct blocked *b, bool known);
/* Waits until the controller is stuck with each: nothing leaves it any more. */
void blocked_wait(struct blocked *b);
/* It still is. Then they read, until they hold what they should; a response of a type was on its
 * way to each at most, and the newest followed. They go away. */
void blocked_end(struct blocked *b);

#endif
