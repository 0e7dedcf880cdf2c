/* A run of the swarm: the controller, the oracle, the proxies, and the figures that it says, each
 * as a line of JSON. */
#ifndef BENCH_SWARM_RUN_H
#define BENCH_SWARM_RUN_H

#include "controlled.h"
#include "fleet.h"
#include "usage.h"

struct options {
    struct world world;
    const char *controller;
    int shards, rounds, bad, pairs, churn, patience_s;
    double delta;
    bool moves_clock, resume, keep;
};

/* What the last change of a kind sent, for the floor to send again. */
struct push {
    const char *what;
    int hear;
    uint64_t bytes_each;
};
enum { PUSHES_MAX = 16 }; /* kinds of changes, and some to spare */

struct run {
    struct options o;
    struct controlled controlled;
    struct oracle *oracle;
    struct fleet fleet;
    int failures;
    int replaced;        /* pods, and those that were passed over */
    bool disconnected;   /* by the floor's step: nobody holds anything any more */
    uint64_t full_bytes; /* of a whole configuration */
    struct push pushes[PUSHES_MAX];
    int n_pushes;
};

/* What is waited for after a change, for whatever comes late; how long the controller takes to give
 * back memory. */
enum { QUIET_MS = 300, CALM_MS = 16000 };

/* What was used and received up to a moment. */
struct mark {
    struct usage_cpu cpu;
    struct proxy_counts counts;
    uint64_t bytes, lost;
    int64_t own_ns;
};
struct mark run_mark(const struct run *r);

/* A line begins with what it is of, holds numbers, and ends. */
void run_say_head(const struct run *r, const char *what);
void run_say(const char *name, double value);
void run_say_since(const struct run *r, const struct mark *m);
void run_say_spread(struct spread s);
void run_say_memory(const struct run *r);
void run_say_end(void);

/* Waits until all hold what they should; false: counts a failure and says who doesn't. Something
 * wrong ends it at once. */
bool run_settle(struct run *r, const char *what);
/* Between steps, without waiting: one that doesn't hold what it should counts as a failure. */
void run_at_rest(struct run *r);
/* What is to come is known to the oracle and hasn't begun; how many must hear of it. */
struct mark run_begin_change(struct run *r, int *hear);
/* Counts a failure when it's nobody: the change would measure nothing. */
void run_must_hear(struct run *r, const char *what, int hear);
/* It has begun. what: a literal; alone: answers were held back; bad: how many bad neighbours there
 * are, < 0: nobody asks, and the floor is asked the same later. */
void run_end_change(struct run *r, const char *what, const struct mark *m, int hear, bool alone,
                    int bad);

#endif
