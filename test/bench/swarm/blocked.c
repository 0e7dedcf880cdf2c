/* Readers that block the controller's writes, and the proof that they did. */
#include "blocked.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { LOOK_MS = 100 };

static void fail(const struct blocked *b, const char *what, int n)
{
    if (n > 0) {
        b->run->failures++;
        fprintf(stderr, "%s: of %d readers %d %s\n", b->what, b->n, n, what);
    }
}

static struct seat *seat(const struct blocked *b, int i)
{
    return &b->run->fleet.members[i];
}

void blocked_init(struct blocked *b, struct run *r, const char *what, enum link_manner manner,
                  int n)
{
    *b = (struct blocked){.run = r, .what = what, .manner = manner, .n = n};
    b->left = mem_zalloc((size_t)n * sizeof(*b->left));
    for (int i = 0; i < n; i++) {
        fleet_exempt(&r->fleet, i, true);
        fleet_close(&r->fleet, i);
    }
}

void blocked_done(struct blocked *b)
{
    for (int i = 0; i < b->n; i++) {
        fleet_exempt(&b->run->fleet, i, false);
        fleet_open(&b->run->fleet, i);
    }
    run_settle(b->run, b->what);
    free(b->left);
}

static int64_t deadline(const struct blocked *b)
{
    return clock_mono_ms() + b->run->o.patience_s * INT64_C(1000);
}

static int count_open(const struct blocked *b)
{
    int n = 0;
    for (int i = 0; i < b->n; i++) {
        n += link_is_open(seat(b, i)->link);
    }
    return n;
}

void blocked_open(struct blocked *b, bool known)
{
    for (int i = 0; i < b->n; i++) {
        if (!known) {
            fleet_forget(&b->run->fleet, i);
        }
        link_set_manner(seat(b, i)->link, b->manner);
        fleet_open(&b->run->fleet, i);
    }
    for (int64_t until = deadline(b); count_open(b) < b->n && clock_mono_ms() < until;) {
        fleet_idle(&b->run->fleet, LOOK_MS);
    }
}

/* How much has left the controller for each: what it read, and what the kernel holds. The number of
 * those for whom that is as much as there is room for, and what it was before. */
static int look(struct blocked *b)
{
    static uint32_t queued[USAGE_PORTS];
    uint64_t least = b->manner == LINK_LEAVES ? LINK_ROOM : LINK_WINDOW;
    int stuck = 0;
    usage_queued(b->run->controlled.port, queued);
    for (int i = 0; i < b->n; i++) {
        const struct link *l = seat(b, i)->link;
        uint64_t left = link_bytes(l) + queued[link_port(l)];
        stuck += link_is_open(l) && left >= least && left == b->left[i];
        b->left[i] = left;
    }
    return stuck;
}

void blocked_wait(struct blocked *b)
{
    int64_t until = deadline(b);
    b->lost = b->run->fleet.lost;
    look(b);
    do {
        fleet_idle(&b->run->fleet, LOOK_MS);
    } while (look(b) < b->n && clock_mono_ms() < until);
}

/* The rest of its first response hadn't left yet. */
static bool was_blocked(const struct blocked *b, int i)
{
    return seat(b, i)->proxy.first_bytes > b->left[i];
}

static bool was_queued_for(const struct proxy *p)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        if (p->types[t].responses > 2) {
            return true;
        }
    }
    return false;
}

/* What had left the controller for one, and what there was to take; the mean. */
static void say_proof(const struct blocked *b)
{
    double left = 0, whole = 0;
    for (int i = 0; i < b->n; i++) {
        left += (double)b->left[i] / b->n;
        whole += (double)seat(b, i)->proxy.first_bytes / b->n;
    }
    run_say_head(b->run, "blocked");
    run_say("bad", b->n);
    run_say("left_bytes", left);
    run_say("response_bytes", whole);
    run_say_end();
}

void blocked_end(struct blocked *b)
{
    struct fleet *f = &b->run->fleet;
    int free_ones = 0, queued = 0;
    look(b);
    fail(b, "were lost", (int)(f->lost - b->lost));
    for (int i = 0; i < b->n; i++) {
        link_set_manner(seat(b, i)->link, LINK_READS);
        fleet_exempt(f, i, false);
    }
    run_settle(b->run, b->what);
    fleet_idle(f, QUIET_MS);
    say_proof(b);
    for (int i = 0; i < b->n; i++) {
        free_ones += !was_blocked(b, i);
        queued += was_queued_for(&seat(b, i)->proxy);
        fleet_exempt(f, i, true);
        fleet_close(f, i);
    }
    fail(b, "took a whole response", free_ones);
    fail(b, "were sent more than two responses of a type", queued);
}
