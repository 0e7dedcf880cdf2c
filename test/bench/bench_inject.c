/* Injection, the whole way: a review comes over HTTPS, the pod gets its sidecar, a certificate is
 * issued, the Secret is made through an API server, the patch goes back.
 *
 * Three processes: the injector's parts on one core (what osm-injector runs, but for its start); an
 * API server that takes Secrets over HTTPS and answers with their metadata, as the real one does,
 * but stores nothing; and the callers, who share the other core. The injector's CPU is the kernel's
 * count for its process, so that it doesn't matter what else the machine does. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../unit/https_client.h"
#include "base/limits.h"
#include "doc/base64.h"
#include "inject/build.h"
#include "inject/names.h"
#include "net/http_server.h"
#include "webhook/configuration.h"
#include "webhook/mutate.h"

enum { CALLERS = 8, WARM_UP = 200 };

static struct issuer *issuer;
static struct cert *server_cert;
static char folder[] = "/tmp/bench_inject.XXXXXX";

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "bench_inject: %s: %s\n", what, e->text);
    exit(1);
}

static void on_core(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static void tell(int fd, const void *p, size_t n)
{
    ASSERT(write(fd, p, n) == (ssize_t)n);
}

static void on_term(void *arg, int signo)
{
    loop_stop(arg);
}

/* --- the API server --- */

/* The metadata, which is what is asked for. */
static void on_secret(void *arg, struct http_request *q)
{
    http_reply(q, 201, "application/json",
               STR("{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
                   "\"metadata\":{\"name\":\"envoy-bootstrap-config-5e1b3c60-2a6a-4f1e-9d3f-"
                   "3a1f7f6e0001\",\"namespace\":\"bookstore\",\"uid\":\"b7e3a3f0-0d52-4d6a-"
                   "8f0b-0c6e2f3d9a10\",\"resourceVersion\":\"12345\",\"creationTimestamp\":"
                   "\"2026-11-25T17:00:00Z\",\"labels\":{\"app.kubernetes.io/name\":"
                   "\"openservicemesh.io\",\"app.kubernetes.io/instance\":\"osm\"}}}"));
}

static void api_server(int to)
{
    static const struct http_route routes[] = {{"POST", "/api/", on_secret}};
    struct tls_server_options t = {.chain_pem = blob_str(server_cert->chain),
                                   .key_pem = blob_str(server_cert->private_key)};
    struct tls_server *tls = NULL;
    struct http_server *server = NULL;
    struct loop *loop = loop_new();
    struct err e = ERR_INIT;
    on_core(1);
    if (tls_server_new(&t, &tls, &e) < 0) {
        die("API server", &e);
    }
    struct http_server_options o = {.loop = loop,
                                    .host = "127.0.0.1",
                                    .tls = tls,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes)};
    if (http_server_start(&o, &server, &e) < 0) {
        die("API server", &e);
    }
    uint16_t port = http_server_port(server);
    tell(to, &port, sizeof(port));
    loop_on_signal(loop, SIGTERM, on_term, loop);
    loop_run(loop);
    exit(0);
}

/* --- the injector --- */

static struct kube_config *config_of(uint16_t api_port)
{
    AUTO(arena_free) struct arena *a = arena_new(16384);
    AUTO(free) char *path = mem_printf("%s/kubeconfig", folder);
    FILE *f = fopen(path, "w");
    ASSERT(f);
    fprintf(f,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "clusters: [{name: k, cluster: {server: \"https://127.0.0.1:%u\", tls-server-name: "
            "api.bench, certificate-authority-data: %s}}]\n"
            "users: [{name: u, user: {token: t}}]\n"
            "contexts: [{name: c, context: {cluster: k, user: u}}]\n",
            api_port, base64_encode(a, blob_str(server_cert->ca)).ptr);
    fclose(f);
    struct kube_config_options o = {.kubeconfig = path};
    struct kube_config *config = NULL;
    struct err e = ERR_INIT;
    if (kube_config_load(&o, &config, &e) < 0) {
        die("kubeconfig", &e);
    }
    unlink(path);
    return config;
}

static void add_namespace(struct arena *a, struct mutation *m);

static void injector(uint16_t api_port, int to)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct loop *loop = loop_new();
    struct webhook_server *server = NULL;
    struct err e = ERR_INIT;
    on_core(0);
    struct mutation_options mo = {
        .client = kube_client_new(config_of(api_port), loop),
        .issuer = issuer,
        .inject = {.mesh_name = "osm",
                   .osm_namespace = "osm-system",
                   .trust_domain = "cluster.local",
                   .ads_host = "osm-controller.osm-system.svc.cluster.local",
                   .ads_port = 15128,
                   .ipv6 = true,
                   .delta = true,
                   .probes = true}};
    struct mutation *m = mutation_new(&mo);
    mutation_set_config(m, mesh_config_default(), true);
    add_namespace(a, m);
    struct webhook_route route = {.path = WEBHOOK_MUTATE_PATH, .begin = mutate, .arg = m};
    struct webhook_options wo = {
        .loop = loop, .host = "127.0.0.1", .routes = &route, .n_routes = 1, .cert = server_cert};
    if (webhook_start(&wo, &server, &e) < 0) {
        die("injector", &e);
    }
    uint16_t port = webhook_port(server);
    tell(to, &port, sizeof(port));
    loop_on_signal(loop, SIGTERM, on_term, loop);
    loop_run(loop);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    tell(to, &used, sizeof(used));
    exit(0);
}

static void add_namespace(struct arena *a, struct mutation *m)
{
    AUTO(object_unref) struct object *ns = NULL;
    const struct value *labels = build_object(a, LABEL_MONITORED_BY, build_text(a, "osm"), NULL);
    const struct value *annotations =
        build_object(a, ANNOTATION_INJECTION, build_text(a, "enabled"), ANNOTATION_METRICS,
                     build_text(a, "enabled"), NULL);
    struct value *document = build_object(
        a, "apiVersion", build_text(a, "v1"), "kind", build_text(a, "Namespace"), "metadata",
        build_object(a, "name", build_text(a, "bookstore"), "labels", labels, "annotations",
                     annotations, NULL),
        NULL);
    ASSERT(object_expect(document, KIND_NAMESPACE, &ns, NULL) == 0);
    mutation_set_namespace(m, (struct namespace *)ns);
}

/* --- the callers --- */

/* A pod as a ReplicaSet makes it, with defaults filled in by the API server. */
static char *review(void)
{
    return mem_printf(
        "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{"
        "\"uid\":\"705ab4f5-6393-11e8-b7cc-42010a800002\",\"kind\":{\"group\":\"\",\"version\":"
        "\"v1\",\"kind\":\"Pod\"},\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":"
        "\"pods\"},\"requestKind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},"
        "\"requestResource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},"
        "\"namespace\":\"bookstore\",\"operation\":\"CREATE\",\"userInfo\":{\"username\":"
        "\"system:serviceaccount:kube-system:replicaset-controller\",\"uid\":\"a\",\"groups\":["
        "\"system:serviceaccounts\",\"system:authenticated\"]},\"object\":{\"kind\":\"Pod\","
        "\"apiVersion\":\"v1\",\"metadata\":{\"generateName\":\"bookstore-v1-5d84fd7b7-\","
        "\"creationTimestamp\":null,\"labels\":{\"app\":\"bookstore\",\"version\":\"v1\","
        "\"pod-template-hash\":\"5d84fd7b7\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\","
        "\"kind\":\"ReplicaSet\",\"name\":\"bookstore-v1-5d84fd7b7\",\"uid\":"
        "\"5d4c8b7e-54f4-4a57-a3a8-9cf9d5a5c3c1\",\"controller\":true,\"blockOwnerDeletion\":true}]"
        "},\"spec\":{\"volumes\":[{\"name\":\"kube-api-access-x2x4z\",\"projected\":{\"sources\":[{"
        "\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{"
        "\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},{"
        "\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\","
        "\"fieldPath\":\"metadata.namespace\"}}]}}],\"defaultMode\":420}}],\"containers\":[{"
        "\"name\":\"bookstore\",\"image\":\"openservicemesh/bookstore:v1.2.4\",\"command\":["
        "\"/bookstore\"],\"args\":[\"--port\",\"14001\"],\"ports\":[{\"name\":\"web\","
        "\"containerPort\":14001,\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"IDENTITY\",\"value\":"
        "\"bookstore-v1\"},{\"name\":\"BOOKWAREHOUSE_NAMESPACE\",\"value\":\"bookwarehouse\"}],"
        "\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"256Mi\"},\"requests\":{\"cpu\":"
        "\"100m\",\"memory\":\"64Mi\"}},\"volumeMounts\":[{\"name\":\"kube-api-access-x2x4z\","
        "\"readOnly\":true,\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}],"
        "\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":\"web\",\"scheme\":"
        "\"HTTP\"},\"timeoutSeconds\":1,\"periodSeconds\":10,\"successThreshold\":1,"
        "\"failureThreshold\":3},\"readinessProbe\":{\"httpGet\":{\"path\":\"/ready\",\"port\":"
        "14001,\"scheme\":\"HTTP\"},\"timeoutSeconds\":2,\"periodSeconds\":5,\"successThreshold\":"
        "1,\"failureThreshold\":3},\"terminationMessagePath\":\"/dev/termination-log\","
        "\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"IfNotPresent\"}],"
        "\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":"
        "\"ClusterFirst\",\"serviceAccountName\":\"bookstore\",\"serviceAccount\":\"bookstore\","
        "\"securityContext\":{},\"schedulerName\":\"default-scheduler\",\"tolerations\":[{\"key\":"
        "\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\","
        "\"tolerationSeconds\":300},{\"key\":\"node.kubernetes.io/unreachable\",\"operator\":"
        "\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}],\"priority\":0,"
        "\"enableServiceLinks\":true,\"preemptionPolicy\":\"PreemptLowerPriority\"},\"status\":{}},"
        "\"oldObject\":null,\"dryRun\":false,\"options\":{\"kind\":\"CreateOptions\","
        "\"apiVersion\":\"meta.k8s.io/v1\"}}}");
}

struct caller {
    pthread_t thread;
    uint16_t port;
    const char *text;
    size_t n;            /* reviews */
    int64_t begin_us;    /* of the first */
    int64_t interval_us; /* between two; 0: as fast as answers come */
    int64_t *took_us;
};

static void one(struct client *c, const char *text)
{
    AUTO(buf_done) struct buf answer;
    int status = client_post(c, WEBHOOK_MUTATE_PATH "?timeout=20s", "application/json",
                             str_of(text), &answer);
    if (status != 200 || !strstr(answer.data, "\"allowed\":true,\"patchType\"")) {
        fprintf(stderr, "bench_inject: status %d: %s\n", status, answer.len ? answer.data : "");
        exit(1);
    }
}

static void *call(void *arg)
{
    struct caller *k = arg;
    struct client c;
    if (!client_open(&c, k->port, 0)) {
        fprintf(stderr, "bench_inject: no connection\n");
        exit(1);
    }
    for (size_t i = 0; i < k->n; i++) {
        int64_t due = k->begin_us + (int64_t)i * k->interval_us, now = clock_mono_us();
        if (k->interval_us > 0 && now < due) {
            usleep((useconds_t)(due - now));
        }
        /* A call that is late because the one before was, is late all the same. */
        int64_t from = k->interval_us > 0 ? due : clock_mono_us();
        one(&c, k->text);
        k->took_us[i] = clock_mono_us() - from;
    }
    client_close(&c);
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* rate 0: as fast as possible. Prints reviews a second and how long they took. */
static void run(uint16_t port, const char *text, size_t total, int rate, const char *name)
{
    struct caller callers[CALLERS];
    int64_t *took = mem_array(NULL, total, sizeof(*took)), begun = clock_mono_us() + 10000;
    size_t each = total / CALLERS;
    for (int i = 0; i < CALLERS; i++) {
        int64_t interval = rate ? 1000000LL * CALLERS / rate : 0;
        callers[i] = (struct caller){.port = port,
                                     .text = text,
                                     .n = each,
                                     .begin_us = begun + i * interval / CALLERS,
                                     .interval_us = interval,
                                     .took_us = took + (size_t)i * each};
        pthread_create(&callers[i].thread, NULL, call, &callers[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
    }
    double seconds = (double)(clock_mono_us() - begun) / 1e6;
    qsort(took, each * CALLERS, sizeof(*took), by_time);
    printf("{\"run\":\"%s\",\"reviews\":%zu,\"per_s\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
           "\"max_ms\":%.2f}\n",
           name, each * CALLERS, (double)(each * CALLERS) / seconds,
           (double)took[each * CALLERS / 2] / 1e3, (double)took[each * CALLERS * 99 / 100] / 1e3,
           (double)took[each * CALLERS - 1] / 1e3);
    fflush(stdout);
    free(took);
}

static uint16_t wait_port(int fd)
{
    uint16_t port = 0;
    if (read(fd, &port, sizeof(port)) != sizeof(port)) {
        fprintf(stderr, "bench_inject: a server didn't start\n");
        exit(1);
    }
    return port;
}

/* bench_inject REVIEWS RATE: so many as fast as possible, and as many at a rate. */
int main(int argc, char **argv)
{
    size_t total = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    int rate = argc > 2 ? atoi(argv[2]) : 1000, api[2], injected[2];
    struct issuer_options io = {.trust_domain = "cluster.local"};
    struct err e = ERR_INIT;
    signal(SIGPIPE, SIG_IGN);
    if (issuer_new(&io, clock_wall_s(), &issuer, &e) < 0 ||
        issuer_issue_server(issuer, STR("api.bench"), clock_wall_s(), &server_cert, &e) < 0) {
        die("certificates", &e);
    }
    ASSERT(mkdtemp(folder) && pipe(api) == 0 && pipe(injected) == 0);
    pid_t api_pid = fork();
    if (api_pid == 0) {
        api_server(api[1]);
    }
    uint16_t api_port = wait_port(api[0]);
    pid_t pid = fork();
    if (pid == 0) {
        injector(api_port, injected[1]);
    }
    uint16_t port = wait_port(injected[0]);
    on_core(1);
    AUTO(free) char *text = review();
    run(port, text, WARM_UP, 0, "warm up");
    run(port, text, total, 0, "fast");
    run(port, text, total, rate, "rate");
    kill(pid, SIGTERM);
    struct rusage used;
    if (read(injected[0], &used, sizeof(used)) != sizeof(used)) {
        fprintf(stderr, "bench_inject: the injector died\n");
        return 1;
    }
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    size_t reviews = 2 * (total / CALLERS) * CALLERS + WARM_UP;
    printf("{\"run\":\"cpu\",\"us_per_review\":%.0f,\"per_core_s\":%.0f,\"review_bytes\":%zu,"
           "\"resident_mib\":%.1f}\n",
           cpu * 1e6 / (double)reviews, (double)reviews / cpu, strlen(text),
           (double)used.ru_maxrss / 1024);
    kill(api_pid, SIGTERM);
    waitpid(pid, NULL, 0);
    waitpid(api_pid, NULL, 0);
    rmdir(folder);
    return 0;
}
