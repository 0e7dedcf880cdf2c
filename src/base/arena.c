/* A chain of blocks, newest first. The second is as large as the first: most arenas belong to one
 * small object, which needs little more. Each other is twice as large as the one before. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ALIGN sizeof(max_align_t)
#define BLOCK_MAX (1u << 20)

struct block {
    struct block *next;
    uint32_t size, used;
    _Alignas(max_align_t) char data[];
};

/* There are many arenas of one small object, so the first block lies behind the arena, in the same
 * allocation, and sums are made when they are asked for. */
struct arena {
    struct block *head;
    size_t next_size;
    struct block first;
};

static struct block *fill(struct block *b, struct block *next, size_t size)
{
    ASSERT(size <= UINT32_MAX);
    *b = (struct block){.next = next, .size = (uint32_t)size};
    return b;
}

struct arena *arena_new(size_t first_bytes)
{
    size_t size = first_bytes < 64 ? 64 : first_bytes;
    struct arena *a = mem_alloc(sizeof(*a) + size);
    *a = (struct arena){.next_size = size};
    a->head = fill(&a->first, NULL, size);
    return a;
}

void arena_free(struct arena *a)
{
    if (!a) {
        return;
    }
    for (struct block *b = a->head, *next; b != &a->first; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

void arena_free_secret(struct arena *a)
{
    for (struct block *b = a ? a->head : NULL; b; b = b->next) {
        explicit_bzero(b->data, b->size);
    }
    arena_free(a);
}

static void grow(struct arena *a, size_t need)
{
    size_t size = need > a->next_size ? need : a->next_size;
    a->head = fill(mem_alloc(sizeof(struct block) + size), a->head, size);
    if (a->next_size < BLOCK_MAX) {
        a->next_size *= 2;
    }
}

static void *take(struct arena *a, size_t size, size_t align)
{
    ASSERT(size < SIZE_MAX / 2);
    size_t from = (a->head->used + align - 1) & ~(align - 1);
    if (from > a->head->size || a->head->size - from < size) {
        grow(a, size);
        from = 0;
    }
    a->head->used = (uint32_t)(from + size);
    return a->head->data + from;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return memset(take(a, size, ALIGN), 0, size);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    ASSERT(!__builtin_mul_overflow(n, size, &bytes));
    return arena_alloc(a, bytes);
}

static void *copy(struct arena *a, const void *p, size_t len, size_t align)
{
    char *to = take(a, len + 1, align);
    if (len > 0) {
        memcpy(to, p, len);
    }
    to[len] = '\0';
    return to;
}

void *arena_memdup(struct arena *a, const void *p, size_t len)
{
    return copy(a, p, len, ALIGN);
}

struct str arena_str(struct arena *a, struct str s)
{
    return (struct str){copy(a, s.ptr, s.len, 1), s.len};
}

struct str arena_strz(struct arena *a, const char *s)
{
    return arena_str(a, str_of(s));
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    char *s = take(a, (size_t)n + 1, 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct str){s, (size_t)n};
}

size_t arena_bytes(const struct arena *a)
{
    size_t n = sizeof(*a) - sizeof(a->first);
    for (const struct block *b = a->head; b; b = b->next) {
        n += sizeof(*b) + b->size;
    }
    return n;
}

size_t arena_used(const struct arena *a)
{
    size_t n = 0;
    for (const struct block *b = a->head; b; b = b->next) {
        n += b->used;
        n += b->next ? ALIGN - 1 : 0; /* in one block there may be a gap where this one begins */
    }
    return n;
}
