/* kubeconfig files in all their forms, what is wrong with them, and credentials that change. */
#include "kube_fixture.h"

#include <sys/stat.h>

#include "kube/internal.h"

struct fixture {
    char folder[32];
    struct kube_config *config;
};

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    strcpy(f->folder, "/tmp/test_config.XXXXXX");
    *state = f;
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("OSM_SERVICE_ACCOUNT_FOLDER");
    return mkdtemp(f->folder) && setenv("HOME", f->folder, 1) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    AUTO(free) char *command = mem_printf("rm -r %s", f->folder);
    kube_config_free(f->config);
    int left = system(command);
    free(f);
    return left;
}

static const char *path(struct fixture *f, const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *p = paths[next++ % COUNT_OF(paths)];
    snprintf(p, sizeof(paths[0]), "%s/%s", f->folder, name);
    return p;
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
    api_write_file(path(f, name), text);
}

static int load(struct fixture *f, const struct kube_config_options *o, struct err *e)
{
    kube_config_free(TAKE(f->config));
    return kube_config_load(o, &f->config, e);
}

static void load_ok(struct fixture *f, const struct kube_config_options *o)
{
    struct err e = ERR_INIT;
    if (load(f, o, &e) < 0) {
        fail_msg("%s", e.text);
    }
}

static int renewed(struct fixture *f, int64_t now, struct kube_credentials *ret, struct err *e)
{
    return kube_config_renew(f->config, now, e) < 0 ? -1
                                                    : kube_config_credentials(f->config, ret, e);
}

static struct kube_credentials credentials_at(struct fixture *f, int64_t now)
{
    struct kube_credentials c;
    struct err e = ERR_INIT;
    if (renewed(f, now, &c, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return c;
}

static void assert_header(struct kube_credentials c, size_t i, const char *header)
{
    for (size_t k = 0; k <= i; k++) {
        assert_true(c.headers[k] || !header);
        if (!c.headers[k]) {
            return;
        }
    }
    assert_non_null(c.headers[i]);
    assert_string_equal(c.headers[i], header);
}

static void assert_pem(struct str found, const char *expected)
{
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.ptr, expected, found.len);
}

#define ONE(cluster, user)                                                                         \
    "apiVersion: v1\nkind: Config\npreferences: {}\n"                                              \
    "clusters: [{name: c, cluster: {" cluster "}}]\n"                                              \
    "users: [{name: u, user: {" user "}}]\n"                                                       \
    "contexts: [{name: x, context: {cluster: c, user: u, namespace: shop}}]\n"                     \
    "current-context: x\n"

static void all_of_a_cluster(void **state)
{
    struct fixture *f = *state;
    write_file(f, "config",
               ONE("server: 'https://10.0.0.1:6443/', certificate-authority-data: Q0E=, "
                   "tls-server-name: kubernetes, proxy-url: 'http://proxy:3128'",
                   "client-certificate-data: Q0VSVA==, client-key-data: S0VZ"));
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    assert_string_equal(kube_config_server(f->config), "https://10.0.0.1:6443");
    assert_string_equal(kube_config_context(f->config), "x");
    assert_string_equal(kube_config_namespace(f->config), "shop");
    assert_true(str_is(f->config->cluster.proxy, "http://proxy:3128"));
    struct kube_credentials c = credentials_at(f, 0);
    assert_pem(c.tls.ca, "CA");
    assert_pem(c.tls.cert, "CERT");
    assert_pem(c.tls.key, "KEY");
    assert_string_equal(c.tls.server_name, "kubernetes");
    assert_false(c.tls.insecure);
    assert_header(c, 0, NULL);
}

static void files_beside_the_kubeconfig(void **state)
{
    struct fixture *f = *state;
    write_file(f, "config",
               ONE("server: 'https://c', certificate-authority: ca.crt",
                   "client-certificate: a.crt, client-key: ./a.key"));
    write_file(f, "ca.crt", "CA");
    write_file(f, "a.crt", "one");
    write_file(f, "a.key", "KEY");
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    assert_pem(credentials_at(f, 0).tls.cert, "one");
    write_file(f, "a.crt", "second");
    assert_pem(credentials_at(f, 0).tls.cert, "second");
    /* While it is being replaced, what was there goes on. */
    unlink(path(f, "a.crt"));
    assert_pem(credentials_at(f, 0).tls.cert, "second");
    assert_pem(credentials_at(f, 0).tls.ca, "CA");
}

static void a_file_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct kube_credentials c;
    struct err e = ERR_INIT;
    write_file(f, "config", ONE("server: 'https://c', certificate-authority: /no/ca.crt", ""));
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    assert_int_equal(renewed(f, 0, &c, &e), -1);
    assert_string_equal(e.text, "certificate-authority: /no/ca.crt: can't be read: No such file or "
                                "directory");
}

static void tokens(void **state)
{
    struct fixture *f = *state;
    struct kube_config_options o = {.kubeconfig = path(f, "config")};
    struct kube_credentials c;
    struct err e = ERR_INIT;
    write_file(f, "config", ONE("server: 'https://c'", "token: abc"));
    load_ok(f, &o);
    assert_header(credentials_at(f, 0), 0, "Authorization: Bearer abc");
    assert_false(kube_config_refused(f->config));
    write_file(f, "token", "first\n");
    write_file(f, "config", ONE("server: 'https://c'", "token: abc, tokenFile: token"));
    load_ok(f, &o);
    assert_header(credentials_at(f, 0), 0, "Authorization: Bearer first");
    assert_false(kube_config_refused(f->config));
    write_file(f, "token", "second\n");
    assert_true(kube_config_refused(f->config));
    assert_header(credentials_at(f, 0), 0, "Authorization: Bearer second");
    write_file(f, "token", "third\r\nEvil: header\n");
    assert_int_equal(renewed(f, 0, &c, &e), -1);
    assert_non_null(strstr(e.text, "/token: expected a token on one line, found several"));
    write_file(f, "token", " \n");
    assert_int_equal(renewed(f, 0, &c, &e), -1);
    assert_non_null(strstr(e.text, "/token: expected a token on one line, found nothing"));
}

static void basic_and_impersonation(void **state)
{
    struct fixture *f = *state;
    write_file(f, "config",
               ONE("server: 'http://c', insecure-skip-tls-verify: true",
                   "username: me, password: pw, as: jane, as-uid: '7', as-groups: [a, b], "
                   "as-user-extra: {'acme.com/x': [one, two]}"));
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    struct kube_credentials c = credentials_at(f, 0);
    assert_header(c, 0, "Authorization: Basic bWU6cHc=");
    assert_header(c, 1, "Impersonate-User: jane");
    assert_header(c, 2, "Impersonate-Uid: 7");
    assert_header(c, 3, "Impersonate-Group: a");
    assert_header(c, 4, "Impersonate-Group: b");
    assert_header(c, 5, "Impersonate-Extra-acme.com%2Fx: one");
    assert_header(c, 6, "Impersonate-Extra-acme.com%2Fx: two");
    assert_null(c.headers[7]);
    assert_true(c.tls.insecure);
}

static void lists_are_merged(void **state)
{
    struct fixture *f = *state;
    write_file(f, "one",
               "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
               "clusters: [{name: c, cluster: {server: 'https://one'}}]\n");
    write_file(f, "two", ONE("server: 'https://two'", "token: two"));
    AUTO(free) char *list = mem_printf("%s:%s::%s", path(f, "one"), path(f, "no"), path(f, "two"));
    setenv("KUBECONFIG", list, 1);
    load_ok(f, NULL);
    assert_string_equal(kube_config_server(f->config), "https://one");
    assert_string_equal(kube_config_namespace(f->config),
                        "default"); /* the first has the context */
    assert_header(credentials_at(f, 0), 0, "Authorization: Bearer two");
}

static void the_file_at_home(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(path(f, ".kube"), 0700), 0);
    write_file(f, ".kube/config", ONE("server: 'https://home'", ""));
    load_ok(f, NULL);
    assert_string_equal(kube_config_server(f->config), "https://home");
}

static void another_context(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    write_file(f, "config",
               "clusters: [{name: a, cluster: {server: 'https://a'}},"
               " {name: b, cluster: {server: 'https://b'}}]\n"
               "contexts: [{name: a, context: {cluster: a}}, {name: b, context: {cluster: b}}]\n");
    struct kube_config_options o = {.kubeconfig = path(f, "config"), .context = "b"};
    load_ok(f, &o);
    assert_string_equal(kube_config_server(f->config), "https://b");
    o.context = "c";
    assert_int_equal(load(f, &o, &e), -1);
    assert_non_null(strstr(e.text, "/config: there is no context \"c\"; there are: a, b"));
    o.context = NULL;
    assert_int_equal(load(f, &o, &e), -1);
    assert_non_null(strstr(e.text, "/config: current-context: isn't set; choose one with \"kubectl "
                                   "config use-context NAME\" (there are: a, b)"));
}

static void in_a_pod(void **state)
{
    struct fixture *f = *state;
    write_file(f, "token", "pod\n");
    write_file(f, "ca.crt", "CA");
    write_file(f, "namespace", "osm-system");
    setenv("OSM_SERVICE_ACCOUNT_FOLDER", f->folder, 1);
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    load_ok(f, NULL);
    assert_string_equal(kube_config_server(f->config), "https://[fd00::1]:443");
    assert_string_equal(kube_config_context(f->config), "in-cluster");
    assert_string_equal(kube_config_namespace(f->config), "osm-system");
    assert_header(credentials_at(f, 0), 0, "Authorization: Bearer pod");
    assert_pem(credentials_at(f, 0).tls.ca, "CA");
}

static void nowhere(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(load(f, NULL, &e), -1);
    AUTO(free)
    char *expected = mem_printf("no cluster is configured: there is no file \"%s/.kube/config\", "
                                "and this is no pod; name a kubeconfig with --kubeconfig or in "
                                "KUBECONFIG",
                                f->folder);
    assert_string_equal(e.text, expected);
    struct kube_config_options o = {.kubeconfig = path(f, "config")};
    assert_int_equal(load(f, &o, &e), -1);
    assert_non_null(strstr(e.text, "/config: there is no such kubeconfig"));
}

/* --- what is wrong with files --- */

static const struct {
    const char *text, *error; /* what the error ends with, after the file's name */
} bad[] = {
    {"[1]", ": expected a kubeconfig (clusters, users, contexts), found something else"},
    {"a: b: c", ":1: "},
    {"clusters: 7\n", ":1: clusters: expected a list, found 7"},
    {"clusters:\n- name: c\n",
     ":2: clusters[0].cluster: is required: expected a map of fields, found "
     "nothing"},
    {"users:\n- user: {}\n", ":2: users[0].name: is required: expected text, found nothing"},
    {"contexts: [{name: x, context: {cluster: c, namespace: A_B}}]\n",
     ":1: contexts[0].context.namespace: expected a name of lower-case letters, digits"},
    {"contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n",
     ": context \"x\": there is no cluster \"c\"; there are: none"},
    {"clusters: [{name: c, cluster: {server: 'https://c'}}]\n"
     "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n",
     ": context \"x\": there is no user \"u\"; there are: none"},
    {ONE("server: '10.0.0.1:6443'", ""),
     ": cluster \"c\": server: expected a URL such as \"https://10.0.0.1:6443\", found "
     "\"10.0.0.1:6443\""},
    {ONE("", ""), ": cluster \"c\": server: expected a URL such as \"https://10.0.0.1:6443\", "
                  "found \"\""},
    {ONE("server: 'https://c', certificate-authority-data: '%%%'", ""),
     ": certificate-authority-data: expected base64 of a PEM text, found something else"},
    {ONE("server: 'https://c', certificate-authority: a, insecure-skip-tls-verify: true", ""),
     ": cluster \"c\": insecure-skip-tls-verify: expected no certificate-authority beside it; "
     "remove one of both"},
    {ONE("server: 'https://c'", "client-certificate: a.crt"),
     ": user \"u\": client-key: is required beside client-certificate, found nothing"},
    {ONE("server: 'https://c'", "client-key-data: S0VZ"),
     ": user \"u\": client-certificate: is required beside client-key, found nothing"},
    {ONE("server: 'https://c'", "auth-provider: {name: gcp}"),
     ": user \"u\": auth-provider: is no longer supported, as in kubectl since 1.26; use exec with "
     "your provider's plugin"},
    {ONE("server: 'https://c'", "exec: {apiVersion: v1, command: x}"),
     "exec.apiVersion: expected \"client.authentication.k8s.io/v1\" or "
     "\"client.authentication.k8s.io/v1beta1\", found \"v1\""},
    {ONE("server: 'https://c'", "exec: {apiVersion: client.authentication.k8s.io/v1}"),
     "exec.command: is required: expected text, found nothing"},
    {ONE("server: 'https://c'",
         "token: a, exec: {apiVersion: client.authentication.k8s.io/v1, command: x}"),
     ": user \"u\": exec: expected no token or username beside it"},
    {ONE("server: 'https://c'", "token: [secret]"), "user.token: expected text, found a list"},
};

static void bad_files(void **state)
{
    struct fixture *f = *state;
    struct kube_config_options o = {.kubeconfig = path(f, "config")};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err e = ERR_INIT;
        write_file(f, "config", bad[i].text);
        assert_int_equal(load(f, &o, &e), -1);
        if (!strstr(e.text, bad[i].error) || strncmp(e.text, o.kubeconfig, strlen(o.kubeconfig))) {
            fail_msg("row %zu: expected \"...%s\", found \"%s\"", i, bad[i].error, e.text);
        }
        assert_null(strstr(e.text, "secret"));
    }
}

static void a_folder_and_a_large_file(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct kube_config_options o = {.kubeconfig = f->folder};
    assert_int_equal(load(f, &o, &e), -1);
    assert_non_null(strstr(e.text, ": expected a file, found something else"));
    AUTO(free) char *text = mem_alloc((5 << 20) + 1);
    memset(text, '#', 5 << 20);
    text[5 << 20] = '\0';
    write_file(f, "config", text);
    o.kubeconfig = path(f, "config");
    assert_int_equal(load(f, &o, &e), -1);
    assert_non_null(strstr(e.text, "/config: expected at most 4194304 bytes, found more"));
}

/* --- exec plugins --- */

#define EXEC_CONFIG(version, more)                                                                 \
    ONE("server: 'https://c', certificate-authority-data: Q0E=",                                   \
        "exec: {apiVersion: client.authentication.k8s.io/" version ", command: ./plugin" more "}")

static void plugin(struct fixture *f, const char *script)
{
    AUTO(free)
    char *text =
        mem_printf("#!/bin/sh\ncd '%s' || exit 9\necho run >> runs\n%s\n", f->folder, script);
    write_file(f, "plugin", text);
    assert_int_equal(chmod(path(f, "plugin"), 0700), 0);
}

static size_t runs(struct fixture *f)
{
    struct stat st;
    return stat(path(f, "runs"), &st) == 0 ? (size_t)st.st_size / strlen("run\n") : 0;
}

#define CREDENTIAL(version, status)                                                                \
    "echo '{\"apiVersion\":\"client.authentication.k8s.io/" version                                \
    "\",\"kind\":\"ExecCredential\",\"status\":{" status "}}'"

static void plugins_run_when_they_must(void **state)
{
    struct fixture *f = *state;
    write_file(f, "config", EXEC_CONFIG("v1", ""));
    plugin(f, CREDENTIAL("v1", "\"token\":\"t1\","
                               "\"expirationTimestamp\":\"2026-01-02T03:04:05+01:00\""));
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    assert_int_equal(runs(f), 0);
    int64_t expires = 1767319445; /* 2026-01-02T02:04:05Z */
    assert_header(credentials_at(f, expires - 100), 0, "Authorization: Bearer t1");
    assert_header(credentials_at(f, expires - 1), 0, "Authorization: Bearer t1");
    assert_int_equal(runs(f), 1);
    plugin(f, CREDENTIAL("v1", "\"token\":\"t2\""));
    assert_header(credentials_at(f, expires), 0, "Authorization: Bearer t2");
    assert_int_equal(runs(f), 2);
    /* It says no time, so it is good until it is refused. */
    assert_header(credentials_at(f, expires + 1000000), 0, "Authorization: Bearer t2");
    assert_int_equal(runs(f), 2);
    assert_true(kube_config_refused(f->config));
    credentials_at(f, expires);
    assert_int_equal(runs(f), 3);
}

static void plugins_give_certificates(void **state)
{
    struct fixture *f = *state;
    write_file(f, "config", EXEC_CONFIG("v1beta1", ""));
    plugin(f,
           CREDENTIAL("v1beta1", "\"clientCertificateData\":\"CERT\",\"clientKeyData\":\"KEY\""));
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    struct kube_credentials c = credentials_at(f, 0);
    assert_pem(c.tls.cert, "CERT");
    assert_pem(c.tls.key, "KEY");
}

static void plugins_are_told(void **state)
{
    struct fixture *f = *state;
    write_file(f, "config",
               EXEC_CONFIG("v1",
                           ", args: ['$(reboot)', 'a b', \"\"], env: [{name: A, value: 'x y'}],"
                           " provideClusterInfo: true, interactiveMode: Never"));
    plugin(
        f,
        "printf '%s\\n' \"$#\" \"$1\" \"$2\" \"$A\" \"$KUBERNETES_EXEC_INFO\" > told\n" CREDENTIAL(
            "v1", "\"token\":\"t\""));
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    credentials_at(f, 0);
    AUTO(free) char *told = NULL;
    size_t len;
    struct stat st;
    assert_int_equal(kube_read_file(path(f, "told"), 4096, &told, &len, &st, NULL), 0);
    assert_string_equal(
        told, "3\n$(reboot)\na b\nx y\n"
              "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
              "\"spec\":{\"interactive\":false,\"cluster\":{\"server\":\"https://c\","
              "\"certificate-authority-data\":\"Q0E=\",\"insecure-skip-tls-verify\":false}}}\n");
}

static const struct {
    const char *script, *error;
} bad_plugins[] = {
    {"exit 3", "failed with exit code 3; what it printed says why"},
    {"kill -9 $$", "failed with signal 9; what it printed says why"},
    {"echo no", "printed: broken JSON at line 1"},
    {"head -c 2000000 /dev/zero", "printed too much"},
    {"echo '{\"kind\":\"ExecCredential\"}'",
     "printed: expected an ExecCredential of client.authentication.k8s.io/v1, found something "
     "else"},
    {CREDENTIAL("v1beta1", "\"token\":\"t\""),
     "expected an ExecCredential of client.authentication.k8s.io/v1, found something else"},
    {CREDENTIAL("v1", ""), "status: expected a token or a client certificate, found neither"},
    {CREDENTIAL("v1", "\"clientKeyData\":\"k\""),
     "status: expected both clientCertificateData and clientKeyData or none"},
    {CREDENTIAL("v1", "\"token\":\"t\",\"expirationTimestamp\":\"tomorrow\""),
     "status.expirationTimestamp: expected a time such as \"2026-01-02T15:04:05Z\", found "
     "something else"},
};

static void bad_plugins_say_why(void **state)
{
    struct fixture *f = *state;
    write_file(f, "config", EXEC_CONFIG("v1", ""));
    for (size_t i = 0; i < COUNT_OF(bad_plugins); i++) {
        struct kube_credentials c;
        struct err e = ERR_INIT;
        plugin(f, bad_plugins[i].script);
        load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
        assert_int_equal(renewed(f, 0, &c, &e), -1);
        if (!strstr(e.text, bad_plugins[i].error) || strncmp(e.text, "exec: ", 6) != 0) {
            fail_msg("row %zu: expected \"%s\", found \"%s\"", i, bad_plugins[i].error, e.text);
        }
    }
}

static void a_plugin_that_goes_on_is_stopped(void **state)
{
    static const char *const scripts[] = {"exec sleep 600", "exec sleep 600 >&-"};
    struct fixture *f = *state;
    write_file(f, "config", EXEC_CONFIG("v1", ""));
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        struct kube_credentials c;
        struct err e = ERR_INIT;
        plugin(f, scripts[i]);
        load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
        f->config->plugin_ms = 100;
        assert_int_equal(renewed(f, 0, &c, &e), -1);
        assert_non_null(strstr(e.text, "didn't end in time and was stopped"));
    }
}

static void a_plugin_that_is_not_installed(void **state)
{
    struct fixture *f = *state;
    struct kube_credentials c;
    struct err e = ERR_INIT;
    write_file(f, "config",
               ONE("server: 'https://c'", "exec: {apiVersion: client.authentication.k8s.io/v1, "
                                          "command: no-such-plugin, installHint: buy it}"));
    load_ok(f, &(struct kube_config_options){.kubeconfig = path(f, "config")});
    assert_int_equal(renewed(f, 0, &c, &e), -1);
    assert_string_equal(e.text, "exec: \"no-such-plugin\" can't be run: No such file or directory; "
                                "buy it");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_of_a_cluster),
        TEST(files_beside_the_kubeconfig),
        TEST(a_file_that_is_not_there),
        TEST(tokens),
        TEST(basic_and_impersonation),
        TEST(lists_are_merged),
        TEST(the_file_at_home),
        TEST(another_context),
        TEST(in_a_pod),
        TEST(nowhere),
        TEST(bad_files),
        TEST(a_folder_and_a_large_file),
        TEST(plugins_run_when_they_must),
        TEST(plugins_give_certificates),
        TEST(plugins_are_told),
        TEST(bad_plugins_say_why),
        TEST(a_plugin_that_goes_on_is_stopped),
        TEST(a_plugin_that_is_not_installed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
