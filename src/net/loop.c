/* The event loop on libevent. */
#include "net/loop.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vec.h"

struct post {
    void (*fn)(void *arg);
    void (*drop)(void *arg); /* may be NULL */
    void *arg;
};

struct signal_watch {
    struct event *event;
    void (*fn)(void *arg, int signo);
    void *arg;
};

struct loop {
    struct event_base *base;
    int wake_fd;
    struct event *wake;
    pthread_mutex_t lock;
    VEC(struct post) posts; /* under lock */
    VEC(struct signal_watch *) signals;
};

struct loop_watch {
    struct loop *loop;
    struct event *event;
    int fd, events;
    void (*fn)(void *arg, int events);
    void *arg;
};

struct loop_timer {
    struct event *event;
    bool repeat;
    struct timeval every;
    void (*fn)(void *arg);
    void *arg;
};

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    uint64_t n;
    ssize_t got = read(l->wake_fd, &n, sizeof(n));
    (void)got; /* EAGAIN: a wake-up for posts that ran already */
    pthread_mutex_lock(&l->lock);
    __typeof__(l->posts) posts = l->posts;
    l->posts.at = NULL;
    l->posts.len = l->posts.cap = 0;
    pthread_mutex_unlock(&l->lock);
    VEC_EACH(posts, p) {
        p->fn(p->arg);
    }
    VEC_DONE(posts);
}

struct loop *loop_new(void)
{
    struct loop *l = NEW(struct loop);
    struct event_config *config = event_config_new();
    /* Each loop stays on one thread; loop_post has its own lock. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ASSERT(l->base && l->wake_fd >= 0);
    l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    event_add(l->wake, NULL);
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l) {
        return;
    }
    VEC_EACH(l->signals, s) {
        event_free((*s)->event);
        free(*s);
    }
    VEC_DONE(l->signals);
    VEC_EACH(l->posts, p) {
        if (p->drop) {
            p->drop(p->arg);
        }
    }
    VEC_DONE(l->posts);
    event_free(l->wake);
    close(l->wake_fd);
    event_base_free(l->base);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void loop_run(struct loop *l)
{
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_stop(struct loop *l)
{
    event_base_loopbreak(l->base);
}

void loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    loop_post_owned(l, fn, NULL, arg);
}

void loop_post_owned(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
    pthread_mutex_lock(&l->lock);
    bool first = l->posts.len == 0;
    VEC_PUSH(l->posts, (struct post){fn, drop, arg});
    pthread_mutex_unlock(&l->lock);
    if (first) {
        uint64_t one = 1;
        ssize_t n = write(l->wake_fd, &one, sizeof(one));
        (void)n; /* full means that a wake-up is pending */
    }
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct loop_watch *w = arg;
    int events = (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0);
    w->fn(w->arg, events);
}

struct loop_watch *loop_watch_new(struct loop *l, int fd, int events,
                                  void (*fn)(void *arg, int events), void *arg)
{
    struct loop_watch *w = NEW(struct loop_watch);
    *w = (struct loop_watch){.loop = l, .fd = fd, .fn = fn, .arg = arg};
    w->event = event_new(l->base, fd, EV_PERSIST, on_ready, w);
    loop_watch_set(w, events);
    return w;
}

void loop_watch_set(struct loop_watch *w, int events)
{
    if (events == w->events) {
        return;
    }
    event_del(w->event);
    short what = EV_PERSIST;
    what |= events & LOOP_READ ? EV_READ : 0;
    what |= events & LOOP_WRITE ? EV_WRITE : 0;
    w->events = events;
    if (events) {
        event_assign(w->event, w->loop->base, w->fd, what, on_ready, w);
        event_add(w->event, NULL);
    }
}

void loop_watch_free(struct loop_watch *w)
{
    if (w) {
        event_free(w->event);
        free(w);
    }
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *t = arg;
    if (t->repeat) {
        event_add(t->event, &t->every);
    }
    t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *l, int64_t ms, bool repeat, void (*fn)(void *arg),
                                  void *arg)
{
    struct loop_timer *t = NEW(struct loop_timer);
    *t = (struct loop_timer){.repeat = repeat, .fn = fn, .arg = arg};
    t->every = (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    t->event = evtimer_new(l->base, on_timeout, t);
    event_add(t->event, &t->every);
    return t;
}

void loop_timer_free(struct loop_timer *t)
{
    if (t) {
        event_free(t->event);
        free(t);
    }
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    struct signal_watch *s = arg;
    s->fn(s->arg, (int)signo);
}

void loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
    struct signal_watch *s = NEW(struct signal_watch);
    *s = (struct signal_watch){.fn = fn, .arg = arg};
    s->event = evsignal_new(l->base, signo, on_signal, s);
    event_add(s->event, NULL);
    VEC_PUSH(l->signals, s);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}
