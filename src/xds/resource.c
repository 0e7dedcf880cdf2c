/* Resources, sets, views. */
#include "xds/resource.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

struct resource *resource_new(struct str name, struct blob *body, uint64_t version)
{
    struct resource *r = mem_zalloc(sizeof(*r) + name.len + 1);
    ref_init(&r->ref);
    r->id = resource_id(name);
    r->body = body;
    r->version = body ? body->hash : version;
    r->name_len = name.len;
    if (name.len > 0) {
        memcpy(r->name, name.ptr, name.len);
    }
    return r;
}

struct resource *resource_ref(struct resource *r)
{
    if (r) {
        ref_get(&r->ref);
    }
    return r;
}

struct resource *resource_unref(struct resource *r)
{
    if (r && ref_put(&r->ref)) {
        blob_unref(r->body);
        free(r);
    }
    return NULL;
}

struct str resource_name(const struct resource *r)
{
    return (struct str){r->name, r->name_len};
}

uint64_t resource_id(struct str name)
{
    return hash_str(name);
}

void resource_version_text(uint64_t version, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)version);
}

uint64_t resource_version_parse(struct str s)
{
    if (s.len != 16) {
        return 0;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (unsigned)(c - 'a') + 10;
        } else {
            return 0;
        }
        n = n << 4 | digit;
    }
    return n;
}

void resource_vec_done(resource_vec *v)
{
    VEC_EACH(*v, r) {
        resource_unref(*r);
    }
    VEC_DONE(*v);
}

static int by_id(const void *a, const void *b)
{
    const struct resource *x = *(struct resource *const *)a, *y = *(struct resource *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Takes over the references in `at`, which is sorted and unique. */
static struct resource_set *seal(struct resource_set *s)
{
    ref_init(&s->ref);
    s->hash = s->n;
    for (size_t i = 0; i < s->n; i++) {
        s->hash = hash_mix(hash_mix(s->hash, s->at[i]->id), s->at[i]->version);
        s->sum += resource_sum(s->at[i]->id, s->at[i]->version);
    }
    return s;
}

static struct resource_set *alloc(size_t n)
{
    return mem_zalloc(sizeof(struct resource_set) + n * sizeof(struct resource *));
}

/* Merge sort keeps equal names in the order given, so that the first can win. */
static void sort_stable(struct resource **at, size_t n)
{
    if (n > 1 && n <= SIZE_MAX / sizeof(*at)) {
        struct resource **tmp = mem_array(NULL, n, sizeof(*tmp));
        for (size_t width = 1; width < n; width *= 2) {
            for (size_t lo = 0; lo < n; lo += 2 * width) {
                size_t mid = lo + width < n ? lo + width : n;
                size_t hi = lo + 2 * width < n ? lo + 2 * width : n;
                for (size_t i = lo, j = mid, k = lo; k < hi; k++) {
                    bool left = i < mid && (j >= hi || by_id(&at[i], &at[j]) <= 0);
                    tmp[k] = left ? at[i++] : at[j++];
                }
            }
            memcpy(at, tmp, n * sizeof(*at));
        }
        free(tmp);
    }
}

struct resource_set *resource_set_new(struct resource *const *at, size_t n)
{
    struct resource_set *s = alloc(n);
    if (n > 0) {
        memcpy(s->at, at, n * sizeof(*at));
    }
    sort_stable(s->at, n);
    for (size_t i = 0; i < n; i++) {
        if (s->n == 0 || s->at[s->n - 1]->id != s->at[i]->id) {
            s->at[s->n++] = resource_ref(s->at[i]);
        }
    }
    return seal(s);
}

bool resource_set_is(const struct resource_set *s, const resource_vec *v)
{
    uint64_t found = 0; /* a bit for each place in the set */
    bool is = s->n == v->len && s->n <= 64;
    for (size_t i = 0; is && i < s->n; i++) {
        size_t at = 0;
        while (at < s->n && s->at[at] != v->at[i]) {
            at++;
        }
        is = at < s->n && !(found >> at & 1);
        found |= is ? UINT64_C(1) << at : 0;
    }
    return is;
}

static bool contains(struct resource *const *sorted, size_t n, const struct resource *r)
{
    return n > 0 && bsearch(&r, sorted, n, sizeof(*sorted), by_id) != NULL;
}

static struct resource **sorted_copy(const resource_vec *v)
{
    struct resource **at = mem_array(NULL, v->len, sizeof(*at));
    if (v->len > 0) {
        memcpy(at, v->at, v->len * sizeof(*at));
    }
    sort_stable(at, v->len);
    return at;
}

struct resource_set *resource_set_edit(struct resource_set *s, const resource_vec *remove,
                                       const resource_vec *add)
{
    AUTO(free) struct resource **gone = sorted_copy(remove);
    AUTO(free) struct resource **fresh = sorted_copy(add);
    struct resource_set *out = alloc(s->n + add->len);
    size_t i = 0, j = 0;
    while (i < s->n || j < add->len) {
        int c = i >= s->n ? 1 : j >= add->len ? -1 : by_id(&s->at[i], &fresh[j]);
        if (c < 0) {
            struct resource *old = s->at[i++];
            if (!contains(gone, remove->len, old)) {
                out->at[out->n++] = resource_ref(old);
            }
            continue;
        }
        if (out->n > 0 && out->at[out->n - 1]->id == fresh[j]->id) {
            resource_unref(out->at[--out->n]);
        }
        out->at[out->n++] = resource_ref(fresh[j]);
        i += c == 0;
        j++;
    }
    seal(out);
    if (out->hash == s->hash) {
        resource_set_unref(out);
        return resource_set_ref(s);
    }
    return out;
}

struct resource_set *resource_set_ref(struct resource_set *s)
{
    if (s) {
        ref_get(&s->ref);
    }
    return s;
}

struct resource_set *resource_set_unref(struct resource_set *s)
{
    if (s && ref_put(&s->ref)) {
        for (size_t i = 0; i < s->n; i++) {
            resource_unref(s->at[i]);
        }
        free(s);
    }
    return NULL;
}

struct resource *resource_set_find(const struct resource_set *s, uint64_t id)
{
    size_t lo = 0, hi = s ? s->n : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->at[mid]->id == id) {
            return s->at[mid];
        }
        if (s->at[mid]->id < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

struct view view_ref(struct view v)
{
    return (struct view){resource_set_ref(v.base), resource_set_ref(v.own)};
}

void view_unref(struct view *v)
{
    v->base = resource_set_unref(v->base);
    v->own = resource_set_unref(v->own);
}

static uint64_t set_hash(const struct resource_set *s)
{
    return s && s->n > 0 ? s->hash : 0;
}

bool view_same(struct view a, struct view b)
{
    return set_hash(a.base) == set_hash(b.base) && set_hash(a.own) == set_hash(b.own);
}

uint64_t view_hash(struct view v)
{
    return hash_mix(set_hash(v.base), set_hash(v.own));
}

uint64_t resource_sum(uint64_t id, uint64_t version)
{
    return hash_mix(id, version);
}

uint64_t view_sum(struct view v)
{
    uint64_t sum = (v.base ? v.base->sum : 0) + (v.own ? v.own->sum : 0);
    for (size_t i = 0; v.base && v.own && i < v.own->n; i++) {
        const struct resource *covered = resource_set_find(v.base, v.own->at[i]->id);
        sum -= covered ? resource_sum(covered->id, covered->version) : 0;
    }
    return sum;
}

size_t view_count(struct view v)
{
    size_t n = v.base ? v.base->n : 0;
    for (size_t i = 0; v.own && i < v.own->n; i++) {
        n += !resource_set_find(v.base, v.own->at[i]->id);
    }
    return n;
}

struct resource *view_find(struct view v, uint64_t id)
{
    struct resource *r = resource_set_find(v.own, id);
    return r ? r : resource_set_find(v.base, id);
}

static struct resource *set_at(const struct resource_set *s, size_t *at, uint64_t id)
{
    while (s && *at < s->n && s->at[*at]->id < id) {
        (*at)++;
    }
    return s && *at < s->n && s->at[*at]->id == id ? s->at[*at] : NULL;
}

/* Few are looked up one by one; for many, one walk through both sets is cheaper. */
void view_find_all(struct view v, const uint64_t *ids, size_t n,
                   void (*fn)(void *arg, size_t i, struct resource *r), void *arg)
{
    size_t total = (v.base ? v.base->n : 0) + (v.own ? v.own->n : 0), base = 0, own = 0;
    bool few = n < total / 16 || n < 8;
    for (size_t i = 0; i < n; i++) {
        struct resource *r = few ? view_find(v, ids[i]) : set_at(v.own, &own, ids[i]);
        fn(arg, i, r || few ? r : set_at(v.base, &base, ids[i]));
    }
}

/* Walks both sets of a view in order of id; own's win. */
struct cursor {
    struct view v;
    size_t base, own;
};

static struct resource *cursor_peek(struct cursor *c)
{
    struct resource *b = c->v.base && c->base < c->v.base->n ? c->v.base->at[c->base] : NULL;
    struct resource *o = c->v.own && c->own < c->v.own->n ? c->v.own->at[c->own] : NULL;
    if (b && o && b->id == o->id) {
        c->base++;
        return o;
    }
    return !b || (o && o->id < b->id) ? o : b;
}

static void cursor_step(struct cursor *c, const struct resource *r)
{
    if (c->v.own && c->own < c->v.own->n && c->v.own->at[c->own] == r) {
        c->own++;
    } else {
        c->base++;
    }
}

/* Equal bases are passed over, except where an own set covers a name of theirs: then the whole must
 * be walked. */
bool view_covers(struct view v)
{
    for (size_t i = 0; v.own && v.base && i < v.own->n; i++) {
        if (resource_set_find(v.base, v.own->at[i]->id)) {
            return true;
        }
    }
    return false;
}

void view_diff(struct view from, struct view to, void (*changed)(void *arg, struct resource *r),
               void (*removed)(void *arg, struct resource *r), void *arg)
{
    if (from.base == to.base && !view_covers(from) && !view_covers(to)) {
        from.base = to.base = NULL;
    }
    if (from.base == to.base && from.own == to.own) {
        return;
    }
    struct cursor f = {.v = from}, t = {.v = to};
    for (;;) {
        struct resource *a = cursor_peek(&f), *b = cursor_peek(&t);
        if (!a && !b) {
            return;
        }
        if (!b || (a && a->id < b->id)) {
            removed(arg, a);
            cursor_step(&f, a);
        } else if (!a || b->id < a->id) {
            changed(arg, b);
            cursor_step(&t, b);
        } else {
            if (a->version != b->version) {
                changed(arg, b);
            }
            cursor_step(&f, a);
            cursor_step(&t, b);
        }
    }
}

static void no_removed(void *arg, struct resource *r)
{
}

void view_each(struct view v, void (*fn)(void *arg, struct resource *r), void *arg)
{
    view_diff((struct view){0}, v, fn, no_removed, arg);
}

struct plan *plan_ref(struct plan *p)
{
    if (p) {
        ref_get(&p->ref);
    }
    return p;
}

struct plan *plan_unref(struct plan *p)
{
    if (p && ref_put(&p->ref)) {
        for (int t = 0; t < XDS_TYPES; t++) {
            view_unref(&p->views[t]);
        }
        free(p);
    }
    return NULL;
}
