/* Certificates and roots, which time brings: the controller's clock is moved. */
#include "steps.h"

#include <string.h>

/* How often the controller looks at certificates and at the file of its root, and how long it lets
 * a new root be known, then the old one, with a second to spare. */
enum { TICK_S = 6, TRUST_S = 121, OVERLAP_S = 601, RENEW_S = WORLD_SHORT_S / 2 + 10 };

/* Time passes for the controller, and what that brings is timed. */
static void pass(struct run *r, const char *what, int64_t s)
{
    int hear;
    struct mark m = run_begin_change(r, &hear);
    run_must_hear(r, what, hear);
    controlled_pass(&r->controlled, s);
    run_end_change(r, what, &m, hear, false, -1);
}

static void set_short_lived(struct run *r, bool on)
{
    struct buf b;
    buf_init(&b, 4096);
    r->o.world.short_lived = on;
    world_write_config(&r->o.world, &b);
    oracle_put(r->oracle, buf_str(&b));
    oracle_build(r->oracle);
    fleet_expect(&r->fleet);
    controlled_write(&r->controlled, "config", &b);
    run_settle(r, "how long certificates are good");
    fleet_idle(&r->fleet, QUIET_MS);
    buf_done(&b);
}

/* The pods of the last service, and their proxies, come anew with an account that wasn't there. */
static void move_last_service(struct run *r)
{
    const struct world *w = &r->o.world;
    struct buf b;
    buf_init(&b, 64u << 10);
    r->o.world.moved++;
    AUTO(free) char *account = world_pod_account(w, w->services - 1);
    world_write_account(account, &b);
    oracle_put(r->oracle, buf_str(&b));
    controlled_write(&r->controlled, account, &b);
    buf_done(&b);
    seat_vec all = {0};
    for (int pod = 0; pod < world_pods(w, w->services - 1); pod++) {
        int i = world_pod_index(w, w->services - 1, pod);
        step_take_away(r, i);
        VEC_PUSH(all, i);
    }
    step_replace(r, &all, "moved");
    VEC_DONE(all);
}

/* One identity's certificate comes to its end while all others are good for a day. */
void step_certificate(struct run *r, const struct step *step)
{
    set_short_lived(r, true);
    move_last_service(r);
    for (int i = 0; r->failures == 0 && i < r->o.rounds; i++) {
        fleet_expect_certificates(&r->fleet, r->o.world.services - 1);
        pass(r, "certificate", RENEW_S);
    }
    set_short_lived(r, false);
}

/* As docs/operate.md says: both in the file, then the new one alone. */
void step_root(struct run *r, const struct step *step)
{
    AUTO(free) char *file = controlled_ca_file(&r->controlled);
    certs_rotate(file);
    pass(r, "root_trusted", TICK_S);
    certs_rotate_sign();
    fleet_expect_certificates(&r->fleet, -1);
    pass(r, "root_signs", TRUST_S);
    fleet_renew(&r->fleet);
    certs_rotate_end(file);
    /* Seen at once, acted upon when the time is over. */
    off_t before = controlled_log_bytes(&r->controlled);
    controlled_pass(&r->controlled, TICK_S);
    free(controlled_hear(&r->controlled, before, "the old root goes"));
    pass(r, "root_alone", OVERLAP_S);
}
