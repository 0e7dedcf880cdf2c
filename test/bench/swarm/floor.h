/* The least that a push can cost: the same bytes to the same number of TLS connections by a bare
 * loop of SSL_write, in as many threads as the controller has shards. It runs in a process of its
 * own, as the controller does. */
#ifndef BENCH_SWARM_FLOOR_H
#define BENCH_SWARM_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct floor;

/* Listens on 127.0.0.1; its threads accept and shake hands until as many connections are there. */
struct floor *floor_start(int threads, int connections, uint16_t *ret_port);
bool floor_connected(const struct floor *f);
pid_t floor_pid(const struct floor *f);
/* So many of the connections get so many bytes each; the threads share them and, when answers come,
 * take those. Returns at once. */
void floor_write(struct floor *f, int connections, size_t bytes, bool answers);
bool floor_idle(const struct floor *f); /* all is written, and answered */
void floor_free(struct floor *f);

#endif
