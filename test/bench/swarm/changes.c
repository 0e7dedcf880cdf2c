/* All connect, manifests change, pods come and go. */
#include "steps.h"

#include <stdio.h>
#include <string.h>

static void connect_all(struct run *r, const char *what, bool known)
{
    struct mark m = run_mark(r);
    fleet_begin(&r->fleet);
    r->fleet.reconnect = true;
    for (int i = 0; i < r->fleet.n; i++) {
        fleet_open(&r->fleet, i);
        if (i % 64 == 63) {
            link_poll(0);
        }
    }
    run_settle(r, what);
    struct spread s = fleet_spread(&r->fleet);
    fleet_idle(&r->fleet, QUIET_MS);
    r->fleet.reconnect = false;
    if (!known) {
        r->full_bytes = (link_bytes_total() - m.bytes) / (uint64_t)r->fleet.n;
    }
    run_say_head(r, what);
    run_say_spread(s);
    run_say_since(r, &m);
    run_say_memory(r);
    run_say_end();
}

void step_start(struct run *r)
{
    connect_all(r, "start", false);
}

void step_reconnect(struct run *r, const struct step *step)
{
    for (int i = 0; i < r->fleet.n; i++) {
        fleet_close(&r->fleet, i);
        if (!step->known) {
            fleet_forget(&r->fleet, i);
        }
    }
    connect_all(r, step->what, step->known);
}

/* --- what changes --- */

/* The one service that changes of one thing are of. */
static int the_service(const struct world *w)
{
    return w->policy == WORLD_HOT || w->services == 1 ? 0 : w->services / 2 | 1;
}

static bool is_tenth(int service)
{
    return service % 10 == 2;
}

/* A file has all that changes of a service, or of a tenth of all: of an object in two files only
 * one counts. */
static char *members_file(int service)
{
    return is_tenth(service) ? mem_strdup("tenth") : mem_printf("members-%04d", service);
}

static char *write_members(const struct world *w, int service, struct buf *b)
{
    for (int i = 0; i < w->services; i++) {
        if (i == service || (is_tenth(service) && is_tenth(i))) {
            world_write_members(w, i, b);
        }
    }
    return members_file(service);
}

static char *change_endpoint(struct run *r, int times, struct buf *b)
{
    int k = the_service(&r->o.world);
    r->o.world.slices[k]++;
    return write_members(&r->o.world, k, b);
}

static char *change_tenth(struct run *r, int times, struct buf *b)
{
    for (int i = 0; i < r->o.world.services; i++) {
        r->o.world.slices[i] += is_tenth(i);
    }
    return write_members(&r->o.world, 2, b);
}

static char *change_weight(struct run *r, int times, struct buf *b)
{
    world_write_split(&r->o.world, the_service(&r->o.world), times, b);
    return mem_strdup("weight");
}

static char *change_target(struct run *r, int times, struct buf *b)
{
    world_write_target(&r->o.world, the_service(&r->o.world), times, b);
    return mem_strdup("target");
}

static char *change_config(struct run *r, int times, struct buf *b)
{
    r->o.world.egress = !r->o.world.egress;
    world_write_config(&r->o.world, b);
    return mem_strdup("config");
}

/* A new service is one more of the world: its pods have no proxies here. */
static char *change_service(struct run *r, int times, struct buf *b)
{
    struct world one = r->o.world;
    one.services++;
    one.generations = one.slices = one.based = NULL;
    world_write_service(&one, r->o.world.services + times, b);
    return mem_printf("service-%d", times);
}

/* silent: bits of the policies in which nobody needs to hear of it: permissive ones have no use for
 * a target, and where all call one service alone nobody may call the others. */
static const struct kind {
    const char *name;
    char *(*write)(struct run *r, int times, struct buf *b);
    int silent;
} kinds[] = {
    {"endpoint", change_endpoint, 0},
    {"weight", change_weight, 0},
    {"target", change_target, 1 << WORLD_PERMISSIVE},
    {"config", change_config, 0},
    {"tenth", change_tenth, 1 << WORLD_HOT},
    {"service", change_service, 1 << WORLD_HOT},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

char *step_write_change(struct run *r, const char *change, struct buf *b)
{
    static int times[COUNT_OF(kinds)];
    const struct kind *k = find_kind(change);
    return k ? k->write(r, ++times[k - kinds], b) : NULL;
}

/* One change becomes true. alone: the answers wait until all have it, so that the CPU until then is
 * that of the push. */
static void change(struct run *r, const struct kind *k, struct buf *text, bool alone)
{
    int hear;
    AUTO(free) char *file = step_write_change(r, k->name, text);
    oracle_put(r->oracle, buf_str(text));
    struct mark m = run_begin_change(r, &hear);
    if (!(k->silent & 1 << r->o.world.policy)) {
        run_must_hear(r, k->name, hear);
    }
    link_hold_answers(alone);
    controlled_write(&r->controlled, file, text);
    run_end_change(r, k->name, &m, hear, alone, -1);
}

void step_change(struct run *r, const struct step *step)
{
    const struct kind *k = find_kind(step->name);
    ASSERT(k);
    struct buf b;
    buf_init(&b, 64u << 20);
    for (int i = 0; r->failures == 0 && i < r->o.rounds; i++) {
        buf_reset(&b);
        change(r, k, &b, i % 2 == 1 && strcmp(step->name, "endpoint") == 0);
    }
    buf_done(&b);
}

/* --- pods come and go --- */

void step_take_away(struct run *r, int i)
{
    const struct seat *x = &r->fleet.members[i];
    struct buf b;
    buf_init(&b, 4096);
    world_write_gone(&r->o.world, x->service, x->pod, &b);
    oracle_put(r->oracle, buf_str(&b));
    buf_done(&b);
    r->o.world.generations[i]++;
    fleet_replace(&r->fleet, i);
}

/* Each time another pod; one that its service's slice has, so that others hear of it. < 0: there is
 * none. */
static int pick(struct run *r, int size)
{
    const struct world *w = &r->o.world;
    for (int tries = 0; tries < size; tries++) {
        int i = (int)((long)r->replaced++ * 7919 % size);
        const struct seat *x = &r->fleet.members[i];
        bool moved = w->moved && x->service == w->services - 1;
        if (x->current && !moved && world_is_listed(w, x->service, x->pod)) {
            return i;
        }
    }
    return -1;
}

static void write_one(struct run *r, int service, struct buf *b)
{
    buf_reset(b);
    AUTO(free) char *file = write_members(&r->o.world, service, b);
    controlled_write(&r->controlled, file, b);
}

/* Those who come connect; returns when all have what they should. */
static struct mark replace(struct run *r, const seat_vec *seats, const char *what, int *others)
{
    struct buf b;
    buf_init(&b, 64u << 20);
    VEC_EACH(*seats, i) {
        buf_reset(&b);
        world_write_members(&r->o.world, r->fleet.members[*i].service, &b);
        oracle_put(r->oracle, buf_str(&b));
    }
    struct mark m = run_begin_change(r, others);
    r->fleet.reconnect = true;
    VEC_EACH(*seats, i) {
        write_one(r, r->fleet.members[*i].service, &b);
        fleet_open(&r->fleet, *i);
        link_poll(0);
    }
    run_settle(r, what);
    r->fleet.reconnect = false;
    buf_done(&b);
    return m;
}

static void say_replaced(struct run *r, const char *what, const struct mark *m, int pods, int hear)
{
    struct spread s = fleet_spread(&r->fleet);
    fleet_idle(&r->fleet, QUIET_MS);
    run_say_head(r, what);
    run_say("pods", pods);
    run_say("hear", hear);
    run_say_spread(s);
    run_say_since(r, m);
    run_say_memory(r);
    run_say_end();
}

int step_replace(struct run *r, const seat_vec *seats, const char *what)
{
    int others;
    struct mark m = replace(r, seats, what, &others);
    say_replaced(r, what, &m, (int)seats->len, others + (int)seats->len);
    return others;
}

/* None: a failure. */
static seat_vec take_some(struct run *r, int count, int size, const char *what)
{
    seat_vec seats = {0};
    for (int n = 0, i; n < count && (i = pick(r, size)) >= 0; n++) {
        step_take_away(r, i);
        VEC_PUSH(seats, i);
    }
    if (seats.len == 0) {
        r->failures++;
        fprintf(stderr, "%s: no slice has a pod that could be replaced\n", what);
    }
    return seats;
}

/* Memory when all is calm, once the controller has given back what it needed in between, and what
 * it takes to keep all connected. */
void step_rest(struct run *r, const struct step *step)
{
    struct mark m = run_mark(r);
    fleet_idle(&r->fleet, CALM_MS);
    run_say_head(r, step->name);
    run_say("seconds", CALM_MS / 1000.0);
    run_say_since(r, &m);
    run_say_memory(r);
    run_say_end();
}

/* A pod that went is in the base still, with a line in the live folder that hides it. Now it is
 * gone from there, too, as it would be from a cluster, and nothing of its service is hidden. Nobody
 * is to hear of that. */
static void tidy(struct run *r, const seat_vec *seats)
{
    VEC_EACH(*seats, i) {
        int service = r->fleet.members[*i].service;
        AUTO(free) char *file = members_file(service);
        for (int k = 0; k < r->o.world.services; k++) {
            if (k == service || (is_tenth(service) && is_tenth(k))) {
                controlled_write_service(&r->controlled, &r->o.world, k);
                world_based(&r->o.world, k);
            }
        }
        controlled_remove(&r->controlled, file);
    }
}

/* So many minutes of an hour, one right after the other; the times are those of the last one. */
static void churn_for(struct run *r, int minutes, int pods)
{
    struct mark m = run_mark(r);
    int hear = 0, replaced = 0;
    for (int i = 0; r->failures == 0 && i < minutes; i++) {
        int others;
        seat_vec seats = take_some(r, pods, r->fleet.n, "churn");
        replace(r, &seats, "churn", &others);
        tidy(r, &seats);
        replaced += (int)seats.len;
        hear += others + (int)seats.len;
        VEC_DONE(seats);
    }
    say_replaced(r, "churn", &m, replaced, hear);
}

void step_churn(struct run *r, const struct step *step)
{
    int count = r->o.churn ? r->o.churn : r->fleet.n * 6 / 10, minutes = count < 60 ? count : 60;
    for (int third = 0; r->failures == 0 && third < 3; third++) {
        churn_for(r, (minutes + 2) / 3, count / minutes);
    }
}

/* Of the pods that somebody may call: others hear of a new endpoint. */
void step_workload(struct run *r, const struct step *step)
{
    const struct world *w = &r->o.world;
    int size = w->policy == WORLD_HOT ? world_pods(w, 0) : r->fleet.n;
    for (int i = 0; r->failures == 0 && i < r->o.rounds; i++) {
        seat_vec seats = take_some(r, 1, size, "workload");
        run_must_hear(r, "workload", seats.len > 0 ? step_replace(r, &seats, "workload") : 0);
        VEC_DONE(seats);
    }
}
