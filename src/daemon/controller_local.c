/* The controller without a cluster: manifests in folders, the root in a file, a control socket. */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/ca.h"
#include "daemon/controller.h"
#include "observe/pages.h"
#include "source/source.h"

#define DRAIN_MS 2000
/* Of RSA keys, until MeshConfig says otherwise. */
#define KEY_BITS 2048

struct local {
    struct dir_source *source; /* c->source */
    struct http_server *http;
    struct ca_follower *ca;
};

static int load_root(struct controller *c, struct err *e)
{
    struct issuer_options o = {
        .trust_domain = c->common->trust_domain, .key = CERT_KEY_ECDSA_P256, .key_bits = KEY_BITS};
    return issuer_load_or_create(c->flags->ca_file, &o, clock_wall_s(), &c->issuer, e);
}

static void on_change(void *arg)
{
    controller_update(arg);
}

static int start_http(struct controller *c, struct err *e)
{
    static const struct http_route routes[] = {
        {"GET", "/ready", controller_on_ready},
        {"GET", "/status", controller_on_status},
    };
    struct http_server_options o = {.loop = c->loop,
                                    .unix_path = c->flags->http_socket,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = c};
    return o.unix_path ? pages_start(&o, &c->local->http, e) : 0;
}

static void on_roots(void *arg)
{
    controller_roots_changed(arg);
}

static void on_ca_problem(void *arg, const char *problem)
{
    if (problem) {
        log_event(LOG_ERROR, "the mesh's root stays as it was", "reason", problem, "error_code",
                  "E4016", NULL);
    }
}

static int start(struct controller *c, struct err *e)
{
    c->local = NEW(struct local);
    struct ca_follow_options ca = {.loop = c->loop,
                                   .flags = c->common,
                                   .issuer = c->issuer,
                                   .on_change = on_roots,
                                   .on_problem = on_ca_problem,
                                   .arg = c};
    c->local->ca = ca_follow(&ca);
    struct dir_source_options o = {.loop = c->loop,
                                   .store = c->store,
                                   .roots = c->flags->sources.at,
                                   .n_roots = c->flags->sources.len,
                                   .on_change = on_change,
                                   .arg = c};
    if (dir_source_start(&o, &c->local->source, e) < 0) {
        return -1;
    }
    c->source = dir_source_common(c->local->source);
    return start_http(c, e);
}

static void tick(struct controller *c, int64_t now)
{
    ca_offer_file(c->local->ca, c->flags->ca_file);
}

static void end(struct controller *c)
{
    ads_drain(c->ads, DRAIN_MS);
    controller_end(c);
}

static void stop(struct controller *c)
{
    if (c->local) {
        http_server_free(c->local->http);
        ca_follower_free(c->local->ca);
        free(c->local);
    }
}

static uint64_t digest(const struct controller *c, size_t root)
{
    return dir_source_digest(c->local->source, root);
}

const struct mode controller_local = {
    .ads_address = "0.0.0.0:15128",
    .load_root = load_root,
    .start = start,
    .tick = tick,
    .end = end,
    .stop = stop,
    .digest = digest,
};
