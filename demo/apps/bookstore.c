/* Sells books that it orders from the warehouse, one for each sale.
 *
 * NAME       which version answers (bookstore-v1)
 * PORT       where it sells (14001): GET /buy-a-book/new, GET /books-bought
 * WAREHOUSE  where it orders (bookwarehouse.bookwarehouse:14001)
 *
 * Counts "sold" and "failed" (the warehouse didn't deliver). */
#include <stdio.h>

#include "app.h"

static const char *name;
static struct app_peer *warehouse;
static uint64_t sold;

static void on_delivery(void *arg, int status, const char *body)
{
    if (status != 200) {
        app_count("failed");
        app_reply(arg, 502, "{\"store\": \"%s\", \"error\": \"the warehouse said %d\"}\n", name,
                  status);
        return;
    }
    sold = app_count("sold");
    app_reply(arg, 200, "{\"store\": \"%s\", \"sold\": %llu}\n", name, (unsigned long long)sold);
}

static void on_buy(struct evhttp_request *q, void *arg)
{
    /* It is answered once the warehouse delivered, also when the client has gone meanwhile. */
    app_call(warehouse, EVHTTP_REQ_POST, "/deliver", name, on_delivery, q);
}

static void on_bought(struct evhttp_request *q, void *arg)
{
    app_reply(q, 200, "{\"store\": \"%s\", \"sold\": %llu}\n", name, (unsigned long long)sold);
}

int main(void)
{
    struct event_base *base = app_start();
    name = app_setting("NAME", "bookstore-v1");
    warehouse = app_peer_new(base, app_setting("WAREHOUSE", "bookwarehouse.bookwarehouse:14001"));
    struct evhttp *server = app_serve(base, app_number("PORT", 14001, 65535));
    evhttp_set_cb(server, "/buy-a-book/new", on_buy, NULL);
    evhttp_set_cb(server, "/books-bought", on_bought, NULL);
    printf("%s: open\n", name);
    return app_run(base);
}
