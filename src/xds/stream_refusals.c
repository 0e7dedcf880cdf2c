/* What a proxy refused, and who is to blame. */
#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "xds/stream_internal.h"

bool channel_was_refused(const struct channel *c, const struct resource *r)
{
    VEC_EACH(c->refusals, x) {
        if (x->id == r->id && x->version == r->version) {
            return true;
        }
    }
    return false;
}

static void refuse(struct channel *c, const struct resource *r)
{
    if (channel_was_refused(c, r)) {
        return;
    }
    if (c->refusals.len == LIMIT_ADS_REFUSALS) {
        VEC_REMOVE(c->refusals, 0);
    }
    VEC_PUSH(c->refusals, (struct refusal){r->id, r->version});
}

void channel_acquit(struct channel *c, const struct response *r)
{
    for (size_t i = c->refusals.len; i-- > 0;) {
        const struct refusal *refused = &c->refusals.at[i];
        bool taken = false;
        VEC_EACH(r->resources, x) {
            taken |= refused->id == (*x)->id && refused->version == (*x)->version;
        }
        if (taken) {
            VEC_REMOVE(c->refusals, i);
        }
    }
}

void channel_forget_refusals(struct channel *c, struct view plan)
{
    for (size_t i = c->refusals.len; i-- > 0;) {
        struct resource *r = view_find(plan, c->refusals.at[i].id);
        if (!r || r->version != c->refusals.at[i].version) {
            VEC_REMOVE(c->refusals, i);
        }
    }
    if (c->refusals.len == 0) {
        free(c->error);
        c->error = NULL;
    }
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-_|/", c));
}

/* Envoy names the resources that it refuses in most of its words. "a/b|80" isn't named by
 * "a/b|8080" or "a/b|80|local". */
static bool names_resource(const char *error, const struct resource *r)
{
    const char *at = r->name_len > 0 ? strstr(error, r->name) : NULL;
    for (; at; at = strstr(at + 1, r->name)) {
        if ((at == error || !in_name(at[-1])) && !in_name(at[r->name_len])) {
            return true;
        }
    }
    return false;
}

void channel_on_refusal(struct channel *c, const struct response *r, bool whole_set,
                        struct str error)
{
    free(c->error);
    size_t len = error.len < LIMIT_ADS_REFUSAL_TEXT ? error.len : LIMIT_ADS_REFUSAL_TEXT;
    c->error = mem_memdup(error.ptr, len);
    size_t named = 0;
    VEC_EACH(r->resources, x) {
        named += names_resource(c->error, *x);
    }
    c->passed_over = whole_set;
    bool narrow = !whole_set && named == 0 && r->resources.len > 1;
    c->one_by_one |= narrow;
    VEC_EACH(r->resources, x) {
        bool guilty = named > 0 ? names_resource(c->error, *x) : !narrow;
        if (guilty) {
            refuse(c, *x);
        } else if (!whole_set && channel_subscribed(c, (*x)->id)) {
            ids_add(&c->fresh, (*x)->id);
        }
    }
}
