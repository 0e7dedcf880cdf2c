/* Preloaded into the controller: it lies once, in one message on one connection, after its own work
 * is done and before it is encrypted. So the swarm's alarms are proven on the whole way.
 *
 * OSM_LIE says how: "alter" (the last of the bytes is one less), "before" (an altered copy comes
 * ahead of the right message), "twice", "drop". Lied about is the message with OSM_LIE_BYTES in it
 * that follows OSM_LIE_AFTER others; OSM_LIE_LOG is a file that gets a line when it is done. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

enum { FRAME_HEAD = 9, GRPC_HEAD = 5, DATA = 0, NONCE = 16 };

typedef int write_fn(SSL *ssl, const void *data, size_t len, size_t *written);

static write_fn *real;
static const char *how, *bytes;
static int after;
static atomic_int seen;

__attribute__((constructor)) static void begin(void)
{
    how = getenv("OSM_LIE");
    bytes = getenv("OSM_LIE_BYTES");
    after = atoi(getenv("OSM_LIE_AFTER"));
    real = (write_fn *)dlsym(RTLD_NEXT, "SSL_write_ex");
    if (!how || !bytes || !real) {
        abort();
    }
}

static size_t big_endian(const uint8_t *p, int n)
{
    size_t out = 0;
    while (n-- > 0) {
        out = out << 8 | *p++;
    }
    return out;
}

/* A frame that holds one whole message. */
static bool is_message(const uint8_t *frame, size_t len)
{
    return frame[3] == DATA && len > FRAME_HEAD + GRPC_HEAD &&
           big_endian(frame + FRAME_HEAD + 1, 4) == len - FRAME_HEAD - GRPC_HEAD;
}

/* The frame to lie about; NULL: none. What doesn't begin with a frame and end with one is left
 * alone. */
static const uint8_t *choose(const uint8_t *data, size_t len, size_t *frame_len)
{
    const uint8_t *found = NULL;
    for (size_t at = 0; at < len; at += *frame_len) {
        *frame_len = at + FRAME_HEAD <= len ? FRAME_HEAD + big_endian(data + at, 3) : len;
        if (*frame_len > len - at) {
            return NULL;
        }
        if (is_message(data + at, *frame_len) &&
            memmem(data + at, *frame_len, bytes, strlen(bytes)) &&
            atomic_fetch_add(&seen, 1) == after) {
            found = data + at;
            break;
        }
    }
    return found;
}

static void alter(uint8_t *frame, size_t len)
{
    uint8_t *at = memmem(frame, len, bytes, strlen(bytes));
    at[strlen(bytes) - 1]--;
}

/* Whoever answers this message answers none that the controller knows. */
static void alter_nonce(uint8_t *frame, size_t len)
{
    static const uint8_t field[] = {5 << 3 | 2, NONCE};
    uint8_t *at = memmem(frame, len, field, sizeof(field));
    at[sizeof(field)] ^= 1;
}

static size_t put(uint8_t *out, size_t at, const void *data, size_t len)
{
    memcpy(out + at, data, len);
    return at + len;
}

/* What is said in place of the frame. */
static size_t lie(uint8_t *out, const uint8_t *frame, size_t len)
{
    size_t n = 0;
    if (strcmp(how, "drop") == 0) {
        return 0;
    }
    n = put(out, n, frame, len);
    if (strcmp(how, "twice") == 0) {
        n = put(out, n, frame, len);
        alter_nonce(out + len, len);
    } else {
        alter(out, len);
    }
    if (strcmp(how, "before") == 0) {
        alter_nonce(out, len);
        n = put(out, n, frame, len);
    }
    return n;
}

static void note(void)
{
    int fd = open(getenv("OSM_LIE_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "lied\n", 5) != 5) {
        abort();
    }
    close(fd);
}

/* The controller would go on elsewhere than it thinks: a lie goes out whole or not at all. */
static void write_whole(SSL *ssl, const uint8_t *data, size_t len)
{
    for (size_t n = 0; len > 0; data += n, len -= n) {
        if (real(ssl, data, len, &n) != 1) {
            abort();
        }
    }
}

int SSL_write_ex(SSL *ssl, const void *data, size_t len, size_t *written)
{
    size_t frame_len = 0;
    const uint8_t *frame = choose(data, len, &frame_len);
    if (!frame) {
        return real(ssl, data, len, written);
    }
    uint8_t *out = malloc(len + frame_len);
    size_t head = (size_t)(frame - (const uint8_t *)data);
    size_t n = put(out, 0, data, head);
    n += lie(out + n, frame, frame_len);
    n = put(out, n, frame + frame_len, len - head - frame_len);
    write_whole(ssl, out, n);
    free(out);
    note();
    *written = len;
    return 1;
}
