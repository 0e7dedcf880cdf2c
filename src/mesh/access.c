/* The unit of an access: what one identity sees as a client in SMI mode. */
#include "mesh/internal.h"

/* The identities that it may call, whatever the rules then let through. */
static void allowed_destinations(struct update *u, struct str identity, struct set *ret)
{
    struct object_list targets = store_lookup(u->s, INDEX_TARGET_BY_SOURCE, identity);
    for (size_t i = 0; i < targets.len; i++) {
        const struct traffic_target *t = (const struct traffic_target *)targets.at[i];
        if (target_valid(u, t)) {
            set_add(ret, key_of(u, t->destination.namespace, t->destination.name));
        }
    }
}

static void add_service(struct update *u, struct set *to, struct str key)
{
    if (map_has(&u->m->parts[MESH_SERVICES], key)) {
        set_add(to, key);
    }
}

/* Three steps that don't repeat: services of the allowed identities; apexes that send calls to one
 * of those; all backends of the apexes, whose routes would else name clusters that aren't there. */
static void visible_services(struct update *u, const struct set *allowed, struct set *ret)
{
    struct set apexes = {0};
    SET_EACH(allowed, it)
    {
        SET_EACH(relation_find(&u->m->services_by_identity, it.key), service)
        {
            add_service(u, ret, service.key);
        }
    }
    SET_EACH(ret, it)
    {
        add_service(u, &apexes, it.key);
        struct object_list splits = store_lookup(u->s, INDEX_SPLIT_BY_BACKEND, it.key);
        for (size_t i = 0; i < splits.len; i++) {
            const struct traffic_split *split = (const struct traffic_split *)splits.at[i];
            add_service(u, &apexes, key_of(u, split->object.meta.namespace, split->service));
        }
    }
    SET_EACH(&apexes, it)
    {
        set_add(ret, it.key);
        struct object_list splits = store_lookup(u->s, INDEX_SPLIT_BY_APEX, it.key);
        for (size_t i = 0; i < splits.len; i++) {
            const struct traffic_split *split = (const struct traffic_split *)splits.at[i];
            for (size_t j = 0; j < split->backends.len; j++) {
                add_service(u, ret,
                            key_of(u, split->object.meta.namespace, split->backends.at[j].service));
            }
        }
    }
    set_done(&apexes);
}

static void restrict_entry(struct update *u, struct arena *a, const struct set *allowed,
                           struct mesh_access_entry *e)
{
    const struct mesh_endpoints *endpoints = mesh_endpoints_find(u->m, e->service);
    const struct strs *all = &endpoints->identities;
    e->identities.at = arena_array(a, all->len, sizeof(struct str));
    for (size_t i = 0; i < all->len; i++) {
        if (map_has(&allowed->map, all->at[i])) {
            e->identities.at[e->identities.len++] = arena_str(a, all->at[i]);
        }
    }
    if (e->identities.len == all->len || e->identities.len == 0) {
        e->all_identities = true;
        e->identities = (struct strs){0};
    }
}

static struct mesh_access *access_build(struct update *u, struct str identity)
{
    struct set allowed = {0}, visible = {0};
    allowed_destinations(u, identity, &allowed);
    visible_services(u, &allowed, &visible);
    struct mesh_access *part = NULL;
    if (map_len(&visible.map) > 0) {
        part = part_new(sizeof(*part));
        struct arena *a = part->part.arena;
        part->identity = arena_str(a, identity);
        struct strs keys = set_sorted(a, &visible);
        part->services.at = arena_array(a, keys.len, sizeof(struct mesh_access_entry));
        part->services.len = keys.len;
        for (size_t i = 0; i < keys.len; i++) {
            part->services.at[i].service = keys.at[i];
            restrict_entry(u, a, &allowed, &part->services.at[i]);
        }
    }
    set_done(&allowed);
    set_done(&visible);
    return part;
}

static void keep_viewers(struct update *u, const struct mesh_access *old,
                         const struct mesh_access *now, struct str identity)
{
    for (size_t i = 0; old && i < old->services.len; i++) {
        relation_remove(&u->m->viewers, old->services.at[i].service, identity);
    }
    for (size_t i = 0; now && i < now->services.len; i++) {
        relation_add(&u->m->viewers, now->services.at[i].service, identity);
    }
}

void access_update(struct update *u, struct str identity)
{
    struct str namespace, name;
    key_cut(identity, &namespace, &name);
    struct mesh_access *part = NULL;
    if (!u->m->permissive && monitored(u, namespace)) {
        part = access_build(u, identity);
    }
    struct mesh_access *old = part_ref(map_find(&u->m->parts[MESH_ACCESS], identity));
    part = part_publish(u, MESH_ACCESS, identity, part);
    if (part != old) {
        keep_viewers(u, old, part, identity);
    }
    part_unref(old);
}
