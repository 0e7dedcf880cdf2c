/* Reading and making the Secret of the roots, and its file. */
#include "cert/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "doc/base64.h"

/* A certificate and a key, RSA of 16384 bits at the most, in base64. */
enum { BUNDLE_BYTES_MAX = 64 << 10 };

static int open_private(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : err_errno(e, "%s: can't be read", path);
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        close(fd);
        return err_errno(e, "%s: can't be read", path);
    }
    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        close(fd);
        return err_set(e,
                       "%s holds the mesh's root key and others may read it (mode %04o): say chmod "
                       "600 %s, and replace the root if they did",
                       path, st.st_mode & 07777, path);
    }
    return fd;
}

static int field(struct arena *a, const struct value *doc, const char *path, const char *key,
                 struct str *ret, struct err *e)
{
    struct str text = value_string_at(value_member(doc, "stringData"), key);
    const struct value *coded = value_member(value_member(doc, "data"), key);
    const struct value *plain = value_member(value_member(doc, "stringData"), key);
    if (coded && coded->type == VALUE_STRING && base64_decode(a, coded->string, ret)) {
        return 0;
    }
    if (plain && plain->type == VALUE_STRING) {
        *ret = plain->string;
        return 0;
    }
    return err_set(e, "%s: data[\"%s\"]: expected PEM in base64, found %s", path, key,
                   coded || text.len ? "something else" : "nothing");
}

void bundle_done(struct bundle *b)
{
    for (size_t i = 0; i < b->n; i++) {
        X509_free(b->certs[i]);
    }
    EVP_PKEY_free(b->key);
    *b = (struct bundle){0};
}

static int read_roots(const char *title, struct str pem, struct bundle *b, struct err *e)
{
    if (pki_read_certs(pem, BUNDLE_ROOTS_MAX, b->certs, &b->n, e) < 0) {
        return err_wrap(e, "%s: data[\"ca.crt\"]", title);
    }
    for (size_t i = 0; i < b->n; i++) {
        if (X509_check_ca(b->certs[i]) != 1) {
            return err_set(e, "%s: the certificate in ca.crt is no root: it may not sign others",
                           title);
        }
    }
    return 0;
}

int bundle_parse(struct arena *a, const char *title, const struct value *secret, struct bundle *ret,
                 struct err *e)
{
    struct bundle b = {0};
    struct str cert_pem, key_pem;
    if (field(a, secret, title, "ca.crt", &cert_pem, e) < 0 ||
        field(a, secret, title, "private.key", &key_pem, e) < 0) {
        return -1;
    }
    int result = read_roots(title, cert_pem, &b, e);
    if (result == 0 && !(b.key = pki_read_key(key_pem, e))) {
        result = err_wrap(e, "%s: data[\"private.key\"]", title);
    }
    if (result == 0 && X509_check_private_key(b.certs[0], b.key) != 1) {
        result = err_set(e, "%s: private.key isn't the key of the %scertificate in ca.crt", title,
                         b.n > 1 ? "first " : "");
    }
    if (result < 0) {
        bundle_done(&b);
        return -1;
    }
    *ret = b;
    return 0;
}

static int parse(struct arena *a, const char *path, struct str text, struct bundle *ret,
                 struct err *e)
{
    struct value *doc = NULL;
    if (value_read_yaml(a, text, 1, &doc, NULL, e) < 0) {
        return err_wrap(e, "%s: expected a Secret with the keys ca.crt and private.key", path);
    }
    return bundle_parse(a, path, doc, ret, e);
}

int bundle_read(const char *path, struct bundle *ret, struct err *e)
{
    AUTO_FD int fd = open_private(path, e);
    if (fd <= 0) {
        int result = fd;
        fd = -1;
        return result;
    }
    char text[BUNDLE_BYTES_MAX];
    ssize_t n = read(fd, text, sizeof(text));
    if (n < 0) {
        return err_errno(e, "%s: can't be read", path);
    }
    if (n == sizeof(text)) {
        return err_set(e, "%s is too large for a Secret with a root", path);
    }
    struct arena *a = arena_new(4096);
    int result = parse(a, path, (struct str){text, (size_t)n}, ret, e);
    arena_free_secret(a);
    explicit_bzero(text, sizeof(text));
    return result < 0 ? -1 : 1;
}

static struct value *string(struct arena *a, const char *s)
{
    return value_new_string(a, str_of(s));
}

struct value *bundle_data(struct arena *a, const struct bundle *b, struct err *e)
{
    struct buf certs;
    buf_init(&certs, BUNDLE_BYTES_MAX);
    bool done = true;
    for (size_t i = 0; done && i < b->n; i++) {
        AUTO(blob_unref) struct blob *pem = pki_cert_pem(b->certs[i], e);
        done = pem != NULL;
        if (done) {
            buf_adds(&certs, blob_str(pem));
        }
    }
    AUTO(blob_unref) struct blob *key = done ? pki_key_pem(b->key, e) : NULL;
    struct value *data = NULL;
    if (key) {
        data = value_new(a, VALUE_OBJECT);
        value_set(a, data, "ca.crt", value_new_string(a, base64_encode(a, buf_str(&certs))));
        value_set(a, data, "private.key", value_new_string(a, base64_encode(a, blob_str(key))));
    }
    buf_done(&certs);
    return data;
}

static struct value *secret_document(struct arena *a, const struct value *data)
{
    struct value *doc = value_new(a, VALUE_OBJECT);
    value_set(a, doc, "apiVersion", string(a, "v1"));
    value_set(a, doc, "kind", string(a, "Secret"));
    value_set(a, doc, "type", string(a, "Opaque"));
    struct value *metadata = value_ensure(a, doc, "metadata", VALUE_OBJECT);
    value_set(a, metadata, "name", string(a, "osm-ca-bundle"));
    struct value *labels = value_new(a, VALUE_OBJECT);
    value_set(a, labels, "app.kubernetes.io/name", string(a, "openservicemesh.io"));
    value_set(a, labels, "app.kubernetes.io/version", string(a, OSM_VERSION));
    value_set(a, metadata, "labels", labels);
    value_set(a, doc, "data", data);
    return doc;
}

static int write_whole(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        text.ptr += n;
        text.len -= (size_t)n;
    }
    return fsync(fd);
}

/* A link to a finished file appears whole, and fails when the name is taken: of two processes that
 * start at once, one makes the root. */
static int publish(const char *path, struct str text, struct err *e)
{
    AUTO(free) char *temporary = mem_printf("%s.%d.tmp", path, (int)getpid());
    AUTO_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_errno(e, "%s: can't be made", temporary);
    }
    int result = 1;
    if (fchmod(fd, 0600) < 0 || write_whole(fd, text) < 0) {
        result = err_errno(e, "%s: can't be written", temporary);
    } else if (link(temporary, path) < 0) {
        result = errno == EEXIST ? 0 : err_errno(e, "%s: can't be made", path);
    }
    unlink(temporary);
    return result;
}

int bundle_create(const char *path, const struct bundle *b, struct err *e)
{
    struct arena *a = arena_new(8192);
    struct value *data = bundle_data(a, b, e);
    int result = -1;
    if (data) {
        struct buf out;
        buf_init(&out, BUNDLE_BYTES_MAX);
        buf_reserve(&out, BUNDLE_BYTES_MAX / 2); /* growing would leave copies of the key behind */
        value_write_yaml(secret_document(a, data), &out);
        result = publish(path, buf_str(&out), e);
        explicit_bzero(out.data, out.len);
        buf_done(&out);
    }
    arena_free_secret(a);
    return result;
}
