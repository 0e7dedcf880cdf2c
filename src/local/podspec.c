/* From a workload to its pods' documents. */
#include <string.h>
#include <sys/random.h>

#include "inject/build.h"
#include "local/podspec.h"

/* Letters that can't make words, as Kubernetes uses for generated names. */
static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";

static void random_letters(char *out, size_t n)
{
    unsigned char raw[16];
    ASSERT(n < sizeof(raw) && getrandom(raw, n, 0) == (ssize_t)n);
    for (size_t i = 0; i < n; i++) {
        out[i] = letters[raw[i] % (sizeof(letters) - 1)];
    }
    out[n] = '\0';
}

static void hash_letters(uint64_t hash, char *out, size_t n)
{
    for (size_t i = 0; i < n; i++, hash /= sizeof(letters) - 1) {
        out[i] = letters[hash % (sizeof(letters) - 1)];
    }
    out[n] = '\0';
}

bool pod_owner_of(const struct object *o, struct pod_owner *ret)
{
    const struct value *template = NULL;
    switch (o->kind) {
    case KIND_POD:
        template = o->raw;
        break;
    case KIND_DEPLOYMENT:
        template = ((const struct deployment *)o)->template.raw;
        break;
    case KIND_STATEFUL_SET:
        template = ((const struct stateful_set *)o)->template.raw;
        break;
    case KIND_JOB:
        template = ((const struct job *)o)->template.raw;
        break;
    default:
        return false;
    }
    *ret = (struct pod_owner){.kind = kind_info(o->kind)->name,
                              .namespace = o->meta.namespace,
                              .name = o->meta.name,
                              .template = template,
                              .hash = value_hash(template)};
    return true;
}

struct str pod_name_new(struct arena *a, const struct pod_owner *owner, int ordinal)
{
    char hash[10], random[6];
    if (strcmp(owner->kind, "Pod") == 0) {
        return arena_str(a, owner->name);
    }
    if (strcmp(owner->kind, "StatefulSet") == 0) {
        return arena_printf(a, "%.*s-%d", STR_ARG(owner->name), ordinal);
    }
    hash_letters(owner->hash, hash, sizeof(hash) - 1);
    random_letters(random, sizeof(random) - 1);
    if (strcmp(owner->kind, "Job") == 0) {
        return arena_printf(a, "%.*s-%s", STR_ARG(owner->name), random);
    }
    return arena_printf(a, "%.*s-%s-%s", STR_ARG(owner->name), hash, random);
}

struct value *pod_document(struct arena *a, const struct pod_owner *owner, struct str name,
                           struct str uid, struct str subdomain)
{
    const struct value *spec = value_member(owner->template, "spec");
    const struct value *meta = value_member(owner->template, "metadata");
    struct value *metadata = meta ? value_copy(a, meta) : value_new(a, VALUE_OBJECT);
    value_set(a, metadata, "name", value_new_string(a, name));
    value_set(a, metadata, "namespace", value_new_string(a, owner->namespace));
    value_set(a, metadata, "uid", value_new_string(a, uid));
    struct value *own_spec = spec ? value_copy(a, spec) : value_new(a, VALUE_OBJECT);
    if (strcmp(owner->kind, "Pod") != 0) {
        const struct value *reference = build_object(
            a, "apiVersion",
            build_text(a, strcmp(owner->kind, "Job") == 0 ? "batch/v1" : "apps/v1"), "kind",
            build_text(a, owner->kind), "name", value_new_string(a, owner->name), "uid",
            value_new_string(a, uid), "controller", value_new_bool(a, true), NULL);
        value_set(a, metadata, "ownerReferences", build_array(a, reference, NULL));
    }
    if (strcmp(owner->kind, "StatefulSet") == 0) {
        value_set(a, own_spec, "hostname", value_new_string(a, name));
        if (subdomain.len > 0) {
            value_set(a, own_spec, "subdomain", value_new_string(a, subdomain));
        }
    }
    return build_object(a, "apiVersion", build_text(a, "v1"), "kind", build_text(a, "Pod"),
                        "metadata", metadata, "spec", own_spec, NULL);
}
