/* Allocation that ends the process when there is no memory, and ownership helpers.
 * Running out is not handled anywhere: every input has a limit (limits.h) instead. */
#ifndef OSM_BASE_MEM_H
#define OSM_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

/* Like malloc, calloc, realloc, strdup and friends; never return NULL. Free with free(). */
void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_realloc(void *p, size_t size) __attribute__((warn_unused_result));
/* Array of n elements; overflow of n * size ends the process. */
void *mem_array(void *p, size_t n, size_t size) __attribute__((warn_unused_result));
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));
char *mem_memdup(const void *p, size_t len) __attribute__((warn_unused_result));
/* printf to a new string. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), warn_unused_result));
char *mem_vprintf(const char *fmt, va_list ap)
    __attribute__((format(printf, 1, 0), warn_unused_result));

/* Asks the processor for what will be read soon: without it each piece that is in no cache costs
 * about 100 ns. p may be anything. */
static inline void fetch_bytes(const void *p, size_t size)
{
    for (size_t i = 0; i < size; i += 64) {
        __builtin_prefetch((const char *)p + i);
    }
}

#define NEW(type) ((type *)mem_zalloc(sizeof(type)))

/* Moves ownership out of a variable: yields its value and leaves NULL. */
#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) take_##__LINE__ = (p);                                                       \
        (p) = NULL;                                                                                \
        take_##__LINE__;                                                                           \
    })

/* AUTO(fn) T *p: calls fn(p) when p goes out of scope; fn takes NULL.
 * For each fn declare once, next to its prototype: AUTO_DEFINE(T, fn). */
#define AUTO(fn) __attribute__((cleanup(fn##_auto), unused))
#define AUTO_DEFINE(type, fn)                                                                      \
    static inline __attribute__((unused)) void fn##_auto(type **p)                                 \
    {                                                                                              \
        fn(*p);                                                                                    \
    }

static inline __attribute__((unused)) void free_auto(void *p)
{
    free(*(void **)p);
}

/* AUTO_FD int fd = -1: closes when it goes out of scope. */
void fd_close_auto(int *fd);
#define AUTO_FD __attribute__((cleanup(fd_close_auto), unused))

/* Ends the process with a message: for our own mistakes, stays on in release builds. */
void mem_panic(const char *file, int line, const char *what) __attribute__((noreturn, cold));
#define ASSERT(cond) ((cond) ? (void)0 : mem_panic(__FILE__, __LINE__, #cond))

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#endif
