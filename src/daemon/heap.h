/* Much work at once (a cluster is read, all proxies come back) leaves holes in the heap: when the
 * process has calmed down, their memory goes back to the machine. */
#ifndef OSM_DAEMON_HEAP_H
#define OSM_DAEMON_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* Zero-initialised: as the process starts. */
struct heap {
    int64_t cpu_us; /* used until the last tick */
    int busy_ticks; /* since memory was given back; 0: nothing to do */
};

/* Once every few seconds, on one thread. True: memory was given back. */
bool heap_tick(struct heap *h);

#endif
