/* Random policies and calls: the mesh lets through what the reference does. */
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "../unit/mesh_fixture.h"
#include "random_mesh.h"
#include "smi_reference.h"

/* The world's patterns mean the same in POSIX and RE2. */
static bool whole_match(void *arg, struct str pattern, struct str text)
{
    AUTO(free) char *anchored = mem_printf("^(%.*s)$", STR_ARG(pattern));
    AUTO(free) char *subject = mem_printf("%.*s", STR_ARG(text));
    regex_t re;
    ASSERT(regcomp(&re, anchored, REG_EXTENDED | REG_NOSUB) == 0);
    bool yes = regexec(&re, subject, 0, NULL, 0) == 0;
    regfree(&re);
    return yes;
}

struct random_call {
    struct mesh_call call;
    char source[32], destination[32];
    struct pair headers[2];
};

static void random_call(struct rng *r, struct random_call *c)
{
    static const char *const names[] = {":authority", "x-one", "two"};
    snprintf(c->source, sizeof(c->source), "%s/s%u", rng_below(r, 2) ? "a" : "b",
             rng_below(r, RANDOM_ACCOUNTS));
    snprintf(c->destination, sizeof(c->destination), "%s/s%u", rng_below(r, 2) ? "a" : "b",
             rng_below(r, RANDOM_ACCOUNTS));
    c->headers[0] = (struct pair){STR(":authority"), str_of(random_header_value(r))};
    c->headers[1] =
        (struct pair){str_of(names[1 + rng_below(r, 2)]), str_of(random_header_value(r))};
    c->call = (struct mesh_call){
        .source = str_of(c->source),
        .destination = str_of(c->destination),
        .target_port = (uint16_t)(8080 + rng_below(r, 2)),
        .protocol = rng_below(r, 4),
        .method = str_of(random_method(r)),
        .path = str_of(random_path(r)),
        .headers = {.at = c->headers, .len = 2},
    };
}

/* The reference knows SMI only: that objects outside the mesh mean nothing, and what permissive
 * mode is, is said here. */
static bool expected(const struct fixture *f, const struct mesh_call *call)
{
    struct str namespace, name;
    str_cut(call->destination, '/', &namespace, &name);
    const struct object *ns = store_find(f->store, KIND_NAMESPACE, STR(""), namespace);
    const struct str *by =
        ns ? pairs_find(&ns->meta.labels, "openservicemesh.io/monitored-by") : NULL;
    if (!by || !str_is(*by, "osm")) {
        return false;
    }
    if (mesh_permissive(f->mesh)) {
        return mesh_policy_find(f->mesh, call->destination) != NULL;
    }
    return smi_reference_allows(f->store, call, whole_match);
}

static bool same_verdict(const struct fixture *f, const struct mesh_call *call, unsigned *allowed)
{
    bool mesh = mesh_allows(f->mesh, call, whole_match, NULL);
    bool reference = expected(f, call);
    *allowed += mesh;
    if (mesh != reference) {
        printf("%.*s -> %.*s port %u %s %.*s %.*s: mesh %d, reference %d\n", STR_ARG(call->source),
               STR_ARG(call->destination), call->target_port, protocol_name(call->protocol),
               STR_ARG(call->method), STR_ARG(call->path), mesh, reference);
    }
    return mesh == reference;
}

static void random_policies(struct rng *r, struct fixture *f)
{
    static const char namespaces[] =
        "apiVersion: v1\nkind: Namespace\n"
        "metadata: {name: a, labels: {openservicemesh.io/monitored-by: osm}}\n---\n"
        "apiVersion: v1\nkind: Namespace\n"
        "metadata: {name: b, labels: {openservicemesh.io/monitored-by: osm}}\n";
    fixture_put(f, namespaces);
    for (int i = 0; i < 60; i++) {
        struct random_name name = random_pick(r);
        AUTO(buf_done) struct buf text;
        buf_init(&text, 1u << 20);
        random_write(r, &name, &text);
        fixture_put(f, text.data);
    }
}

static bool world(uint64_t seed, unsigned *allowed)
{
    struct rng r = {seed};
    struct fixture f;
    fixture_init(&f);
    random_policies(&r, &f);
    fixture_update(&f);
    bool good = true;
    for (int i = 0; i < 300 && good; i++) {
        struct random_call c;
        random_call(&r, &c);
        good = same_verdict(&f, &c.call, allowed);
    }
    if (!good) {
        AUTO(free) char *text = mesh_text(f.mesh);
        printf("world %llu:\n%s", (unsigned long long)seed, text);
    }
    fixture_done(&f);
    return good;
}

int main(void)
{
    struct rng r = {rng_seed("verdict")};
    unsigned rounds = rng_rounds(60), allowed = 0;
    for (unsigned i = 0; i < rounds; i++) {
        if (!world(((uint64_t)rng_below(&r, UINT32_MAX) << 16) + i, &allowed)) {
            return 1;
        }
    }
    printf("%u worlds, %u calls, %u allowed\n", rounds, rounds * 300, allowed);
    return allowed == 0; /* a world in which nothing is allowed tests little */
}
