/* Random documents: the difference of two, applied to the first, is the second. */
#include <stdio.h>
#include <stdlib.h>

#include "webhook/json_patch.h"

struct rng {
    uint64_t state;
};

static unsigned below(struct rng *r, unsigned n)
{
    r->state = r->state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)((r->state >> 33) % n);
}

static struct value *document(struct rng *r, struct arena *a, int depth)
{
    /* Keys that need escaping in a path, and one that looks like a place in an array. */
    static const char *const keys[] = {"a", "b", "a/b", "m~n", "~1", "0", "-", "", "long key"};
    unsigned kind = below(r, depth > 0 ? 8 : 5);
    struct value *v;
    switch (kind) {
    case 0:
        return value_new(a, VALUE_NULL);
    case 1:
        return value_new_bool(a, below(r, 2));
    case 2:
        return value_new_int(a, below(r, 3));
    case 3:
    case 4:
        return value_new_stringf(a, "s%u", below(r, 3));
    case 5:
        v = value_new(a, VALUE_ARRAY);
        for (unsigned n = below(r, 5); n > 0; n--) {
            value_push(a, v, document(r, a, depth - 1));
        }
        return v;
    default:
        v = value_new(a, VALUE_OBJECT);
        for (unsigned n = below(r, 5); n > 0; n--) {
            value_set(a, v, keys[below(r, COUNT_OF(keys))], document(r, a, depth - 1));
        }
        return v;
    }
}

/* The same with a few places changed, so that most of the two is common. */
static struct value *changed(struct rng *r, struct arena *a, const struct value *v, int depth)
{
    if (below(r, 6) == 0) {
        return document(r, a, depth);
    }
    struct value *out = value_copy(a, v);
    for (size_t i = 0; v->type == VALUE_ARRAY && i < v->array.len; i++) {
        out->array.at[i] = *changed(r, a, &v->array.at[i], depth - 1);
    }
    for (size_t i = 0; v->type == VALUE_OBJECT && i < v->object.len; i++) {
        out->object.at[i].value = *changed(r, a, &v->object.at[i].value, depth - 1);
    }
    if (v->type == VALUE_ARRAY && below(r, 3) == 0) {
        value_push(a, out, document(r, a, depth - 1));
    }
    return out;
}

static void show(const char *what, const struct value *v)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    value_write_json(v, &text);
    fprintf(stderr, "%s: %s\n", what, text.data);
}

static bool round_trip(struct rng *r)
{
    AUTO(arena_free) struct arena *a = arena_new(16384);
    struct value *from = document(r, a, 4), *got = NULL;
    struct value *to = below(r, 3) ? changed(r, a, from, 4) : document(r, a, 4);
    AUTO(free) char *before = NULL;
    struct buf text;
    buf_init(&text, 1 << 20);
    value_write_json(from, &text);
    before = buf_take(&text);
    struct value *patch = json_patch_diff(a, from, to);
    struct err e = ERR_INIT;
    bool ok = json_patch_apply(a, from, patch, &got, &e) == 0 && value_equal(got, to) &&
              (patch->array.len == 0) == value_equal(from, to);
    /* Neither changes what it is given. */
    buf_init(&text, 1 << 20);
    value_write_json(from, &text);
    ok = ok && str_is(buf_str(&text), before);
    buf_done(&text);
    if (!ok) {
        show("from", from);
        show("to", to);
        show("patch", patch);
        fprintf(stderr, "%s\n", e.text);
    }
    return ok;
}

int main(void)
{
    const char *rounds_text = getenv("PROP_ROUNDS"), *seed_text = getenv("PROP_SEED");
    long rounds = rounds_text ? strtol(rounds_text, NULL, 10) : 20000;
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 1;
    struct rng r = {seed};
    for (long i = 0; i < rounds; i++) {
        if (!round_trip(&r)) {
            fprintf(stderr, "failed with PROP_SEED=%llu in round %ld\n", (unsigned long long)seed,
                    i);
            return 1;
        }
    }
    printf("%ld rounds, PROP_SEED=%llu\n", rounds, (unsigned long long)seed);
    return 0;
}
