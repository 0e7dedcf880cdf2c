/* An event loop, one a thread. All but posting is for the loop's own thread. */
#ifndef OSM_NET_LOOP_H
#define OSM_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(void);
void loop_free(struct loop *l); /* watches and timers must be freed before */
/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Other threads may make no calls but these two: fn(arg) runs on the loop's thread soon, in the
 * order of the posts. What is still waiting when the loop is freed never runs. */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);
/* The same; drop(arg) is called in place of fn when it never runs. */
void loop_post_owned(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);

/* Readiness of a descriptor, which stays the caller's. Level-triggered. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch;
struct loop_watch *loop_watch_new(struct loop *l, int fd, int events,
                                  void (*fn)(void *arg, int events), void *arg);
void loop_watch_set(struct loop_watch *w, int events); /* 0 pauses */
void loop_watch_free(struct loop_watch *w);            /* takes NULL; allowed in its own callback */

/* Monotonic timers. */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, int64_t ms, bool repeat, void (*fn)(void *arg),
                                  void *arg);
void loop_timer_free(struct loop_timer *t); /* takes NULL; allowed in its own callback */

/* Signals; one callback a signal, for the life of the loop. */
void loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

/* libevent's base, for the rest of net/. */
struct event_base;
struct event_base *loop_base(struct loop *l);

#endif
