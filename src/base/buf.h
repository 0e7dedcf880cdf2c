/* A growable buffer with a maximum that each user must name. Once an append would pass the maximum
 * the buffer is "full" for good: later appends do nothing, and buf_full() tells. */
#ifndef OSM_BASE_BUF_H
#define OSM_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/str.h"

struct buf {
    char *data; /* NUL-terminated when not NULL */
    size_t len, cap, max_bytes;
    bool full;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_done(struct buf *b);  /* frees; the struct may be init'ed again */
void buf_reset(struct buf *b); /* empty, keeps the memory */
void buf_add(struct buf *b, const void *p, size_t len);
void buf_adds(struct buf *b, struct str s);
void buf_addz(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* Room for n more bytes at data + len; false when that passes the maximum. Then add to len. */
bool buf_reserve(struct buf *b, size_t n);
bool buf_full(const struct buf *b);
struct str buf_str(const struct buf *b); /* view, until the next change */
char *buf_take(struct buf *b);           /* owned, NUL-terminated; the buffer is empty after */

static inline __attribute__((unused)) void buf_done_auto(struct buf *b)
{
    buf_done(b);
}

#endif
