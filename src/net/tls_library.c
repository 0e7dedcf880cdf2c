/* A library context of OpenSSL with few algorithms. */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "net/tls_internal.h"

/* OpenSSL 3.0 reads the public key of every certificate by a search among all its decoders (some
 * 70), and to find its key type looks through every algorithm of any sort that it knows (some 250).
 * That is a quarter of what a mutual handshake costs, as it happens for the client's certificate
 * and again for the copy of it in the session's ticket. So handshakes have a library context whose
 * one provider is OpenSSL's own with short lists: public keys as certificates have them, and what
 * else TLS uses. */
static const char *const key_types[] = {"EC",     "RSA",  "RSA-PSS", "ED25519", "ED448",
                                        "X25519", "X448", "HMAC",    NULL};
/* Of suites that are authenticated in one step; and of tickets, which are CBC. */
static const char *const ciphers[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305",
                                      "AES-256-CBC", NULL};
/* "DER" finds out which type a key is of. */
static const char *const decoded_types[] = {"DER",     "EC",    "RSA", "RSA-PSS",
                                            "ED25519", "ED448", NULL};

static const struct selection {
    int operation;
    const char *const *names;
    const char *property; /* NULL: any */
} selections[] = {
    {OSSL_OP_CIPHER, ciphers, NULL},
    {OSSL_OP_KEYMGMT, key_types, NULL},
    {OSSL_OP_DECODER, decoded_types, "structure=SubjectPublicKeyInfo"},
};

enum { KEPT_MAX = 64 };
static OSSL_PROVIDER *whole; /* OpenSSL's, in the default context */
static OSSL_ALGORITHM kept[COUNT_OF(selections)][KEPT_MAX + 1];
static OSSL_LIB_CTX *library;

/* a->algorithm_names: "EC:id-ecPublicKey:1.2.840.10045.2.1" */
static bool is_selected(const struct selection *s, const OSSL_ALGORITHM *a)
{
    size_t len = strcspn(a->algorithm_names, ":");
    for (const char *const *name = s->names; *name; name++) {
        if (strlen(*name) == len && strncasecmp(a->algorithm_names, *name, len) == 0) {
            return !s->property || strstr(a->property_definition, s->property);
        }
    }
    return false;
}

static bool keep(const struct selection *s, OSSL_ALGORITHM *out)
{
    int no_cache = 0;
    size_t n = 0;
    const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(whole, s->operation, &no_cache);
    for (; a && a->algorithm_names && n < KEPT_MAX; a++) {
        if (is_selected(s, a)) {
            out[n++] = *a;
        }
    }
    return n > 0;
}

static const OSSL_ALGORITHM *on_query(void *provider, int operation, int *no_cache)
{
    for (size_t i = 0; i < COUNT_OF(selections); i++) {
        if (selections[i].operation == operation) {
            *no_cache = 0;
            return kept[i];
        }
    }
    return OSSL_PROVIDER_query_operation(whole, operation, no_cache);
}

static int on_capabilities(void *provider, const char *name, OSSL_CALLBACK *cb, void *arg)
{
    return OSSL_PROVIDER_get_capabilities(whole, name, cb, arg);
}

static int on_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                   const OSSL_DISPATCH **out, void **provider)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))on_query},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))on_capabilities},
        {0, NULL},
    };
    *out = functions;
    *provider = OSSL_PROVIDER_get0_provider_ctx(whole);
    return 1;
}

/* Where OpenSSL is configured to have another provider than its default (FIPS), that one is used,
 * at its price. */
static void make_library(void)
{
    if (!OSSL_PROVIDER_available(NULL, "default")) {
        return;
    }
    whole = OSSL_PROVIDER_load(NULL, "default");
    bool good = whole != NULL;
    for (size_t i = 0; good && i < COUNT_OF(selections); i++) {
        good = keep(&selections[i], kept[i]);
    }
    if (!good) {
        return;
    }
    OSSL_LIB_CTX *fresh = OSSL_LIB_CTX_new();
    if (fresh && OSSL_PROVIDER_add_builtin(fresh, "handshakes", on_init) == 1 &&
        OSSL_PROVIDER_load(fresh, "handshakes")) {
        library = fresh;
    } else {
        OSSL_LIB_CTX_free(fresh);
    }
}

OSSL_LIB_CTX *tls_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_library);
    return library;
}
