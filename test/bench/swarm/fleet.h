/* All simulated proxies of a world: who is connected, who holds what it should, and when it came.
 */
#ifndef BENCH_SWARM_FLEET_H
#define BENCH_SWARM_FLEET_H

#include "link.h"
#include "oracle.h"
#include "world.h"

struct seat {
    struct link *link;
    struct proxy proxy;
    struct credential credential;
    int service, pod;
    uint64_t sum;         /* of what it should hold */
    bool current, exempt; /* exempt: nobody waits for it (slow, refusing, gone) */
};

struct fleet {
    const struct world *world;
    const struct oracle *oracle;
    struct link_options options;
    struct seat *members;
    int n;
    int pending; /* that aren't current and not exempt */
    int64_t began_us;
    VEC(int64_t) times_us; /* since began_us, of each that became current */
    uint64_t lost;
    char why_lost[128];
    bool reconnect; /* those that are lost connect again */
};

/* Issues a certificate to each. delta: the share that speaks the delta protocol, 0 to 1. */
void fleet_init(struct fleet *f, const struct world *w, const struct oracle *o, uint16_t port,
                double delta, bool resume);
void fleet_done(struct fleet *f);

/* From now on the oracle's last build is what all should hold; the number that must hear of it. */
int fleet_expect(struct fleet *f);
/* The clock of the times starts. */
void fleet_begin(struct fleet *f);
/* Handles connections until all hold what they should; false: not within ms, or something was wrong
 * before. */
bool fleet_settle(struct fleet *f, int64_t ms);
/* Handles connections for so long, whatever comes. */
void fleet_idle(struct fleet *f, int64_t ms);

void fleet_open(struct fleet *f, int i);
void fleet_close(struct fleet *f, int i);
/* They know nothing: what they hold must come again. */
void fleet_forget(struct fleet *f, int i);
void fleet_exempt(struct fleet *f, int i, bool exempt);
/* The certificates that the proxies of a service (-1: all) hold are to be replaced; fleet_expect
 * counts those who must hear of it. */
void fleet_expect_certificates(struct fleet *f, int service);
/* All have new certificates to connect with, and trust the roots of now. */
void fleet_renew(struct fleet *f);
/* Another pod in its place, as the world says: new name, new certificate, nothing known. */
void fleet_replace(struct fleet *f, int i);
int fleet_open_count(const struct fleet *f);
/* Of the first that is waited for: "UUID: what is wrong with it". */
void fleet_say_pending(const struct fleet *f, char *out, size_t size);

struct spread {
    double first_ms, p50_ms, p99_ms, max_ms;
    size_t n;
};
struct spread fleet_spread(struct fleet *f);

#endif
