/* The status document. */
#include "observe/status.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "doc/value.h"

static void set_text(struct arena *a, struct value *object, const char *key, const char *text)
{
    value_set(a, object, key, text ? value_new_string(a, str_of(text)) : value_new(a, VALUE_NULL));
}

static void set_str(struct arena *a, struct value *object, const char *key, struct str s)
{
    value_set(a, object, key, value_new_string(a, s));
}

/* Refused if any type is, else sending if any is, else synced. */
static enum stream_state overall(const struct ads_proxy_status *p)
{
    enum stream_state all = p->known ? STREAM_SYNCED : STREAM_SENDING;
    for (int t = 0; t < XDS_TYPES; t++) {
        if (p->types[t].state == STREAM_REFUSED) {
            return STREAM_REFUSED;
        }
        if (p->types[t].state == STREAM_SENDING) {
            all = STREAM_SENDING;
        }
    }
    /* An Envoy that asked for nothing yet isn't done. */
    return p->types[XDS_CDS].state == STREAM_IDLE ? STREAM_SENDING : all;
}

static struct value *type_value(struct arena *a, enum xds_type t, const struct ads_type_status *s)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    char version[17];
    resource_version_text(s->version, version);
    set_text(a, v, "type", xds_type_name(t));
    set_text(a, v, "state", stream_state_name(s->state));
    set_text(a, v, "version", version);
    set_text(a, v, "error", s->error);
    return v;
}

static struct value *proxy_value(struct arena *a, const struct mesh *mesh,
                                 const struct ads_proxy_status *p)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    const struct mesh_proxy_pod *known =
        mesh_proxy_pod(mesh_proxy_find(mesh, str_of(p->uuid)), str_of(p->identity));
    set_text(a, v, "uuid", p->uuid);
    set_str(a, v, "pod", known ? known->pod : (struct str){0});
    set_text(a, v, "identity", p->identity);
    value_set(a, v, "connected", value_new_bool(a, true));
    set_text(a, v, "state", stream_state_name(overall(p)));
    struct value *types = value_ensure(a, v, "types", VALUE_ARRAY);
    for (int t = 0; t < XDS_TYPES; t++) {
        value_push(a, types, type_value(a, (enum xds_type)t, &p->types[t]));
    }
    return v;
}

static struct value *absent_value(struct arena *a, struct str uuid, const struct mesh_proxy_pod *p)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    set_str(a, v, "uuid", uuid);
    set_str(a, v, "pod", p->pod);
    set_str(a, v, "identity", p->identity);
    value_set(a, v, "connected", value_new_bool(a, false));
    set_text(a, v, "state", "disconnected");
    value_ensure(a, v, "types", VALUE_ARRAY);
    return v;
}

static int by_uuid(const void *a, const void *b)
{
    const struct ads_proxy_status *x = *(const struct ads_proxy_status *const *)a;
    const struct ads_proxy_status *y = *(const struct ads_proxy_status *const *)b;
    int c = strcmp(x->uuid, y->uuid);
    return c ? c : (x > y) - (x < y);
}

/* In one order whichever shard answered first: what didn't change reads the same. */
static void add_proxies(struct arena *a, struct value *list, const struct mesh *mesh,
                        const struct ads_status *proxies)
{
    struct map connected = {0};
    size_t n = proxies->proxies.len;
    const struct ads_proxy_status **sorted = arena_array(a, n + 1, sizeof(*sorted));
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &proxies->proxies.at[i];
    }
    qsort(sorted, n, sizeof(*sorted), by_uuid);
    for (size_t i = 0; i < n; i++) {
        map_put(&connected, arena_printf(a, "%s %s", sorted[i]->uuid, sorted[i]->identity), list);
        value_push(a, list, proxy_value(a, mesh, sorted[i]));
    }
    MAP_EACH(mesh_map(mesh, MESH_PROXIES), it) {
        const struct mesh_proxy *p = it.value;
        for (size_t i = 0; i < p->pods.len; i++) {
            const struct mesh_proxy_pod *one = &p->pods.at[i];
            struct str key = arena_printf(a, "%.*s %.*s", STR_ARG(p->uuid), STR_ARG(one->identity));
            if (!map_has(&connected, key)) {
                value_push(a, list, absent_value(a, p->uuid, one));
            }
        }
    }
    map_done(&connected, NULL);
}

static void add_findings(struct arena *a, struct value *list, const struct findings *f)
{
    VEC_EACH(f->list, x) {
        struct value *v = value_new(a, VALUE_OBJECT);
        set_text(a, v, "level", x->level == FINDING_ERROR ? "error" : "warning");
        set_text(a, v, "file", x->file);
        value_set(a, v, "line", value_new_int(a, x->line));
        set_text(a, v, "object", x->object);
        set_text(a, v, "text", x->text);
        value_push(a, list, v);
    }
}

static struct value *mesh_value(struct arena *a, const struct mesh *mesh)
{
    const struct mesh_options *o = mesh_options(mesh);
    struct value *v = value_new(a, VALUE_OBJECT);
    set_text(a, v, "name", o->mesh_name);
    set_text(a, v, "namespace", o->osm_namespace);
    set_text(a, v, "trustDomain", o->trust_domain);
    value_set(a, v, "permissive", value_new_bool(a, mesh_permissive(mesh)));
    return v;
}

static struct value *teller_value(struct arena *a, const struct status_teller *t)
{
    char expires[32];
    clock_rfc3339(t->root_expires, expires);
    struct value *v = value_new(a, VALUE_OBJECT);
    set_text(a, v, "name", t->name);
    set_text(a, v, "version", OSM_VERSION);
    value_set(a, v, "ready", value_new_bool(a, !t->ready));
    set_text(a, v, "why", t->ready);
    value_set(a, v, "writes", value_new_bool(a, t->writes));
    set_str(a, v, "root", t->root);
    set_text(a, v, "rootExpires", expires);
    return v;
}

void status_write(const struct status_teller *teller, const struct mesh *mesh,
                  const struct ads_status *proxies, const struct findings *source,
                  const uint64_t *digests, size_t n_digests, struct buf *out)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "mesh", mesh_value(a, mesh));
    value_set(a, v, "controller", teller_value(a, teller));
    add_proxies(a, value_ensure(a, v, "proxies", VALUE_ARRAY), mesh, proxies);
    struct value *sources = value_ensure(a, v, "sources", VALUE_ARRAY);
    for (size_t i = 0; i < n_digests; i++) {
        value_push(a, sources, value_new_stringf(a, "%016" PRIx64, digests[i]));
    }
    struct value *findings = value_ensure(a, v, "findings", VALUE_ARRAY);
    add_findings(a, findings, source);
    add_findings(a, findings, mesh_findings(mesh));
    value_write_json(v, out);
}
