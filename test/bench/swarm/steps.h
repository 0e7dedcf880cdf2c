/* What a run may do; step is its name in --steps (swarm.c has the list). */
#ifndef BENCH_SWARM_STEPS_H
#define BENCH_SWARM_STEPS_H

#include "run.h"

void step_start(struct run *r);
/* known: they still hold what they had. */
void step_reconnect(struct run *r, bool known);
/* One of the changes of manifests, --rounds times. */
void step_change(struct run *r, const char *step);
/* Manifests of one, each time in another form, and what their file is called, on the heap; NULL:
 * there is no such. */
char *step_write_change(struct run *r, const char *step, struct buf *b);
void step_workload(struct run *r, const char *step);
typedef VEC(int) seat_vec;
/* A pod is gone and its proxy with it; another will be in its place. */
void step_take_away(struct run *r, int i);
/* The others come, one after the other, and their proxies connect. Says how that went;
 * how many proxies besides their own must hear of them. */
int step_replace(struct run *r, const seat_vec *seats, const char *what);
void step_churn(struct run *r, const char *step);
void step_rest(struct run *r, const char *step);

void step_certificate(struct run *r, const char *step);
void step_root(struct run *r, const char *step);

enum bad { BAD_REFUSES, BAD_DROPS };
void step_beside(struct run *r, const char *what, enum bad how);
void step_beside_blocked(struct run *r, const char *what, enum link_manner manner);
void step_unread(struct run *r, const char *what, enum link_manner manner);

/* The last: all disconnect. */
void step_floor(struct run *r, const char *step);

#endif
