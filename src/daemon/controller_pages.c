/* Health and status of the controller. */
#include <string.h>

#include "base/limits.h"
#include "daemon/controller.h"
#include "observe/pages.h"
#include "observe/status.h"

const char *controller_why_not_ready(const struct controller *c)
{
    if (c->ending) {
        return "the controller is ending";
    }
    if (!c->ads) {
        return "the discovery service doesn't listen yet";
    }
    return source_in_sync(c->source) ? NULL : "not all objects of the mesh were read yet";
}

void controller_on_ready(void *arg, struct http_request *q)
{
    pages_reply_health(q, controller_why_not_ready(arg));
}

static void on_pong(void *arg)
{
    pages_reply_health(arg, NULL);
}

/* This answer alone shows that the brain's loop turns; it comes when those of all shards do. */
void controller_on_alive(void *arg, struct http_request *q)
{
    struct controller *c = arg;
    if (c->ads) {
        ads_ping(c->ads, on_pong, q);
    } else {
        pages_reply_health(q, NULL);
    }
}

struct status_query {
    struct controller *controller;
    struct http_request *request;
    VEC(uint64_t) digests; /* when it was asked: the sidecars' states are later */
};

static void on_status_collected(void *arg, const struct ads_status *s)
{
    struct status_query *q = arg;
    struct controller *c = q->controller;
    struct status_teller teller = {.name = getenv("CONTROLLER_POD_NAME"),
                                   .ready = controller_why_not_ready(c),
                                   .writes = c->writes,
                                   .root = issuer_id(c->issuer),
                                   .root_expires = issuer_expires(c->issuer)};
    struct buf out;
    buf_init(&out, LIMIT_CONTROL_REPLY_BYTES);
    status_write(&teller, c->mesh, s, source_findings(c->source), q->digests.at, q->digests.len,
                 &out);
    http_reply(q->request, 200, "application/json", buf_str(&out));
    buf_done(&out);
    VEC_DONE(q->digests);
    free(q);
}

void controller_on_status(void *arg, struct http_request *request)
{
    struct controller *c = arg;
    struct status_query *q = NEW(struct status_query);
    *q = (struct status_query){.controller = c, .request = request};
    for (size_t i = 0; c->mode->digest && i < c->flags->sources.len; i++) {
        VEC_PUSH(q->digests, c->mode->digest(c, i));
    }
    ads_collect_status(c->ads, on_status_collected, q);
}
