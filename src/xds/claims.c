/* Addresses and who claims them. */
#include "xds/claims.h"

#include <stdio.h>
#include <string.h>

typedef VEC(char *) texts;

static void texts_free(void *arg)
{
    texts *t = arg;
    VEC_EACH(*t, s) {
        free(*s);
    }
    VEC_DONE(*t);
    free(t);
}

struct claims {
    struct map addresses; /* "ip|port" -> texts: services, sorted */
    struct map services;  /* service -> texts: its addresses */
};

struct claims *claims_new(void)
{
    return NEW(struct claims);
}

void claims_free(struct claims *c)
{
    if (c) {
        map_done(&c->addresses, texts_free);
        map_done(&c->services, texts_free);
        free(c);
    }
}

/* Longest: an IPv6 address, '|', five digits. */
enum { ADDRESS_TEXT = 64 };

static struct str address_text(char out[ADDRESS_TEXT], struct str ip, uint16_t port)
{
    int n = snprintf(out, ADDRESS_TEXT, "%.*s|%u", STR_ARG(ip), port);
    return (struct str){out, (size_t)n < ADDRESS_TEXT ? (size_t)n : ADDRESS_TEXT - 1};
}

static struct str owner_of(const struct claims *c, struct str address)
{
    const texts *claimants = map_find(&c->addresses, address);
    return claimants ? str_of(claimants->at[0]) : (struct str){0};
}

bool claims_owns(const struct claims *c, struct str ip, uint16_t port, struct str service)
{
    char text[ADDRESS_TEXT];
    return str_eq(owner_of(c, address_text(text, ip, port)), service);
}

static void add_claimant(struct claims *c, struct str address, struct str service)
{
    texts *t = map_find(&c->addresses, address);
    if (!t) {
        t = NEW(texts);
        map_put(&c->addresses, address, t);
    }
    size_t at = 0;
    while (at < t->len && str_cmp(str_of(t->at[at]), service) < 0) {
        at++;
    }
    VEC_PUSH(*t, mem_memdup(service.ptr, service.len));
    char *mine = t->at[t->len - 1];
    memmove(&t->at[at + 1], &t->at[at], (t->len - 1 - at) * sizeof(*t->at));
    t->at[at] = mine;
}

static void remove_claimant(struct claims *c, struct str address, struct str service)
{
    texts *t = map_find(&c->addresses, address);
    for (size_t i = 0; t && i < t->len; i++) {
        if (str_eq(str_of(t->at[i]), service)) {
            free(t->at[i]);
            memmove(&t->at[i], &t->at[i + 1], (t->len - 1 - i) * sizeof(*t->at));
            t->len--;
            break;
        }
    }
    if (t && t->len == 0) {
        texts_free(map_remove(&c->addresses, address));
    }
}

static void claim(struct claims *c, texts *mine, struct str service, struct str ip, uint16_t port)
{
    char text[ADDRESS_TEXT];
    struct str address = address_text(text, ip, port);
    for (size_t i = 0; i < mine->len; i++) {
        if (str_eq(str_of(mine->at[i]), address)) {
            return;
        }
    }
    VEC_PUSH(*mine, mem_memdup(address.ptr, address.len));
    add_claimant(c, address, service);
}

static texts *claim_all(struct claims *c, struct str service, const struct mesh_service *s,
                        const struct mesh_endpoints *e)
{
    texts *mine = NEW(texts);
    for (size_t p = 0; p < s->ports.len; p++) {
        for (size_t i = 0; !s->headless && i < s->ips.len; i++) {
            claim(c, mine, service, s->ips.at[i], s->ports.at[p].port);
        }
        for (size_t i = 0; s->headless && e && i < e->at.len; i++) {
            uint16_t port = p < e->port_count ? e->at.at[i].ports[p] : 0;
            if (port != 0) {
                claim(c, mine, service, e->at.at[i].ip, port);
            }
        }
    }
    return mine;
}

static void add_affected(struct str key, struct str service, struct arena *a, claims_keys *affected)
{
    if (key.len == 0 || str_eq(key, service)) {
        return;
    }
    VEC_EACH(*affected, x) {
        if (str_eq(*x, key)) {
            return;
        }
    }
    VEC_PUSH(*affected, arena_str(a, key));
}

/* Another service than `service` that claims the address, the first of them. */
static struct str other_claimant(const struct claims *c, struct str address, struct str service)
{
    const texts *t = map_find(&c->addresses, address);
    for (size_t i = 0; t && i < t->len; i++) {
        if (!str_eq(str_of(t->at[i]), service)) {
            return str_of(t->at[i]);
        }
    }
    return (struct str){0};
}

static bool holds(const texts *t, const char *address)
{
    for (size_t i = 0; t && i < t->len; i++) {
        if (strcmp(t->at[i], address) == 0) {
            return true;
        }
    }
    return false;
}

/* Of addresses that one of the lists has and the other hasn't, the one who is first but for the
 * service wins or loses, if the service sorts before it. */
static void note_affected(const struct claims *c, const texts *some, const texts *others,
                          struct str service, struct arena *a, claims_keys *affected)
{
    for (size_t i = 0; some && i < some->len; i++) {
        struct str other = other_claimant(c, str_of(some->at[i]), service);
        if (other.len > 0 && str_cmp(service, other) < 0 && !holds(others, some->at[i])) {
            add_affected(other, service, a, affected);
        }
    }
}

void claims_update(struct claims *c, struct str service, const struct mesh_service *s,
                   const struct mesh_endpoints *e, struct arena *a, claims_keys *affected)
{
    texts *before = map_remove(&c->services, service);
    for (size_t i = 0; before && i < before->len; i++) {
        remove_claimant(c, str_of(before->at[i]), service);
    }
    texts *now = s ? claim_all(c, service, s, e) : NULL;
    note_affected(c, before, now, service, a, affected);
    note_affected(c, now, before, service, a, affected);
    if (now) {
        map_put(&c->services, service, now);
    }
    if (before) {
        texts_free(before);
    }
}
