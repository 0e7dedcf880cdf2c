/* A small database over TCP: numbers by name, in memory. A line is a command, a line is its answer:
 *
 *   INCR NAME   adds one and answers with the number
 *   GET NAME    answers with the number, 0 when there is none
 *
 * PORT  where it listens (14003). Counts "queries". */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

enum { ROWS_MAX = 1000, LINE_MAX_BYTES = 256 };

static struct {
    char name[LINE_MAX_BYTES];
    long long number;
} rows[ROWS_MAX];

/* The row of a name, a new one if need be; -1 when the table is full. */
static int row_of(const char *name)
{
    for (int i = 0; i < ROWS_MAX; i++) {
        if (rows[i].name[0] == '\0') {
            snprintf(rows[i].name, sizeof(rows[i].name), "%s", name);
        }
        if (strcmp(rows[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void answer(struct evbuffer *out, const char *line)
{
    char verb[8], name[LINE_MAX_BYTES];
    int row = -1;
    app_count("queries");
    if (strlen(line) < LINE_MAX_BYTES && sscanf(line, "%7s %255s", verb, name) == 2) {
        row = row_of(name);
    }
    if (row >= 0 && strcmp(verb, "INCR") == 0) {
        evbuffer_add_printf(out, "%lld\n", ++rows[row].number);
    } else if (row >= 0 && strcmp(verb, "GET") == 0) {
        evbuffer_add_printf(out, "%lld\n", rows[row].number);
    } else {
        evbuffer_add_printf(out, "error: expected INCR NAME or GET NAME\n");
    }
}

static void on_data(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    char *line;
    while ((line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF))) {
        answer(bufferevent_get_output(bev), line);
        free(line);
    }
    if (evbuffer_get_length(in) > LINE_MAX_BYTES) {
        bufferevent_free(bev);
    }
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
    bufferevent_free(bev);
}

static void on_client(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len,
                      void *base)
{
    struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(bev, on_data, NULL, on_end, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int main(void)
{
    struct event_base *base = app_start();
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)app_number("PORT", 14003, 65535))};
    if (!evconnlistener_new_bind(base, on_client, base, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE,
                                 -1, (struct sockaddr *)&at, sizeof(at))) {
        perror("bookdb: can't listen");
        return 1;
    }
    printf("bookdb: open\n");
    return app_run(base);
}
