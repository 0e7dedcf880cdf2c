/* Work is measured by the CPU that the process used: nobody has to say that there was some. */
#include "daemon/heap.h"

#include <malloc.h>

#include "base/clock.h"

/* CPU between two ticks. At rest a controller uses under 1 ms a second; 50 ms are some 50 proxies
 * that connect, or 75 pods that are injected. */
#define BUSY_US 50000
/* Who never rests has the holes of a minute, at most. */
#define BUSY_TICKS 12

bool heap_tick(struct heap *h)
{
    int64_t now = clock_cpu_us();
    bool busy = now - h->cpu_us > BUSY_US;
    h->cpu_us = now;
    h->busy_ticks += busy;
    if (h->busy_ticks == 0 || (busy && h->busy_ticks < BUSY_TICKS)) {
        return false;
    }
    malloc_trim(0);
    h->busy_ticks = 0;
    return true;
}
