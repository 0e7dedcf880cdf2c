/* Proxies that read nothing, refuse everything or hang up, and what the others notice. */
#include "steps.h"

static void be_bad(struct run *r, int i, enum bad how, bool on)
{
    switch (how) {
    case BAD_SLOW:
        link_pause(r->fleet.members[i].link, on);
        break;
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
    struct buf b;
    int hear;
    buf_init(&b, 16u << 20);
    AUTO(free) char *file = step_write_change(r, "endpoint", &b);
    oracle_put(r->oracle, buf_str(&b));
    struct mark m = run_begin_change(r, &hear);
    run_must_hear(r, what, hear);
    for (int i = 0; i < bad; i++) {
        be_bad(r, i, how, true);
    }
    controlled_write(&r->controlled, file, &b);
    run_end_change(r, what, &m, hear, false, bad);
    for (int i = 0; i < bad; i++) {
        be_bad(r, i, how, false);
    }
    fleet_idle(&r->fleet, QUIET_MS);
    buf_done(&b);
}

/* An endpoint's change by turns without and beside bad neighbours, in pairs whose order changes:
 * whatever else the machine does falls on both. Neither counts what the neighbours receive. */
void step_beside(struct run *r, const char *what, enum bad how)
{
    int n = r->o.bad < r->fleet.n ? r->o.bad : r->fleet.n - 1;
    for (int i = 0; i < n; i++) {
        fleet_exempt(&r->fleet, i, true);
    }
    r->fleet.reconnect = true;
    for (int i = 0; r->failures == 0 && i < 2 * r->o.pairs; i++) {
        bool first = i % 2 == 0, swapped = i / 2 % 2 == 1;
        endpoint_beside(r, what, how, first == swapped ? n : 0);
    }
    for (int i = 0; i < n; i++) {
        fleet_close(&r->fleet, i);
        fleet_forget(&r->fleet, i);
        fleet_exempt(&r->fleet, i, false);
        fleet_open(&r->fleet, i);
    }
    run_settle(r, what);
    r->fleet.reconnect = false;
}
