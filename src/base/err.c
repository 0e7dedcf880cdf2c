/* Errors with context. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void mark_cut(struct err *e, int n)
{
    if (n >= (int)sizeof(e->text)) {
        memcpy(e->text + sizeof(e->text) - 4, "...", 4);
    }
}

int err_set(struct err *e, const char *fmt, ...)
{
    if (!e) {
        return -1;
    }
    va_list ap;
    va_start(ap, fmt);
    mark_cut(e, vsnprintf(e->text, sizeof(e->text), fmt, ap));
    va_end(ap);
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (!e) {
        return -1;
    }
    struct err inner = *e;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    if (n >= 0 && n < (int)sizeof(e->text)) {
        n += snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", inner.text);
    }
    mark_cut(e, n);
    return -1;
}

int err_errno(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    if (!e) {
        return -1;
    }
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    if (n >= 0 && n < (int)sizeof(e->text)) {
        n += snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", strerror(saved));
    }
    mark_cut(e, n);
    errno = saved;
    return -1;
}
