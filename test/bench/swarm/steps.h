/* What a run may do (swarm.c has the list). */
#ifndef BENCH_SWARM_STEPS_H
#define BENCH_SWARM_STEPS_H

#include "run.h"

enum bad { BAD_REFUSES, BAD_DROPS };

struct step {
    const char *name; /* in --steps */
    void (*run)(struct run *r, const struct step *step);
    const char *what; /* in its figures, unless that is the name */
    union {
        bool known;               /* step_reconnect: they still hold what they had */
        enum bad bad;             /* step_beside */
        enum link_manner blocked; /* step_beside_blocked, step_unread */
    };
};

/* The first, which isn't in the list: all connect. */
void step_start(struct run *r);
void step_reconnect(struct run *r, const struct step *step);
/* The change of manifests that is called as the step, --rounds times. */
void step_change(struct run *r, const struct step *step);
/* Manifests of one, each time in another form, and what their file is called, on the heap; NULL:
 * there is no such. */
char *step_write_change(struct run *r, const char *change, struct buf *b);
void step_workload(struct run *r, const struct step *step);
typedef VEC(int) seat_vec;
/* A pod is gone and its proxy with it; another will be in its place. */
void step_take_away(struct run *r, int i);
/* The others come, one after the other, and their proxies connect. Says how that went;
 * how many proxies besides their own must hear of them. */
int step_replace(struct run *r, const seat_vec *seats, const char *what);
void step_churn(struct run *r, const struct step *step);
void step_rest(struct run *r, const struct step *step);

void step_certificate(struct run *r, const struct step *step);
void step_root(struct run *r, const struct step *step);

void step_beside(struct run *r, const struct step *step);
void step_beside_blocked(struct run *r, const struct step *step);
void step_unread(struct run *r, const struct step *step);

/* The last: all disconnect. */
void step_floor(struct run *r, const struct step *step);

#endif
