/* Rules between an object that is to be stored and those that are. */
#include "kinds/policy.h"
#include "kinds/root.h"
#include "kinds/upstream.h"
#include "webhook/validate_internal.h"

static bool same_object(const struct object *a, const struct object *b)
{
    return a->kind == b->kind && str_eq(a->meta.namespace, b->meta.namespace) &&
           str_eq(a->meta.name, b->meta.name);
}

static void refuse(struct candidate *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct candidate *c, const char *fmt, ...)
{
    if (!c->verdict->allowed) {
        return; /* the first reason is the one that is told */
    }
    va_list ap;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    admission_deny(c->arena, c->verdict, 403, "%.*s: %.*s", STR_ARG(object_title(c->arena, c->now)),
                   STR_ARG(buf_str(&text)));
}

/* Two of them would answer differently who may call. */
static void other_backend(void *arg, struct object *other)
{
    struct candidate *c = arg;
    const struct ingress_backend *now = (struct ingress_backend *)c->now;
    const struct ingress_backend *b = (struct ingress_backend *)other;
    if (!str_eq(other->meta.namespace, c->now->meta.namespace) || same_object(other, c->now)) {
        return;
    }
    for (size_t i = 0; i < now->backends.len; i++) {
        for (size_t k = 0; k < b->backends.len; k++) {
            const struct ingress_backend_entry *x = &now->backends.at[i], *y = &b->backends.at[k];
            if (str_eq(x->name, y->name) && x->port.number == y->port.number) {
                refuse(c,
                       "spec.backends[%zu]: expected a backend that no other IngressBackend of "
                       "this namespace has, found \"%.*s\" with port %d, which %.*s has too: "
                       "duplicate backends detected",
                       i, STR_ARG(x->name), (int)x->port.number, STR_ARG(other->meta.name));
            }
        }
    }
}

/* Hosts outside the mesh are named by the Egress policies of a namespace, services by their own. */
static void other_setting(void *arg, struct object *other)
{
    struct candidate *c = arg;
    struct str host = ((struct upstream_traffic_setting *)c->now)->host;
    if (str_eq(other->meta.namespace, c->now->meta.namespace) && !same_object(other, c->now) &&
        str_eq(((struct upstream_traffic_setting *)other)->host, host)) {
        refuse(c,
               "spec.host: expected a host that no other UpstreamTrafficSetting of this namespace "
               "has, found \"%.*s\", which %.*s has too",
               STR_ARG(host), STR_ARG(other->meta.name));
    }
}

/* The roots beside the candidate, by what they are used for. */
struct roots {
    const struct candidate *candidate;
    size_t count[ROOT_INACTIVE + 1];
    struct str first[ROOT_INACTIVE + 1];
};

static void count_root(void *arg, struct object *other)
{
    struct roots *r = arg;
    enum root_role role = ((struct mesh_root_certificate *)other)->role;
    if (str_eq(other->meta.namespace, r->candidate->now->meta.namespace) &&
        !same_object(other, r->candidate->now)) {
        if (r->count[role]++ == 0) {
            r->first[role] = other->meta.name;
        }
    }
}

static void new_root(struct candidate *c, const struct roots *r)
{
    enum root_role role = ((struct mesh_root_certificate *)c->now)->role;
    if (role == ROOT_INACTIVE) {
        return;
    }
    if (r->count[ROOT_ACTIVE] + r->count[ROOT_PASSIVE] >= 2) {
        refuse(c, "spec.role: expected inactive, as two MeshRootCertificates are in use, found %s",
               root_role_name(role));
    } else if (r->count[role]) {
        refuse(c, "spec.role: expected %s, as MeshRootCertificate %.*s is %s, found %s",
               role == ROOT_ACTIVE ? "passive or inactive" : "active or inactive",
               STR_ARG(r->first[role]), root_role_name(role), root_role_name(role));
    }
}

/* What it is can't be changed, because certificates that it signed are in use; only what it is used
 * for. */
static void fixed_fields(struct candidate *c)
{
    const struct mesh_root_certificate *now = (struct mesh_root_certificate *)c->now;
    const struct mesh_root_certificate *old = (struct mesh_root_certificate *)c->old;
    if (!str_eq(now->trust_domain, old->trust_domain)) {
        refuse(c,
               "spec.trustDomain: expected \"%.*s\" as before, found \"%.*s\"; make another "
               "MeshRootCertificate",
               STR_ARG(old->trust_domain), STR_ARG(now->trust_domain));
    }
    if (now->spiffe_enabled != old->spiffe_enabled) {
        refuse(c,
               "spec.spiffeEnabled: expected %s as before, found %s; make another "
               "MeshRootCertificate",
               old->spiffe_enabled ? "true" : "false", now->spiffe_enabled ? "true" : "false");
    }
    if (mesh_root_certificate_provider_hash(now) != mesh_root_certificate_provider_hash(old)) {
        refuse(c, "spec.provider: expected the same as before, found another; make another "
                  "MeshRootCertificate");
    }
}

static void changed_role(struct candidate *c, const struct roots *r)
{
    enum root_role now = ((struct mesh_root_certificate *)c->now)->role;
    enum root_role old = ((struct mesh_root_certificate *)c->old)->role;
    if (now == old) {
        return;
    }
    if (now != ROOT_PASSIVE && old != ROOT_PASSIVE) {
        refuse(c, "spec.role: expected passive first, as it was %s, found %s", root_role_name(old),
               root_role_name(now));
    }
    size_t active = r->count[ROOT_ACTIVE] + (now == ROOT_ACTIVE);
    size_t passive = r->count[ROOT_PASSIVE] + (now == ROOT_PASSIVE);
    if (active == 0) {
        refuse(c, "spec.role: expected active, as no other MeshRootCertificate is, found %s",
               root_role_name(now));
    } else if (active + passive > 2) {
        refuse(c, "spec.role: expected inactive, as two MeshRootCertificates are in use, found %s",
               root_role_name(now));
    }
}

static void root_rules(struct candidate *c)
{
    struct roots r = {.candidate = c};
    store_each(c->validator->store, KIND_MESH_ROOT_CERTIFICATE, count_root, &r);
    if (!c->old) {
        new_root(c, &r);
        return;
    }
    fixed_fields(c);
    changed_role(c, &r);
}

bool validate_others(struct candidate *c)
{
    const struct store *s = c->validator->store;
    switch (c->now->kind) {
    case KIND_INGRESS_BACKEND:
        store_each(s, KIND_INGRESS_BACKEND, other_backend, c);
        break;
    case KIND_UPSTREAM_TRAFFIC_SETTING:
        store_each(s, KIND_UPSTREAM_TRAFFIC_SETTING, other_setting, c);
        break;
    case KIND_MESH_ROOT_CERTIFICATE:
        root_rules(c);
        break;
    default:
        break;
    }
    return !c->verdict->allowed;
}
