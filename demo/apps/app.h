/* What the bookstore's programs share: settings from the environment, counters that a page shows,
 * an HTTP server and one-at-a-time HTTP calls. On libevent; one thread. */
#ifndef BOOKSTORE_APP_H
#define BOOKSTORE_APP_H

#include <event2/event.h>
#include <event2/http.h>
#include <stdint.h>

/* The value of an environment variable, or what is given when there is none. */
const char *app_setting(const char *name, const char *otherwise);
/* The same for numbers from 1 to max; anything else ends the program with a message. */
int app_number(const char *name, int otherwise, int max);

/* Makes the event base, serves GET /counters on COUNTERS_PORT (14002), ends on SIGTERM. */
struct event_base *app_start(void);
/* Serves until the end; the exit code. */
int app_run(struct event_base *base);

/* Adds one to a counter that GET /counters shows as {"<name>": <count>, ...}. */
uint64_t app_count(const char *name);

/* An HTTP server on a port; ends the program when the port is taken. */
struct evhttp *app_serve(struct event_base *base, int port);
/* Answers with a JSON text. */
void app_reply(struct evhttp_request *q, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A service that is called at "host:port", over one connection that is kept. */
struct app_peer;
struct app_peer *app_peer_new(struct event_base *base, const char *address);
/* status 0: no answer. The body is NUL-terminated and lasts for the call. */
typedef void app_answer_fn(void *arg, int status, const char *body);
void app_call(struct app_peer *peer, enum evhttp_cmd_type method, const char *path,
              const char *client, app_answer_fn *done, void *arg);

#endif
