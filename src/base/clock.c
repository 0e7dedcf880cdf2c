/* Clocks and durations. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec;
}

static int64_t microseconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return microseconds(CLOCK_MONOTONIC);
}

int64_t clock_cpu_us(void)
{
    return microseconds(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_boot_ms(void)
{
    return microseconds(CLOCK_BOOTTIME) / 1000;
}

void clock_rfc3339(int64_t wall_s, char out[32])
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* "Z", or "+01:00": seconds east of UTC. */
static bool take_offset(const char *s, int64_t *ret_s)
{
    int h, m, n = 0;
    if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0) {
        *ret_s = 0;
        return true;
    }
    if ((*s != '+' && *s != '-') || sscanf(s + 1, "%2d:%2d%n", &h, &m, &n) != 2 || s[1 + n] ||
        h < 0 || h > 23 || m < 0 || m > 59) {
        return false;
    }
    *ret_s = (h * 3600 + m * 60) * (*s == '-' ? -1 : 1);
    return true;
}

bool clock_parse_rfc3339(struct str s, int64_t *ret_wall_s)
{
    char text[64];
    struct tm tm = {0};
    int64_t offset_s;
    if (s.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, s.ptr ? s.ptr : "", s.len);
    text[s.len] = '\0';
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest && *rest == '.') {
        rest += 1 + strspn(rest + 1, "0123456789");
    }
    if (!rest || !take_offset(rest, &offset_s)) {
        return false;
    }
    *ret_wall_s = timegm(&tm) - offset_s;
    return true;
}

/* Longest unit first, so that "ms" isn't read as "m". */
static const struct {
    const char *name;
    double ms;
} units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}};

static bool take_number(struct str *s, double *ret)
{
    double n = 0, scale = 0;
    size_t digits = 0, i = 0;
    for (; i < s->len; i++) {
        char c = s->ptr[i];
        if (c == '.' && scale == 0) {
            scale = 1;
        } else if (c >= '0' && c <= '9') {
            n = n * 10 + (c - '0');
            scale *= 10;
            digits++;
        } else {
            break;
        }
    }
    *ret = scale > 1 ? n / scale : n;
    *s = (struct str){s->ptr + i, s->len - i};
    return digits > 0 && digits < 16;
}

static bool take_unit(struct str *s, double *ret_ms)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct str unit = str_of(units[i].name);
        if (str_starts(*s, units[i].name)) {
            *s = (struct str){s->ptr + unit.len, s->len - unit.len};
            *ret_ms = units[i].ms;
            return true;
        }
    }
    return false;
}

bool clock_parse_duration(struct str s, int64_t *ret_ms)
{
    if (str_is(s, "0")) {
        *ret_ms = 0;
        return true;
    }
    double total = 0;
    bool any = false;
    while (s.len > 0) {
        double n, unit;
        if (!take_number(&s, &n) || !take_unit(&s, &unit)) {
            return false;
        }
        total += n * unit;
        any = true;
    }
    if (!any || total > 9e15) {
        return false;
    }
    *ret_ms = (int64_t)(total + 5e-7); /* to the nanosecond, then down: 1.001 has no exact double */
    return true;
}
