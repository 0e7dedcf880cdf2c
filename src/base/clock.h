/* Time, passed in so that a test can move it. Expiry compares wall-clock time, timers use monotonic
 * time, and neither assumes that the machine never slept. */
#ifndef OSM_BASE_CLOCK_H
#define OSM_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Seconds since the epoch. */
int64_t clock_wall_s(void);
/* Milliseconds and microseconds of the monotonic clock. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* Microseconds of CPU that all threads of the process have used. */
int64_t clock_cpu_us(void);
/* Milliseconds since boot, those that the machine slept too. */
int64_t clock_boot_ms(void);
/* RFC 3339 in UTC, with seconds: "2026-11-24T02:00:00Z". */
void clock_rfc3339(int64_t wall_s, char out[32]);
/* Also with fractions, which are dropped, and with an offset. False when it is none. */
bool clock_parse_rfc3339(struct str s, int64_t *ret_wall_s);
/* A Go duration such as "24h", "1m30s", "250ms" to milliseconds; false when it is none. */
bool clock_parse_duration(struct str s, int64_t *ret_ms);

#endif
