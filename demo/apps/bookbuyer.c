/* Buys a book again and again; the same program is the thief, under another name.
 *
 * NAME         who it says it is (bookbuyer)
 * BOOKSTORE    where it buys (bookstore.bookstore:14001)
 * PAGE         what it asks for (/buy-a-book/new)
 * INTERVAL_MS  time between two attempts (20)
 *
 * Counts "bought", "bought from <store>", "refused" (403) and "failed" (anything else). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

struct buyer {
    const char *name, *page;
    struct app_peer *store;
    struct event *timer;
    struct timeval interval;
};

static void count_purchase(const char *body)
{
    char store[48] = "?", counter[64];
    const char *at = strstr(body, "\"store\": \"");
    if (at) {
        sscanf(at + strlen("\"store\": \""), "%47[^\"]", store);
    }
    snprintf(counter, sizeof(counter), "bought from %s", store);
    app_count("bought");
    app_count(counter);
}

static void on_answer(void *arg, int status, const char *body)
{
    struct buyer *b = arg;
    if (status == 200) {
        count_purchase(body);
    } else {
        uint64_t n = app_count(status == 403 ? "refused" : "failed");
        /* The first ones are of interest, not thousands. */
        if (n <= 3) {
            printf("%s: status %d: %.200s\n", b->name, status, body);
        }
    }
    event_add(b->timer, &b->interval);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct buyer *b = arg;
    app_call(b->store, EVHTTP_REQ_GET, b->page, b->name, on_answer, b);
}

int main(void)
{
    struct event_base *base = app_start();
    int ms = app_number("INTERVAL_MS", 20, 60000);
    struct buyer b = {.name = app_setting("NAME", "bookbuyer"),
                      .page = app_setting("PAGE", "/buy-a-book/new"),
                      .store =
                          app_peer_new(base, app_setting("BOOKSTORE", "bookstore.bookstore:14001")),
                      .interval = {ms / 1000, ms % 1000 * 1000}};
    b.timer = evtimer_new(base, on_timer, &b);
    event_add(b.timer, &b.interval);
    printf("%s: buys every %d ms\n", b.name, ms);
    return app_run(base);
}
