/* OpenSSL's memory: buffers of records are kept by the thread instead of given back. */
#include <malloc.h>
#include <openssl/crypto.h>

#include "base/mem.h"
#include "net/tls.h"

/* An idle connection holds no buffers, so each record that is read or written allocates one of 17
 * KB and frees it: for the C library that is a large piece, put together from its neighbours and
 * taken apart again, and whatever is allocated in between ends up amid such holes. A thread needs
 * only as many as it has records in its hands. */
enum { RECORD_MIN = 16384, RECORD_BYTES = 17408, KEPT_MAX = 4 };

static _Thread_local struct {
    bool on;
    unsigned n;
    void *at[KEPT_MAX];
} kept;

static void *on_malloc(size_t size, const char *file, int line)
{
    if (size > RECORD_MIN && size <= RECORD_BYTES) {
        return kept.n > 0 ? kept.at[--kept.n] : malloc(RECORD_BYTES);
    }
    return size > 0 ? malloc(size) : NULL;
}

static void *on_realloc(void *p, size_t size, const char *file, int line)
{
    if (size == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, size);
}

/* Any piece of this size will do, whatever it was for. */
static void on_free(void *p, const char *file, int line)
{
    if (kept.on && p && kept.n < KEPT_MAX) {
        size_t size = malloc_usable_size(p);
        if (size >= RECORD_BYTES && size < RECORD_BYTES + 64) {
            kept.at[kept.n++] = p;
            return;
        }
    }
    free(p);
}

/* Before OpenSSL has allocated anything: later it doesn't take other functions, and then no buffer
 * is kept. */
__attribute__((constructor)) static void take_over(void)
{
    CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free);
}

void tls_keep_buffers(bool keep)
{
    kept.on = keep;
    while (!keep && kept.n > 0) {
        free(kept.at[--kept.n]);
    }
}
