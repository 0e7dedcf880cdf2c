/* A chain of blocks, newest first; each is twice as large as the one before. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ALIGN sizeof(max_align_t)
#define BLOCK_MAX (1u << 20)

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(max_align_t) char data[];
};

struct arena {
    struct block *head;
    size_t next_size, total;
};

struct arena *arena_new(size_t first_bytes)
{
    struct arena *a = NEW(struct arena);
    a->next_size = first_bytes < 64 ? 64 : first_bytes;
    return a;
}

void arena_free(struct arena *a)
{
    if (!a) {
        return;
    }
    for (struct block *b = a->head, *next; b; b = next) {
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
    struct block *b = mem_alloc(sizeof(*b) + size);
    *b = (struct block){.next = a->head, .size = size};
    a->head = b;
    a->total += sizeof(*b) + size;
    if (a->next_size < BLOCK_MAX) {
        a->next_size *= 2;
    }
}

void *arena_alloc(struct arena *a, size_t size)
{
    ASSERT(size < SIZE_MAX - ALIGN);
    size = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (!a->head || a->head->size - a->head->used < size) {
        grow(a, size);
    }
    void *p = a->head->data + a->head->used;
    a->head->used += size;
    memset(p, 0, size);
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    ASSERT(!__builtin_mul_overflow(n, size, &bytes));
    return arena_alloc(a, bytes);
}

void *arena_memdup(struct arena *a, const void *p, size_t len)
{
    char *copy = arena_alloc(a, len + 1);
    if (len > 0) {
        memcpy(copy, p, len);
    }
    return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
    return (struct str){arena_memdup(a, s.ptr, s.len), s.len};
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
    char *s = arena_alloc(a, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct str){s, (size_t)n};
}

size_t arena_bytes(const struct arena *a)
{
    return a->total;
}
