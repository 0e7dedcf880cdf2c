/* Any bytes as what a peer sends on an HTTP/2 connection: nothing crashes or leaks, every call that
 * opened is closed once, and it makes no difference how the bytes are cut. */
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "net/h2_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define OUT_BYTES_MAX (256u << 20)
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* Resets are counted by the second. Inputs up to this size hold fewer than end a connection, so
 * that two runs can't differ by the time that they take. */
enum { COMPARED_MAX = 1024 };

struct outcome {
    uint64_t events; /* hash of all that the service heard */
    int opened, closed;
    bool failed;
    bool
        continuations; /* too many of these frames: nghttp2 also counts the pieces of their heads */
};

static void note(struct outcome *o, const char *what, struct str text)
{
    o->events = hash_mix(hash_mix(o->events, hash_str(str_of(what))), hash_str(text));
}

static int on_open(void *arg, struct grpc_call *c, struct str path, struct err *e)
{
    struct outcome *o = arg;
    note(o, "open", path);
    if (str_is(path, "/no")) {
        return err_set(e, "no");
    }
    o->opened++;
    return 0;
}

static void on_message(void *arg, struct grpc_call *c, struct str message)
{
    note(arg, "message", message);
    struct blob *b = grpc_frame(message);
    grpc_call_send(c, b);
    blob_unref(b);
    if (message.len > 0 && message.ptr[0] == 'q') {
        grpc_call_finish(c, GRPC_INVALID_ARGUMENT, message.len > 1 ? "q\n%" : NULL);
    }
}

static void on_close(void *arg, struct grpc_call *c)
{
    struct outcome *o = arg;
    note(o, "close", (struct str){0});
    o->closed++;
}

/* Delivers the bytes in pieces; answers are taken at the end, or after each piece. */
static struct outcome deliver(struct str bytes, size_t piece, bool answer)
{
    static const char *const paths[] = {"/yes", "/no"};
    struct outcome o = {0};
    struct grpc_service service = {.arg = &o,
                                   .paths = paths,
                                   .n_paths = 2,
                                   .on_open = on_open,
                                   .on_message = on_message,
                                   .on_close = on_close};
    struct h2_conn_options options = {.service = &service};
    struct h2_conn *c = h2_conn_new(&options);
    struct err e = ERR_INIT;
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_BYTES_MAX);
    while (bytes.len > 0 && !o.failed) {
        size_t n = bytes.len < piece ? bytes.len : piece;
        AUTO(free) char *exact = mem_alloc(n); /* so that a read past its end is seen */
        memcpy(exact, bytes.ptr, n);
        o.failed = h2_conn_recv(c, (struct str){exact, n}, &e) < 0;
        ASSERT(!o.failed || e.text[0]);
        o.continuations = strstr(e.text, "CONTINUATION") != NULL;
        bytes.ptr += n;
        bytes.len -= n;
        if (answer) {
            o.failed |= h2_conn_send(c, &out, OUT_BYTES_MAX, &e) < 0;
            buf_reset(&out);
        }
    }
    h2_conn_send(c, &out, OUT_BYTES_MAX, &e);
    h2_conn_shutdown(c, false);
    h2_conn_send(c, &out, OUT_BYTES_MAX, &e);
    h2_conn_shutdown(c, true);
    h2_conn_send(c, &out, OUT_BYTES_MAX, &e);
    h2_conn_free(c);
    ASSERT(o.opened == o.closed);
    return o;
}

/* The first byte says whether the preface goes before the rest, and the size of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, LIMIT_CONTROL_REQUEST_BYTES);
    buf_addz(&bytes, data[0] & 1 ? PREFACE : "");
    buf_add(&bytes, data + 1, len - 1);
    struct str all = buf_str(&bytes);
    size_t piece = 1 + (data[0] >> 1);
    struct outcome whole = deliver(all, SIZE_MAX, false);
    struct outcome cut = deliver(all, piece, false);
    if (len <= COMPARED_MAX && !whole.continuations && !cut.continuations) {
        ASSERT(whole.events == cut.events && whole.failed == cut.failed);
    }
    deliver(all, piece, true);
    return 0;
}
