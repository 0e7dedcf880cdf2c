/* The same bytes to the same number of connections by a bare loop, and a bare storm of handshakes.
 */
#include <stdio.h>

#include "base/clock.h"
#include "floor.h"
#include "steps.h"

/* An acknowledgement of endpoints, as the swarm's proxies send it; the floor varies less than what
 * is measured against it. */
enum { ANSWER_BYTES = 120, ROUNDS_MAX = 10 };

static void on_bare(void *arg, struct link *l)
{
}

static void on_bare_lost(void *arg, struct link *l, const char *why)
{
    fprintf(stderr, "floor: connection %d lost: %s\n", link_index(l), why);
    exit(1);
}

/* What a change sent to those that heard of it: CPU of the writers, and when the last had it. */
static void floor_push(struct run *r, struct floor *f, struct link_options *o,
                       const struct push *push, bool answers)
{
    uint64_t bytes = push->bytes_each;
    o->push_bytes = bytes;
    o->answer_bytes = answers ? ANSWER_BYTES : 0;
    for (int i = 0; bytes > 0 && i < r->o.rounds && i < ROUNDS_MAX; i++) {
        int64_t cpu = usage_cpu(floor_pid(f)).all_ns, began = clock_mono_us();
        uint64_t due = link_bytes_total() + bytes * (uint64_t)push->hear;
        floor_write(f, push->hear, bytes, answers);
        while (link_bytes_total() < due) {
            link_poll(50);
        }
        double ms = (double)(clock_mono_us() - began) / 1000;
        while (!floor_idle(f)) {
            link_poll(1);
        }
        char what[64];
        snprintf(what, sizeof(what), "floor_%s%s", push->what, answers ? "_answered" : "");
        run_say_head(r, what);
        run_say("hear", push->hear);
        run_say("bytes_each", (double)bytes);
        run_say("max_ms", ms);
        run_say("cpu_ms", (double)(usage_cpu(floor_pid(f)).all_ns - cpu) / 1e6);
        run_say_end();
    }
}

/* The proxies make room for it: a process has so many descriptors. */
void step_floor(struct run *r, const struct step *step)
{
    uint16_t port;
    run_at_rest(r);
    r->disconnected = true;
    for (int i = 0; i < r->fleet.n; i++) {
        fleet_close(&r->fleet, i);
    }
    struct floor *f = floor_start(r->o.shards, r->fleet.n, &port);
    struct link_options o = {.address = r->fleet.options.address,
                             .tls = certs_client_context(false),
                             .bare = true,
                             .on_response = on_bare,
                             .on_lost = on_bare_lost};
    o.address.sin_port = htons(port);
    struct link **links = mem_array(NULL, (size_t)r->fleet.n, sizeof(*links));
    int64_t began = clock_mono_us();
    for (int i = 0; i < r->fleet.n; i++) {
        struct seat *x = &r->fleet.members[i];
        links[i] = link_new(&o, &x->proxy, &x->credential, i);
        link_open(links[i]);
        if (i % 64 == 63) {
            link_poll(0);
        }
    }
    while (!floor_connected(f)) {
        link_poll(50);
    }
    run_say_head(r, "floor_connect");
    run_say("max_ms", (double)(clock_mono_us() - began) / 1000);
    run_say("cpu_ms", (double)usage_cpu(floor_pid(f)).all_ns / 1e6);
    run_say_end();
    for (int i = 0; i < r->n_pushes; i++) {
        floor_push(r, f, &o, &r->pushes[i], false);
        floor_push(r, f, &o, &r->pushes[i], true);
    }
    floor_push(r, f, &o, &(struct push){"full", r->fleet.n, r->full_bytes}, false);
    for (int i = 0; i < r->fleet.n; i++) {
        link_free(links[i]);
    }
    free(links);
    floor_free(f);
    SSL_CTX_free(o.tls);
}
