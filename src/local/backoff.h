/* How long to wait before the next attempt: twice as long each time, up to a limit; from the start
 * again after a good while. Times are monotonic, ms. */
#ifndef OSM_LOCAL_BACKOFF_H
#define OSM_LOCAL_BACKOFF_H

#include <stdint.h>

struct backoff {
    int failures;
    int64_t next; /* not before */
};

/* The first attempt after a failure comes at once if the program had run for a while. */
enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MAX_MS = 30000, BACKOFF_FORGET_MS = 60000 };

/* ran_ms: how long it ran before it failed. */
static inline void backoff_failed(struct backoff *b, int64_t now, int64_t ran_ms)
{
    if (ran_ms >= BACKOFF_FORGET_MS) {
        b->failures = 0;
    }
    int64_t wait = BACKOFF_FIRST_MS;
    for (int i = 0; i < b->failures && wait < BACKOFF_MAX_MS; i++) {
        wait *= 2;
    }
    b->failures++;
    b->next = now + (wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
}

/* What may have been the reason was changed: the next attempt comes at once. */
static inline void backoff_reset(struct backoff *b)
{
    *b = (struct backoff){0};
}

#endif
