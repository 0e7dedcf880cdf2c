/* Roots, certificates and when they are renewed; what they say is read back with OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "cert/cert.h"
#include "doc/base64.h"
#include "doc/value.h"

#define NOW INT64_C(1800000000)
#define DAY_S INT64_C(86400)
#define YEAR_S (365 * DAY_S)
#define TEXT_MAX (64u << 10)

static const struct issuer_options ecdsa = {"cluster.local", CERT_KEY_ECDSA_P256, 0};
static const struct issuer_options rsa = {"cluster.local", CERT_KEY_RSA, 2048};
static const struct identity bookstore = {{"demo", 4}, {"bookstore", 9}};

static void x509_auto(X509 **x)
{
    X509_free(*x);
}

static void unref_auto(struct cert **c)
{
    cert_unref(*c);
}

/* --- a folder for the root's file --- */

static char folder[] = "/tmp/test_cert.XXXXXX";
static char path[sizeof(folder) + 16];

static int make_folder(void **state)
{
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/ca.yaml", folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(path);
    return rmdir(folder); /* fails when something was left behind */
}

static void write_file(const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static char *read_file(void)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = mem_zalloc(TEXT_MAX);
    text[fread(text, 1, TEXT_MAX - 1, f)] = '\0';
    fclose(f);
    return text;
}

static struct issuer *load(const struct issuer_options *o, int64_t now)
{
    struct issuer *i = NULL;
    struct err e = ERR_INIT;
    if (issuer_load_or_create(path, o, now, &i, &e) < 0) {
        fail_msg("%s", e.text);
    }
    assert_string_equal(e.text, "");
    return i;
}

/* The error must hold all of `words`, and the file must stay as it was. */
static void refuse(int64_t now, const char *const words[3])
{
    AUTO(free) char *before = read_file();
    struct issuer *i = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(issuer_load_or_create(path, &ecdsa, now, &i, &e), -1);
    assert_null(i);
    for (int w = 0; w < 3 && words[w]; w++) {
        if (!strstr(e.text, words[w])) {
            fail_msg("\"%s\" isn't in: %s", words[w], e.text);
        }
    }
    assert_non_null(strstr(e.text, path));
    AUTO(free) char *after = read_file();
    assert_string_equal(before, after);
}

/* --- reading certificates back --- */

static X509 *parse(const struct blob *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(x);
    return x;
}

static EVP_PKEY *parse_key(const struct blob *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(key);
    return key;
}

/* What OpenSSL says of the chain for this purpose at this time; the CA may be several roots. */
static int verify(const struct cert *c, int purpose, int64_t at)
{
    X509_STORE *store = X509_STORE_new();
    BIO *bio = BIO_new_mem_buf(c->ca->data, (int)c->ca->len);
    for (X509 *root; (root = PEM_read_bio_X509(bio, NULL, NULL, NULL));) {
        X509_STORE_add_cert(store, root);
        X509_free(root);
    }
    BIO_free(bio);
    AUTO(x509) X509 *leaf = parse(c->chain);
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, leaf, NULL);
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_STORE_CTX_set_time(context, 0, (time_t)at);
    int result = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return result;
}

/* The subject's alternative names as "DNS:a URI:b". */
static void names_of(X509 *x, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    out[0] = '\0';
    for (int n = 0; n < sk_GENERAL_NAME_num(names); n++) {
        int type;
        ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, n), &type);
        size_t len = strlen(out);
        snprintf(out + len, size - len, "%s%s:%.*s", len ? " " : "",
                 type == GEN_DNS   ? "DNS"
                 : type == GEN_URI ? "URI"
                                   : "other",
                 ASN1_STRING_length(s), (const char *)ASN1_STRING_get0_data(s));
    }
    GENERAL_NAMES_free(names);
}

static void expect_names(const struct cert *c, const char *common_name, const char *names)
{
    AUTO(x509) X509 *x = parse(c->chain);
    char text[2048] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof(text));
    assert_string_equal(text, common_name);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_organizationName, text, sizeof(text));
    assert_string_equal(text, "Open Service Mesh");
    names_of(x, text, sizeof(text));
    assert_string_equal(text, names);
}

static struct cert *issue(struct issuer *i, int64_t now, int64_t validity_s)
{
    struct cert *c = NULL;
    struct err e = ERR_INIT;
    if (issuer_issue_service(i, bookstore, now, validity_s, &c, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return c;
}

static bool same(struct str a, struct str b)
{
    return str_eq(a, b);
}

/* --- the root's file --- */

static void a_root_is_made_once_and_loaded_again(void **state)
{
    AUTO(issuer_free) struct issuer *first = load(&ecdsa, NOW);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    AUTO(free) char *before = read_file();

    AUTO(issuer_free) struct issuer *second = load(&rsa, NOW + DAY_S);
    AUTO(free) char *after = read_file();
    assert_string_equal(before, after);
    assert_true(same(issuer_id(first), issuer_id(second)));

    AUTO(unref) struct cert *c = issue(first, NOW, DAY_S);
    AUTO(unref) struct cert *d = issue(second, NOW, DAY_S);
    assert_true(same(blob_str(c->ca), blob_str(d->ca)));
    assert_int_equal(verify(c, X509_PURPOSE_SSL_CLIENT, NOW), X509_V_OK);
    assert_int_equal(verify(d, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
}

static void the_file_is_a_secret_document(void **state)
{
    AUTO(issuer_free) struct issuer *i = load(&ecdsa, NOW);
    AUTO(free) char *text = read_file();
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct err e = ERR_INIT;
    struct value *doc;
    assert_int_equal(value_read_yaml(a, str_of(text), 1, &doc, NULL, &e), 0);
    assert_true(str_is(value_string_at(doc, "apiVersion"), "v1"));
    assert_true(str_is(value_string_at(doc, "kind"), "Secret"));
    assert_true(str_is(value_string_at(doc, "metadata.name"), "osm-ca-bundle"));
    const struct value *labels = value_at(doc, "metadata.labels");
    assert_true(
        str_is(value_member(labels, "app.kubernetes.io/name")->string, "openservicemesh.io"));
    const struct value *data = value_member(doc, "data");
    struct str pem;
    assert_true(base64_decode(a, value_member(data, "ca.crt")->string, &pem));
    AUTO(blob_unref) struct blob *roots = issuer_roots(i);
    assert_true(same(pem, blob_str(roots)));
    assert_true(base64_decode(a, value_member(data, "private.key")->string, &pem));
    assert_true(str_starts(pem, "-----BEGIN PRIVATE KEY-----"));
}

static void the_root_says_that_it_is_one(void **state)
{
    AUTO(issuer_free) struct issuer *i = load(&ecdsa, NOW);
    AUTO(blob_unref) struct blob *pem = issuer_roots(i);
    AUTO(x509) X509 *x = parse(pem);
    char text[128];
    X509_NAME_oneline(X509_get_subject_name(x), text, sizeof(text));
    assert_string_equal(text, "/C=US/L=CA/O=Open Service Mesh/CN=osm-ca.openservicemesh.io");
    assert_int_equal(X509_check_ca(x), 1);
    assert_int_equal(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    time_t end = NOW + 10 * YEAR_S;
    assert_int_equal(X509_cmp_time(X509_get0_notAfter(x), &end), -1); /* at or before */
    end -= 1;
    assert_int_equal(X509_cmp_time(X509_get0_notAfter(x), &end), 1);
    assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(x)), EVP_PKEY_EC);
}

static void broken_files_are_clear_errors(void **state)
{
    static const struct {
        const char *text;
        const char *words[3];
    } cases[] = {
        {"", {"ca.crt", "found nothing"}},
        {"{{{{", {"expected a Secret with the keys ca.crt and private.key"}},
        {"just words\n", {"ca.crt", "found nothing"}},
        {"kind: Secret\ndata: {}\n", {"data[\"ca.crt\"]", "found nothing"}},
        {"kind: Secret\ndata: {ca.crt: \"not base64!\"}\n", {"ca.crt", "found something else"}},
        {"kind: Secret\ndata: {ca.crt: 7}\n", {"ca.crt", "found something else"}},
        {"kind: Secret\ndata: {ca.crt: aGVsbG8=, private.key: aGVsbG8=}\n",
         {"ca.crt", "expected a certificate in PEM"}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_file(cases[i].text, 0600);
        refuse(NOW, cases[i].words);
    }
}

static void a_huge_file_is_refused(void **state)
{
    AUTO(free) char *huge = mem_alloc(TEXT_MAX - 1);
    memset(huge, '#', TEXT_MAX - 2);
    huge[TEXT_MAX - 2] = '\0';
    FILE *f = fopen(path, "w");
    fprintf(f, "%s\n%s\n", huge, huge);
    fclose(f);
    chmod(path, 0600);
    struct issuer *i = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(issuer_load_or_create(path, &ecdsa, NOW, &i, &e), -1);
    assert_non_null(strstr(e.text, "too large"));
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    issuer_free(load(&ecdsa, NOW));
    static const char *const words[3] = {"others may read it", "mode 0640", "chmod 600"};
    chmod(path, 0640);
    refuse(NOW, words);
    static const char *const more[3] = {"others may read it", "mode 0604"};
    chmod(path, 0604);
    refuse(NOW, more);
    chmod(path, 0400);
    issuer_free(load(&ecdsa, NOW));
}

/* The texts of a fresh file: its certificate and its key, in base64. */
static void split_file(struct arena *a, const struct issuer_options *o, struct str *cert,
                       struct str *key)
{
    unlink(path);
    issuer_free(load(o, NOW));
    AUTO(free) char *text = read_file();
    struct value *doc;
    assert_int_equal(value_read_yaml(a, str_of(text), 1, &doc, NULL, NULL), 0);
    const struct value *data = value_member(doc, "data");
    *cert = value_member(data, "ca.crt")->string;
    *key = value_member(data, "private.key")->string;
}

static void write_secret(struct str cert, struct str key)
{
    AUTO(free)
    char *text = mem_printf("kind: Secret\ndata:\n  ca.crt: \"%.*s\"\n  private.key: \"%.*s\"\n",
                            STR_ARG(cert), STR_ARG(key));
    write_file(text, 0600);
}

static void a_key_of_another_root_is_refused(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct str cert, key, other_cert, other_key;
    split_file(a, &ecdsa, &cert, &key);
    split_file(a, &ecdsa, &other_cert, &other_key);
    write_secret(cert, other_key);
    static const char *const words[3] = {"private.key isn't the key of the certificate in ca.crt"};
    refuse(NOW, words);
    write_secret(cert, cert);
    static const char *const no_key[3] = {"private.key", "expected an unencrypted private key"};
    refuse(NOW, no_key);
    write_secret(cert, key);
    issuer_free(load(&ecdsa, NOW));
}

static void a_leaf_is_no_root(void **state)
{
    AUTO(issuer_free) struct issuer *i = load(&ecdsa, NOW);
    AUTO(unref) struct cert *c = issue(i, NOW, DAY_S);
    AUTO(arena_free) struct arena *a = arena_new(8192);
    write_secret(base64_encode(a, blob_str(c->chain)), base64_encode(a, blob_str(c->private_key)));
    static const char *const words[3] = {"is no root"};
    refuse(NOW, words);
}

static void an_expired_root_is_refused(void **state)
{
    issuer_free(load(&ecdsa, NOW));
    static const char *const words[3] = {"has expired", "move the file away"};
    refuse(NOW + 10 * YEAR_S, words);
    issuer_free(load(&ecdsa, NOW + 10 * YEAR_S - 1));
}

/* Manifests written by hand have their texts in stringData. */
static void string_data_is_read_too(void **state)
{
    AUTO(issuer_free) struct issuer *i = load(&ecdsa, NOW);
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct str cert, key, cert_pem, key_pem = {0};
    split_file(a, &rsa, &cert, &key);
    assert_true(base64_decode(a, cert, &cert_pem) && base64_decode(a, key, &key_pem));
    struct value *doc = value_new(a, VALUE_OBJECT);
    struct value *data = value_new(a, VALUE_OBJECT);
    value_set(a, data, "ca.crt", value_new_string(a, cert_pem));
    value_set(a, data, "private.key", value_new_string(a, key_pem));
    value_set(a, doc, "stringData", data);
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    value_write_yaml(doc, &out);
    write_file(out.data, 0600);
    AUTO(issuer_free) struct issuer *again = load(&ecdsa, NOW);
    AUTO(blob_unref) struct blob *roots = issuer_roots(again);
    assert_true(same(blob_str(roots), cert_pem));
    assert_false(same(issuer_id(i), issuer_id(again)));
}

static void a_folder_that_is_missing_is_an_error(void **state)
{
    AUTO(free) char *missing = mem_printf("%s/none/ca.yaml", folder);
    struct issuer *i = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(issuer_load_or_create(missing, &ecdsa, NOW, &i, &e), -1);
    assert_non_null(strstr(e.text, missing));
    assert_non_null(strstr(e.text, "No such file or directory"));
}

/* Controller and command may start at once. */
static void processes_that_start_at_once_share_one_root(void **state)
{
    enum { PROCESSES = 8 };
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    for (int n = 0; n < PROCESSES; n++) {
        if (fork() == 0) {
            struct issuer *i = NULL;
            if (issuer_load_or_create(path, &ecdsa, NOW, &i, NULL) < 0) {
                _exit(1);
            }
            struct str id = issuer_id(i);
            _exit(write(pipes[1], id.ptr, id.len) == 32 ? 0 : 1);
        }
    }
    close(pipes[1]);
    char first[32], other[32];
    for (int n = 0; n < PROCESSES; n++) {
        assert_int_equal(read(pipes[0], n ? other : first, 32), 32);
        assert_true(n == 0 || memcmp(first, other, 32) == 0);
        int status;
        assert_true(wait(&status) > 0 && status == 0);
    }
    close(pipes[0]);
}

/* --- certificates --- */

static void service_certificates_name_their_identity(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    AUTO(unref) struct cert *c = issue(i, NOW, DAY_S);
    expect_names(c, "bookstore.demo.cluster.local",
                 "DNS:bookstore.demo.cluster.local URI:spiffe://cluster.local/bookstore/demo");
    AUTO(x509) X509 *x = parse(c->chain);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER | XKU_SSL_CLIENT);
    assert_int_equal(verify(c, X509_PURPOSE_SSL_CLIENT, NOW), X509_V_OK);
    assert_int_equal(verify(c, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
    AUTO(unref) struct cert *d = issue(i, NOW, DAY_S);
    AUTO(x509) X509 *y = parse(d->chain);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(y)), 0);
}

static void gateways_are_clients_by_the_names_that_they_are_given(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    static const struct str names[] = {{"g.example", 9}, {"g.cluster.local", 15}};
    AUTO(unref) struct cert *c = NULL;
    assert_int_equal(issuer_issue_gateway(i, names, 2, NOW, DAY_S, &c, NULL), 0);
    expect_names(c, "g.example", "DNS:g.example DNS:g.cluster.local");
    assert_int_equal(verify(c, X509_PURPOSE_SSL_CLIENT, NOW), X509_V_OK);
    assert_int_not_equal(verify(c, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
    assert_int_equal(c->not_after, NOW + DAY_S);
}

static void a_gateway_is_given_no_name_of_others(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    static const struct {
        const char *name, *why;
    } bad[] = {
        {"", "expected a host name"},
        {"spiffe://cluster.local/a/b", "expected a host name"},
        {"a.example,URI:spiffe://x", "expected a host name"},
        {"*.example", "expected a host name"},
        {"u1.sidecar.bookstore.demo.cluster.local", "that of a sidecar"},
    };
    for (size_t n = 0; n < COUNT_OF(bad); n++) {
        struct str names[] = {STR("g.example"), str_of(bad[n].name)};
        struct cert *c = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(issuer_issue_gateway(i, names, 2, NOW, DAY_S, &c, &e), -1);
        assert_null(c);
        assert_non_null(strstr(e.text, "subjectAltNames[1]"));
        assert_non_null(strstr(e.text, bad[n].why));
    }
    struct cert *c = NULL;
    assert_int_equal(issuer_issue_gateway(i, NULL, 0, NOW, DAY_S, &c, NULL), -1);
}

static void sidecars_and_servers_have_names_of_their_own(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    AUTO(unref) struct cert *proxy = NULL;
    AUTO(unref) struct cert *server = NULL;
    assert_int_equal(issuer_issue_proxy(i, STR("u1"), bookstore, NOW, &proxy, NULL), 0);
    expect_names(proxy, "u1.sidecar.bookstore.demo.cluster.local",
                 "DNS:u1.sidecar.bookstore.demo.cluster.local "
                 "URI:spiffe://cluster.local/u1/sidecar/bookstore/demo");
    assert_int_equal(verify(proxy, X509_PURPOSE_SSL_CLIENT, NOW), X509_V_OK);
    /* A view that isn't NUL-terminated. */
    assert_int_equal(
        issuer_issue_server(i, (struct str){"ads.cluster.local.and.more", 17}, NOW, &server, NULL),
        0);
    expect_names(server, "ads.cluster.local", "DNS:ads.cluster.local");
    assert_int_equal(verify(server, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
}

/* A common name has 64 bytes at most; the alternative names say it all. */
static void long_names_are_in_the_alternative_names(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    char account[254];
    memset(account, 'a', sizeof(account) - 1);
    account[sizeof(account) - 1] = '\0';
    AUTO(unref) struct cert *c = NULL;
    struct identity id = {STR("demo"), str_of(account)};
    assert_int_equal(issuer_issue_service(i, id, NOW, DAY_S, &c, NULL), 0);
    AUTO(free)
    char *names = mem_printf("DNS:%s.demo.cluster.local URI:spiffe://cluster.local/%s/demo",
                             account, account);
    expect_names(c, "", names);
    assert_int_equal(verify(c, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
}

/* Keys and their places in certificates are written by hand; OpenSSL writes the same. Often enough
 * that numbers with zeros in front are among them. */
static void what_is_written_by_hand_is_as_openssl_writes_it(void **state)
{
    AUTO(issuer_free) struct issuer *i = load(&ecdsa, NOW);
    for (int n = 0; n < 600; n++) {
        struct cert *c = issue(i, NOW, DAY_S);
        EVP_PKEY *key = parse_key(c->private_key);
        AUTO(x509) X509 *x = parse(c->chain);
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
        long len = BIO_get_mem_data(bio, &text);
        assert_true(same(blob_str(c->private_key), (struct str){text, (size_t)len}));
        assert_int_equal(X509_check_private_key(x, key), 1);
        unsigned char *theirs = NULL, *ours = NULL;
        int theirs_len = i2d_PUBKEY(key, &theirs);
        int ours_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &ours);
        assert_int_equal(ours_len, theirs_len);
        assert_memory_equal(ours, theirs, (size_t)ours_len);
        OPENSSL_free(theirs);
        OPENSSL_free(ours);
        BIO_free(bio);
        EVP_PKEY_free(key);
        cert_unref(c);
    }
}

static void expect_key(const struct cert *c, const char *type, int bits, uint32_t usage)
{
    assert_int_equal(strncmp(c->private_key->data, "-----BEGIN PRIVATE KEY-----", 27), 0);
    EVP_PKEY *key = parse_key(c->private_key);
    AUTO(x509) X509 *x = parse(c->chain);
    assert_true(EVP_PKEY_is_a(key, type));
    assert_int_equal(EVP_PKEY_get_bits(key), bits);
    assert_int_equal(X509_check_private_key(x, key), 1);
    assert_int_equal(X509_get_key_usage(x), usage);
    EVP_PKEY_free(key);
}

static void keys_are_of_the_kind_asked_for(void **state)
{
    static const struct {
        enum cert_key key;
        int bits;
        const char *type;
    } cases[] = {
        {CERT_KEY_ECDSA_P256, 0, "EC"}, {CERT_KEY_RSA, 2048, "RSA"}, {CERT_KEY_RSA, 3072, "RSA"}};
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    for (size_t n = 0; n < COUNT_OF(cases); n++) {
        issuer_set_key(i, cases[n].key, cases[n].bits);
        AUTO(unref) struct cert *c = issue(i, NOW, DAY_S);
        bool is_rsa = cases[n].key == CERT_KEY_RSA;
        expect_key(c, cases[n].type, is_rsa ? cases[n].bits : 256,
                   KU_DIGITAL_SIGNATURE | (is_rsa ? KU_KEY_ENCIPHERMENT : 0));
        assert_int_equal(verify(c, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
    }
}

static void roots_have_the_key_of_the_options(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&rsa, NOW, &i, NULL), 0);
    AUTO(blob_unref) struct blob *pem = issuer_roots(i);
    AUTO(x509) X509 *x = parse(pem);
    assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(x)), 2048);
    AUTO(unref) struct cert *c = issue(i, NOW, DAY_S);
    expect_key(c, "RSA", 2048, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
    struct issuer_options bad = {"cluster.local", CERT_KEY_RSA, 0};
    struct issuer *none = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(issuer_new(&bad, NOW, &none, &e), -1);
    assert_non_null(strstr(e.text, "generating a key"));
}

/* --- time --- */

static void validity_is_what_was_asked_for(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    AUTO(unref) struct cert *c = issue(i, NOW, DAY_S);
    assert_true(c->not_before <= NOW && c->not_before > NOW - 3600); /* for clocks that lag */
    assert_int_equal(c->not_after, NOW + DAY_S);
    assert_int_equal(verify(c, X509_PURPOSE_SSL_SERVER, c->not_before - 1),
                     X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(verify(c, X509_PURPOSE_SSL_SERVER, c->not_after + 1),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    /* X.509 writes times before and after 2050 differently. */
    AUTO(unref) struct cert *far = NULL;
    int64_t later = NOW + 9 * YEAR_S;
    assert_int_equal(issuer_issue_service(i, bookstore, later, DAY_S, &far, NULL), 0);
    assert_int_equal(far->not_after, later + DAY_S);
}

static void nothing_outlives_its_root(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    AUTO(unref) struct cert *c = issue(i, NOW + 10 * YEAR_S - 100, DAY_S);
    assert_int_equal(c->not_after, NOW + 10 * YEAR_S);
    AUTO(unref) struct cert *long_lived = issue(i, NOW, 20 * YEAR_S);
    assert_int_equal(long_lived->not_after, NOW + 10 * YEAR_S);
}

static void a_third_of_its_life_before_the_end_it_is_due(void **state)
{
    static const struct {
        int64_t validity_s, rest_s;
    } cases[] = {{DAY_S, DAY_S / 3}, {3600, 1200}, {900, 300}, {600, 300}, {60, 300}};
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    for (size_t n = 0; n < COUNT_OF(cases); n++) {
        AUTO(unref) struct cert *c = issue(i, NOW, cases[n].validity_s);
        int64_t at = cert_due_at(c), latest = c->not_after - cases[n].rest_s;
        assert_true(at <= latest && at >= latest - 4);
        assert_int_equal(cert_due_at(c), at);
        assert_true(cert_due(c, i, at));
        assert_true(cert_due(c, i, c->not_after + 1));
        assert_true(at <= NOW || !cert_due(c, i, at - 1));
        assert_true(cert_due(c, i, c->not_before - 1)); /* the clock was set back */
    }
}

static void a_fleet_doesnt_renew_at_once(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    unsigned seen = 0;
    for (int n = 0; n < 200; n++) {
        AUTO(unref) struct cert *c = issue(i, NOW, DAY_S);
        seen |= 1u << (NOW + DAY_S - DAY_S / 3 - cert_due_at(c));
    }
    assert_int_equal(seen, 0x1f); /* each of 0 to 4 s */
}

/* --- rotation --- */

static void rotation_keeps_old_certificates_good(void **state)
{
    AUTO(issuer_free) struct issuer *i = load(&ecdsa, NOW);
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct str cert, key, cert_pem, key_pem = {0};
    split_file(a, &ecdsa, &cert, &key);
    AUTO(issuer_free) struct issuer *other = load(&ecdsa, NOW);
    assert_true(base64_decode(a, cert, &cert_pem) && base64_decode(a, key, &key_pem));
    struct str old_id = arena_str(a, issuer_id(i)), new_id = issuer_id(other);
    struct err e = ERR_INIT;

    AUTO(unref) struct cert *before = issue(i, NOW, DAY_S);
    assert_int_equal(issuer_sign_with(i, new_id, &e), -1);
    assert_non_null(strstr(e.text, "isn't trusted yet"));
    assert_int_equal(issuer_trust(i, cert_pem, (struct str){0}, &e), 0);
    assert_int_equal(issuer_sign_with(i, new_id, &e), -1);
    assert_non_null(strstr(e.text, "its key isn't known"));
    assert_int_equal(issuer_trust(i, cert_pem, key_pem, &e), 0);
    assert_false(cert_due(before, i, NOW));

    AUTO(unref) struct cert *between = issue(i, NOW, DAY_S);
    assert_true(same(blob_str(between->issuer_id), old_id));
    assert_int_equal(issuer_sign_with(i, new_id, &e), 0);
    assert_true(cert_due(between, i, NOW));
    AUTO(unref) struct cert *after = issue(i, NOW, DAY_S);
    assert_true(same(blob_str(after->issuer_id), new_id));
    assert_false(cert_due(after, i, NOW));
    assert_int_equal(verify(between, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
    assert_int_equal(verify(after, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);

    assert_int_equal(issuer_distrust(i, new_id, &e), -1);
    assert_non_null(strstr(e.text, "let another sign before"));
    assert_int_equal(issuer_distrust(i, old_id, &e), 0);
    AUTO(blob_unref) struct blob *roots = issuer_roots(i);
    assert_true(same(blob_str(roots), cert_pem));
}

static void what_is_no_root_isnt_trusted(void **state)
{
    AUTO(issuer_free) struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    AUTO(unref) struct cert *c = issue(i, NOW, DAY_S);
    struct err e = ERR_INIT;
    assert_int_equal(issuer_trust(i, STR("words"), (struct str){0}, &e), -1);
    assert_non_null(strstr(e.text, "expected a certificate in PEM"));
    assert_int_equal(issuer_trust(i, blob_str(c->chain), (struct str){0}, &e), -1);
    assert_non_null(strstr(e.text, "expected a root certificate"));
    assert_int_equal(issuer_trust(i, blob_str(c->ca), blob_str(c->private_key), &e), -1);
    assert_non_null(strstr(e.text, "and its own key"));
}

/* --- a Secret of a cluster --- */

static struct issuer *fresh(void)
{
    struct issuer *i = NULL;
    assert_int_equal(issuer_new(&ecdsa, NOW, &i, NULL), 0);
    return i;
}

/* A Secret with that data. */
static struct value *secret_with(struct arena *a, const struct value *data)
{
    struct value *secret = value_new(a, VALUE_OBJECT);
    value_set(a, secret, "data", data);
    return secret;
}

static int from_secret(const struct value *secret, int64_t now, struct issuer **ret, struct err *e)
{
    return issuer_from_secret(secret, "Secret mesh/root", &ecdsa, now, ret, e);
}

static void a_secret_holds_all_roots_and_the_first_ones_key(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(issuer_free) struct issuer *one = fresh();
    AUTO(issuer_free) struct issuer *other = fresh();
    assert_true(issuer_trust_as(one, other));
    struct value *secret = secret_with(a, issuer_secret_data(a, one, NULL));
    AUTO(issuer_free) struct issuer *read = NULL;
    assert_int_equal(from_secret(secret, NOW, &read, NULL), 0);
    assert_true(same(issuer_id(read), issuer_id(one)));
    AUTO(blob_unref) struct blob *roots = issuer_roots(one);
    AUTO(blob_unref) struct blob *read_roots = issuer_roots(read);
    assert_true(same(blob_str(read_roots), blob_str(roots)));
    AUTO(unref) struct cert *c = issue(read, NOW, DAY_S);
    assert_int_equal(verify(c, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);
}

static void broken_secrets_are_clear_errors(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(issuer_free) struct issuer *one = fresh();
    AUTO(issuer_free) struct issuer *other = fresh();
    struct value *good = issuer_secret_data(a, one, NULL);
    struct value *others = issuer_secret_data(a, other, NULL);
    struct value *empty = value_new(a, VALUE_OBJECT), *mixed = value_copy(a, good);
    value_set(a, mixed, "private.key", value_member(others, "private.key"));
    const struct {
        const struct value *data;
        int64_t now;
        const char *words;
    } cases[] = {
        {empty, NOW, "Secret mesh/root: data[\"ca.crt\"]: expected PEM in base64, found nothing"},
        {mixed, NOW, "Secret mesh/root: private.key isn't the key of the certificate in ca.crt"},
        {good, NOW + 10 * YEAR_S,
         "Secret mesh/root: the root certificate has expired: put a new root there, or delete the "
         "Secret for one to be made"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct issuer *read = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(from_secret(secret_with(a, cases[i].data), cases[i].now, &read, &e), -1);
        assert_null(read);
        if (!strstr(e.text, cases[i].words)) {
            fail_msg("case %zu: %s", i, e.text);
        }
    }
}

static void following_another_issuer_takes_three_steps(void **state)
{
    AUTO(issuer_free) struct issuer *i = fresh();
    AUTO(issuer_free) struct issuer *target = fresh();
    AUTO(arena_free) struct arena *a = arena_new(256);
    struct str old = arena_str(a, issuer_id(i));
    AUTO(unref) struct cert *before = issue(i, NOW, DAY_S);

    assert_true(issuer_trust_as(i, target));
    assert_false(issuer_trust_as(i, target));
    assert_true(same(issuer_id(i), old));
    assert_false(cert_due(before, i, NOW));
    AUTO(unref) struct cert *theirs = issue(target, NOW, DAY_S);
    AUTO(blob_unref) struct blob *both = issuer_roots(i);
    blob_unref(theirs->ca);
    theirs->ca = blob_ref(both);
    assert_int_equal(verify(theirs, X509_PURPOSE_SSL_SERVER, NOW), X509_V_OK);

    assert_true(issuer_sign_as(i, target));
    assert_false(issuer_sign_as(i, target));
    assert_true(same(issuer_id(i), issuer_id(target)));
    assert_true(cert_due(before, i, NOW));
    AUTO(blob_unref) struct blob *as_before = issuer_roots(i);
    assert_true(same(blob_str(as_before), blob_str(both)));

    assert_true(issuer_distrust_as(i, target));
    assert_false(issuer_distrust_as(i, target));
    AUTO(blob_unref) struct blob *now = issuer_roots(i);
    AUTO(blob_unref) struct blob *want = issuer_roots(target);
    assert_true(same(blob_str(now), blob_str(want)));
}

/* --- who a sidecar is --- */

static void sidecars_are_known_by_their_certificates(void **state)
{
    static const struct {
        const char *common_name, *uri;
        const char *uuid, *account, *namespace; /* uuid NULL: refused */
    } cases[] = {
        {"", "spiffe://td/u1/sidecar/sa/ns", "u1", "sa", "ns"},
        {"", "spiffe://td/u1/sidecar/s.a/ns", "u1", "s.a", "ns"},
        {"u1.sidecar.sa.ns.td", "", "u1", "sa", "ns"},
        {"u1.sidecar.s.a.ns.td", "", "u1", "s.a", "ns"},
        /* The URI counts, whatever the common name says. */
        {"u1.sidecar.sa.ns.td", "spiffe://td/u2/sidecar/sb/nt", "u2", "sb", "nt"},
        {"u1.sidecar.sa.ns.td", "spiffe://other/u2/sidecar/sb/nt", NULL, NULL, NULL},
        {"", "", NULL, NULL, NULL},
        {"", "spiffe://td/sa/ns", NULL, NULL, NULL}, /* a service's */
        {"", "spiffe://td/u1/sidecar/sa", NULL, NULL, NULL},
        {"", "spiffe://td/u1/sidecar/sa/ns/more", NULL, NULL, NULL},
        {"", "spiffe://td/u1/gateway/sa/ns", NULL, NULL, NULL},
        {"", "spiffe://td//sidecar/sa/ns", NULL, NULL, NULL},
        {"", "spiffe://td/u1/sidecar//ns", NULL, NULL, NULL},
        {"", "spiffe://td/u1/sidecar/sa/", NULL, NULL, NULL},
        {"", "spiffe://td/u1/sidecar/sa/n.s", NULL, NULL, NULL},
        {"", "spiffe://td/u1/sidecar/s%2fa/ns", NULL, NULL, NULL},
        {"", "spiffe://tdx/u1/sidecar/sa/ns", NULL, NULL, NULL},
        {"", "https://td/u1/sidecar/sa/ns", NULL, NULL, NULL},
        {"bookstore.demo.td", "", NULL, NULL, NULL},
        {"u1.sidecar.sa.td", "", NULL, NULL, NULL},
        {"u1.sidecar.sa.ns.other", "", NULL, NULL, NULL},
        {"u1.sidecar.sa.nstd", "", NULL, NULL, NULL},
        {".td", "", NULL, NULL, NULL},
        {"td", "", NULL, NULL, NULL},
        {"u1.sidecar.SA.ns.td", "", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct proxy_identity got = {0};
        struct err e = ERR_INIT;
        int result = proxy_identity_parse(str_of(cases[i].common_name), str_of(cases[i].uri), "td",
                                          &got, &e);
        if (result != (cases[i].uuid ? 0 : -1)) {
            fail_msg("case %zu: %d %s", i, result, e.text);
        }
        assert_true(str_is(got.uuid, cases[i].uuid ? cases[i].uuid : ""));
        assert_true(str_is(got.service_account, cases[i].account ? cases[i].account : ""));
        assert_true(str_is(got.namespace, cases[i].namespace ? cases[i].namespace : ""));
        assert_true(result == 0 || strstr(e.text, "trust domain td"));
    }
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_root_is_made_once_and_loaded_again),
        WITH_FOLDER(the_file_is_a_secret_document),
        WITH_FOLDER(the_root_says_that_it_is_one),
        WITH_FOLDER(broken_files_are_clear_errors),
        WITH_FOLDER(a_huge_file_is_refused),
        WITH_FOLDER(a_file_that_others_can_read_is_refused),
        WITH_FOLDER(a_key_of_another_root_is_refused),
        WITH_FOLDER(a_leaf_is_no_root),
        WITH_FOLDER(an_expired_root_is_refused),
        WITH_FOLDER(string_data_is_read_too),
        WITH_FOLDER(a_folder_that_is_missing_is_an_error),
        WITH_FOLDER(processes_that_start_at_once_share_one_root),
        cmocka_unit_test(service_certificates_name_their_identity),
        cmocka_unit_test(sidecars_and_servers_have_names_of_their_own),
        cmocka_unit_test(long_names_are_in_the_alternative_names),
        cmocka_unit_test(keys_are_of_the_kind_asked_for),
        cmocka_unit_test(roots_have_the_key_of_the_options),
        cmocka_unit_test(validity_is_what_was_asked_for),
        cmocka_unit_test(nothing_outlives_its_root),
        cmocka_unit_test(a_third_of_its_life_before_the_end_it_is_due),
        cmocka_unit_test(a_fleet_doesnt_renew_at_once),
        WITH_FOLDER(rotation_keeps_old_certificates_good),
        cmocka_unit_test(what_is_no_root_isnt_trusted),
        cmocka_unit_test(a_secret_holds_all_roots_and_the_first_ones_key),
        cmocka_unit_test(broken_secrets_are_clear_errors),
        cmocka_unit_test(following_another_issuer_takes_three_steps),
        WITH_FOLDER(what_is_written_by_hand_is_as_openssl_writes_it),
        cmocka_unit_test(gateways_are_clients_by_the_names_that_they_are_given),
        cmocka_unit_test(a_gateway_is_given_no_name_of_others),
        cmocka_unit_test(sidecars_are_known_by_their_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
