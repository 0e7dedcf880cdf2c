/* Delivers books to stores and keeps the number in the database.
 *
 * PORT      where it listens (14001): POST /deliver
 * DATABASE  where the numbers are (bookdb.bookwarehouse:14003)
 *
 * Counts "delivered" and "failed" (the database didn't answer). */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

enum { DATABASE_TIMEOUT_S = 5 };

/* Orders that the database wasn't asked about yet, or hasn't answered; in order. */
struct order {
    struct evhttp_request *request;
    struct order *next;
};

static struct event_base *base;
static struct bufferevent *database;
static char db_host[256];
static int db_port;
static struct order *first, **last = &first;

static struct evhttp_request *next_order(void)
{
    struct order *o = first;
    struct evhttp_request *q = o->request;
    first = o->next;
    last = first ? last : &first;
    free(o);
    return q;
}

static void on_data(struct bufferevent *bev, void *arg)
{
    char *line;
    while (first && (line = evbuffer_readln(bufferevent_get_input(bev), NULL, EVBUFFER_EOL_LF))) {
        long long n = atoll(line);
        app_count(n > 0 ? "delivered" : "failed");
        app_reply(next_order(), n > 0 ? 200 : 502, "{\"delivered\": %lld}\n", n);
        free(line);
    }
}

/* What it was asked is lost; the next order connects anew. */
static void on_end(struct bufferevent *bev, short what, void *arg)
{
    if (what & BEV_EVENT_CONNECTED) {
        return;
    }
    bufferevent_free(bev);
    database = NULL;
    while (first) {
        app_count("failed");
        app_reply(next_order(), 502, "{\"error\": \"the database is gone\"}\n");
    }
}

static void connect_database(void)
{
    const struct timeval timeout = {DATABASE_TIMEOUT_S, 0};
    database = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    bufferevent_setcb(database, on_data, NULL, on_end, NULL);
    bufferevent_set_timeouts(database, NULL, &timeout);
    bufferevent_enable(database, EV_READ | EV_WRITE);
    bufferevent_socket_connect_hostname(database, NULL, AF_INET, db_host, db_port);
}

static void on_deliver(struct evhttp_request *q, void *arg)
{
    const char *store = evhttp_find_header(evhttp_request_get_input_headers(q), "client-app");
    struct order *o = malloc(sizeof(*o));
    *o = (struct order){.request = q};
    *last = o;
    last = &o->next;
    if (!database) {
        connect_database();
    }
    evbuffer_add_printf(bufferevent_get_output(database), "INCR delivered/%.64s\n",
                        store ? store : "?");
}

int main(void)
{
    const char *address = app_setting("DATABASE", "bookdb.bookwarehouse:14003");
    base = app_start();
    if (sscanf(address, "%255[^:]:%d", db_host, &db_port) != 2) {
        fprintf(stderr, "DATABASE: expected HOST:PORT, found \"%s\"\n", address);
        return 2;
    }
    evhttp_set_cb(app_serve(base, app_number("PORT", 14001, 65535)), "/deliver", on_deliver, NULL);
    printf("bookwarehouse: open\n");
    return app_run(base);
}
