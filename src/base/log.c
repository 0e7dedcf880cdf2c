/* Events to stderr, a line each, written with one write(2) so that lines don't mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define EVENT_MAX_BYTES 16384
/* Text ends here at the latest, so that what closes the event always fits. */
#define TEXT_MAX_BYTES (EVENT_MAX_BYTES - 64)

static _Atomic int min_level = LOG_INFO;
static _Atomic bool as_json = true;
static const char *_Atomic component;
static void (*_Atomic on_error_code)(const char *code);

static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};

bool log_level_parse(struct str s, enum log_level *ret)
{
    for (int i = 0; i <= LOG_OFF; i++) {
        if (str_is(s, names[i])) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    if (str_is(s, "warning")) {
        *ret = LOG_WARN;
        return true;
    }
    if (str_is(s, "fatal") || str_is(s, "panic")) {
        *ret = LOG_ERROR; /* nothing of ours is more than an error */
        return true;
    }
    if (str_is(s, "disabled")) {
        *ret = LOG_OFF;
        return true;
    }
    return false;
}

void log_set_level(enum log_level level)
{
    min_level = (int)level;
}

void log_set_json(bool json)
{
    as_json = json;
}

void log_set_component(const char *name)
{
    component = name;
}

void log_on_error_code(void (*fn)(const char *code))
{
    on_error_code = fn;
}

bool log_enabled(enum log_level level)
{
    return (int)level >= min_level;
}

static void add_json(struct buf *b, const char *s)
{
    buf_addc(b, '"');
    for (; *s && b->len < TEXT_MAX_BYTES; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            buf_addc(b, '\\');
            buf_addc(b, (char)c);
        } else if (c < 0x20) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_addc(b, (char)c);
        }
    }
    buf_addz(b, *s ? "...\"" : "\"");
}

static void tell_error_code(va_list ap)
{
    void (*fn)(const char *code) = on_error_code;
    const char *key, *value;
    while (fn && (key = va_arg(ap, const char *)) && (value = va_arg(ap, const char *))) {
        if (strcmp(key, "error_code") == 0) {
            fn(value);
        }
    }
}

static void add_head(struct buf *b, enum log_level level, const char *message)
{
    char when[32];
    const char *who = component;
    clock_rfc3339(clock_wall_s(), when);
    if (as_json) {
        buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",", when, names[level]);
        if (who) {
            buf_addz(b, "\"component\":");
            add_json(b, who);
            buf_addc(b, ',');
        }
        buf_addz(b, "\"message\":");
        add_json(b, message);
    } else {
        buf_printf(b, "%s %-5s %.4000s", when, names[level], message);
    }
}

void log_event(enum log_level level, const char *message, ...)
{
    va_list ap;
    va_start(ap, message);
    tell_error_code(ap);
    va_end(ap);
    if (!log_enabled(level)) {
        return;
    }
    struct buf b;
    buf_init(&b, EVENT_MAX_BYTES);
    add_head(&b, level, message);
    va_start(ap, message);
    const char *key, *value;
    while (b.len < TEXT_MAX_BYTES && (key = va_arg(ap, const char *)) &&
           (value = va_arg(ap, const char *))) {
        if (as_json) {
            buf_addc(&b, ',');
            add_json(&b, key);
            buf_addc(&b, ':');
            add_json(&b, value);
        } else {
            buf_printf(&b, " %s=", key);
            add_json(&b, value);
        }
    }
    va_end(ap);
    buf_addz(&b, as_json ? "}\n" : "\n");
    ssize_t n = write(STDERR_FILENO, b.data, b.len);
    (void)n; /* nobody is left to tell */
    buf_done(&b);
}
