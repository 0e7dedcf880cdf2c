/* Proxies that read nothing, refuse everything or hang up, and what the others notice. */
#include "blocked.h"
#include "steps.h"

static int count_bad(const struct run *r)
{
    return r->o.bad < r->fleet.n ? r->o.bad : r->fleet.n - 1;
}

static void say_memory(const struct run *r, const char *what, int changes)
{
    run_say_head(r, what);
    run_say("changes", changes);
    run_say_memory(r);
    run_say_end();
}

struct change {
    char *file;
    struct buf text;
    struct mark begun;
    int hear;
};

static struct change prepare(struct run *r, const char *what, const char *kind)
{
    struct change c = {0};
    buf_init(&c.text, 64u << 20);
    c.file = step_write_change(r, kind, &c.text);
    oracle_put(r->oracle, buf_str(&c.text));
    c.begun = run_begin_change(r, &c.hear);
    run_must_hear(r, what, c.hear);
    return c;
}

static void make_true(struct run *r, const char *what, struct change *c, int bad)
{
    controlled_write(&r->controlled, c->file, &c->text);
    run_end_change(r, what, &c->begun, c->hear, false, bad);
    buf_done(&c->text);
    free(c->file);
}

/* --- those that don't read --- */

/* An endpoint's change by turns without and beside readers that block, in pairs whose order
 * changes: whatever else the machine does falls on both. Without: they aren't connected. */
void step_beside_blocked(struct run *r, const struct step *step)
{
    struct blocked b;
    blocked_init(&b, r, step->what, step->blocked, count_bad(r));
    r->fleet.reconnect = true;
    for (int i = 0; r->failures == 0 && i < 2 * r->o.pairs; i++) {
        bool first = i % 2 == 0, swapped = i / 2 % 2 == 1, beside = first == swapped;
        if (beside) {
            blocked_open(&b, false);
            blocked_wait(&b);
        }
        struct change c = prepare(r, step->what, "endpoint");
        make_true(r, step->what, &c, beside ? b.n : 0);
        if (beside) {
            blocked_end(&b);
        }
        fleet_idle(&r->fleet, QUIET_MS);
    }
    blocked_done(&b);
    r->fleet.reconnect = false;
}

/* Change after change while they don't read: what that costs in memory, and that nothing is queued.
 * Those without a window know all, so that they can't take the first change; the others nothing. Of
 * memory that says first how it was when they read, then before and after each change. */
void step_unread(struct run *r, const struct step *step)
{
    enum { CHANGES = 7 }; /* a slice of two, three or ten forms isn't as it was before the first */
    const char *kind = r->o.world.policy == WORLD_HOT ? "endpoint" : "tenth";
    bool known = step->blocked == LINK_NO_WINDOW;
    struct blocked b;
    say_memory(r, step->what, -1);
    blocked_init(&b, r, step->what, step->blocked, count_bad(r));
    r->fleet.reconnect = true;
    blocked_open(&b, known);
    for (int i = 0; r->failures == 0 && i < CHANGES; i++) {
        if (i == !!known) {
            blocked_wait(&b);
        }
        say_memory(r, step->what, i);
        struct change c = prepare(r, step->what, kind);
        make_true(r, "while_unread", &c, b.n);
    }
    say_memory(r, step->what, CHANGES);
    blocked_end(&b);
    blocked_done(&b);
    r->fleet.reconnect = false;
}

/* --- those that misbehave --- */

static void be_bad(struct run *r, int i, enum bad how, bool on)
{
    switch (how) {
    case BAD_REFUSES:
        r->fleet.members[i].proxy.refuses = on;
        break;
    case BAD_DROPS:
        if (on) {
            fleet_close(&r->fleet, i);
            fleet_open(&r->fleet, i);
        }
        break;
    }
}

static void endpoint_beside(struct run *r, const char *what, enum bad how, int bad)
{
    struct change c = prepare(r, what, "endpoint");
    for (int i = 0; i < bad; i++) {
        be_bad(r, i, how, true);
    }
    make_true(r, what, &c, bad);
    for (int i = 0; i < bad; i++) {
        be_bad(r, i, how, false);
    }
    fleet_idle(&r->fleet, QUIET_MS);
}

/* As above; without: they behave. Neither counts what they receive. */
void step_beside(struct run *r, const struct step *step)
{
    int n = count_bad(r);
    for (int i = 0; i < n; i++) {
        fleet_exempt(&r->fleet, i, true);
    }
    r->fleet.reconnect = true;
    for (int i = 0; r->failures == 0 && i < 2 * r->o.pairs; i++) {
        bool first = i % 2 == 0, swapped = i / 2 % 2 == 1;
        endpoint_beside(r, step->what, step->bad, first == swapped ? n : 0);
    }
    for (int i = 0; i < n; i++) {
        fleet_close(&r->fleet, i);
        fleet_forget(&r->fleet, i);
        fleet_exempt(&r->fleet, i, false);
        fleet_open(&r->fleet, i);
    }
    run_settle(r, step->what);
    r->fleet.reconnect = false;
}
