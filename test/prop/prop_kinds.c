/* Random documents made from the definitions: whatever a server takes by the schema, the decoder
 * knows, and how it is written down makes no difference (as YAML, as JSON, members in another
 * order, nulls for what isn't there). */
#include <stdio.h>
#include <string.h>

#include "kinds/object.h"
#include "random_mesh.h"

static bool is_chance(struct rng *r, uint32_t percent)
{
    return rng_below(r, 100) < percent;
}

static bool is_true_at(const struct value *schema, const char *key)
{
    const struct value *v = value_member(schema, key);
    return v && v->type == VALUE_BOOL && v->boolean;
}

/* --- documents from schemas --- */

/* What matches each of the patterns that there are; the first word of one with words. */
static const char *sample(struct rng *r, struct str pattern)
{
    static const struct {
        const char *piece, *texts[3];
    } table[] = {
        {"ns|us|", {"1s", "1h30m", "250ms"}},
        {"/[0-9]{1,3}", {"10.0.0.0/8", "fd00::/8", "192.168.1.0/24"}},
        {"numkMGTPE", {"100m", "64Mi", "1.5"}},
        {"^[a-z]([", {"service", "a1", "b-c"}},
        {"^[a-z0-9]([-a-z0-9.]*", {"a", "name.with.dots", "a-b1"}},
        {"^[a-z0-9]([-a-z0-9]*", {"ns", "a-b", "x1"}},
    };
    AUTO(free) char *text = mem_printf("%.*s", STR_ARG(pattern));
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strstr(text, table[i].piece)) {
            return table[i].texts[rng_below(r, 3)];
        }
    }
    printf("no sample for the pattern %s\n", text);
    abort();
}

static struct value *random_value(struct rng *r, struct arena *a, const struct value *schema);

static struct value *random_text(struct rng *r, struct arena *a, const struct value *schema)
{
    static const char *const any[] = {"a.b", "x.example.com", "text.with.dots", "/a.*"};
    const struct value *words = value_member(schema, "enum");
    struct str pattern = value_string_at(schema, "pattern");
    if (words) {
        return value_new_string(a,
                                words->array.at[rng_below(r, (uint32_t)value_len(words))].string);
    }
    if (str_starts(pattern, "^(?i:")) {
        struct str word, rest = {pattern.ptr + 5, pattern.len - 5}, ignored;
        str_cut(rest, '|', &word, &ignored);
        return value_new_string(a, word);
    }
    return value_new_string(a, str_of(pattern.len ? sample(r, pattern) : any[rng_below(r, 4)]));
}

static struct value *random_int(struct rng *r, struct arena *a, const struct value *schema)
{
    const struct value *min = value_member(schema, "minimum"),
                       *max = value_member(schema, "maximum");
    int64_t low = min ? min->integer : 2048, high = max ? max->integer : low + 1000;
    return value_new_int(a, is_chance(r, 20)   ? low
                            : is_chance(r, 20) ? high
                                               : low + rng_below(r, (uint32_t)(high - low)));
}

static struct value *random_list(struct rng *r, struct arena *a, const struct value *schema)
{
    struct value *v = value_new(a, VALUE_ARRAY);
    const struct value *min = value_member(schema, "minItems"),
                       *max = value_member(schema, "maxItems");
    int64_t n = rng_below(r, 3);
    n = min && n < min->integer ? min->integer : n;
    n = max && n > max->integer ? max->integer : n;
    for (int64_t i = 0; i < n; i++) {
        value_push(a, v, random_value(r, a, value_member(schema, "items")));
    }
    return v;
}

static bool is_required(const struct value *schema, struct str name)
{
    const struct value *names = value_member(schema, "required");
    for (size_t i = 0; i < value_len(names); i++) {
        if (str_eq(names->array.at[i].string, name)) {
            return true;
        }
    }
    return false;
}

/* With a number of members: what is required, and one of the others. */
static void fill(struct rng *r, struct arena *a, const struct value *schema, struct value *out)
{
    const struct value *p = value_member(schema, "properties");
    bool choice = value_member(schema, "maxProperties"), chosen = false;
    size_t n = p ? p->object.len : 0, first = n ? rng_below(r, (uint32_t)n) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct member *m = &p->object.at[(first + i) % n];
        bool required = is_required(schema, m->key);
        bool wanted = required || (choice ? !chosen : is_chance(r, 60));
        if (wanted && !str_is(m->key, "status")) {
            chosen |= !required;
            value_set(a, out, arena_str(a, m->key).ptr, random_value(r, a, &m->value));
        }
    }
}

static struct value *random_object(struct rng *r, struct arena *a, const struct value *schema)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    const struct value *values = value_member(schema, "additionalProperties");
    fill(r, a, schema, v);
    for (uint32_t i = 0; values && i < rng_below(r, 3); i++) {
        value_set(a, v, i ? "two" : "one", random_value(r, a, values));
    }
    return v;
}

static struct value *random_value(struct rng *r, struct arena *a, const struct value *schema)
{
    struct str type = value_string_at(schema, "type");
    if (is_true_at(schema, "x-kubernetes-int-or-string")) {
        return is_chance(r, 50) ? value_new_int(a, 1 + rng_below(r, 9)) : random_text(r, a, schema);
    }
    if (str_is(type, "string")) {
        return random_text(r, a, schema);
    }
    if (str_is(type, "integer")) {
        return random_int(r, a, schema);
    }
    if (str_is(type, "boolean")) {
        return value_new_bool(a, is_chance(r, 50));
    }
    return str_is(type, "array") ? random_list(r, a, schema) : random_object(r, a, schema);
}

static struct value *random_document(struct rng *r, struct arena *a, enum kind kind)
{
    const struct kind_info *info = kind_info(kind);
    const struct value *versions = value_at(kind_crd(a, kind), "spec.versions");
    size_t n = 0;
    while (n < COUNT_OF(info->versions) && info->versions[n]) {
        n++;
    }
    size_t which = rng_below(r, (uint32_t)n);
    struct value *v =
        random_object(r, a, value_at(&versions->array.at[which], "schema.openAPIV3Schema"));
    struct value *meta = value_new(a, VALUE_OBJECT);
    value_set(a, meta, "name", value_new_string(a, STR("x")));
    value_set(a, meta, "namespace", value_new_string(a, STR("ns")));
    value_set(a, v, "apiVersion",
              value_new_stringf(a, "%s/%s", info->group, info->versions[which]));
    value_set(a, v, "kind", value_new_string(a, str_of(info->name)));
    value_set(a, v, "metadata", meta);
    return v;
}

/* The same, with members in another order. */
static struct value *shuffled(struct rng *r, struct arena *a, const struct value *v)
{
    struct value *out = value_new(a, v->type);
    if (v->type == VALUE_ARRAY) {
        for (size_t i = 0; i < v->array.len; i++) {
            value_push(a, out, shuffled(r, a, &v->array.at[i]));
        }
        return out;
    }
    if (v->type != VALUE_OBJECT) {
        return value_copy(a, v);
    }
    size_t n = v->object.len, first = n ? rng_below(r, (uint32_t)n) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct member *m = &v->object.at[n - 1 - (first + i) % n];
        value_set(a, out, arena_str(a, m->key).ptr, shuffled(r, a, &m->value));
    }
    return out;
}

/* --- reading --- */

struct reading {
    struct object *object; /* owned; NULL: refused */
    size_t errors, warnings;
    bool unknown; /* a field that the decoder doesn't know */
    char *first;  /* error */
};

static void take(void *arg, struct object *o)
{
    ((struct reading *)arg)->object = o;
}

static void read_value(const struct value *v, struct reading *ret)
{
    struct findings f = {0};
    *ret = (struct reading){0};
    object_decode(v, NULL, take, ret, &f);
    ret->errors = f.errors;
    ret->warnings = f.warnings;
    VEC_EACH(f.list, x) {
        ret->unknown |= strstr(x->text, "no such field") != NULL;
        if (!ret->first && x->level == FINDING_ERROR) {
            ret->first = mem_strdup(x->text);
        }
    }
    findings_done(&f);
}

static void reading_done(struct reading *r)
{
    object_unref(r->object);
    free(r->first);
}

static bool is_same(const struct reading *x, const struct reading *y)
{
    return x->errors == y->errors && x->warnings == y->warnings &&
           (x->object ? x->object->hash : 0) == (y->object ? y->object->hash : 0);
}

static bool check_as(const char *how, const struct value *v, const struct reading *wanted)
{
    struct reading found;
    read_value(v, &found);
    bool same = is_same(&found, wanted);
    if (!same) {
        printf("%s: %zu errors (%s) instead of %zu (%s)\n", how, found.errors,
               found.first ? found.first : "", wanted->errors, wanted->first ? wanted->first : "");
    }
    reading_done(&found);
    return same;
}

static bool check_written(struct rng *r, struct arena *a, const struct value *doc,
                          const struct reading *wanted)
{
    struct value *yaml = NULL, *json = NULL;
    struct err e = ERR_INIT;
    AUTO(buf_done) struct buf y, j;
    buf_init(&y, 1 << 20);
    buf_init(&j, 1 << 20);
    value_write_yaml(doc, &y);
    value_write_json(doc, &j);
    if (value_read_yaml(a, buf_str(&y), 1, &yaml, NULL, &e) < 0 ||
        value_read_json(a, buf_str(&j), &json, &e) < 0) {
        printf("%s\n", e.text);
        return false;
    }
    return value_equal(yaml, doc) && value_equal(json, doc) && check_as("YAML", yaml, wanted) &&
           check_as("JSON", json, wanted) && check_as("shuffled", shuffled(r, a, doc), wanted);
}

static bool round_of(uint64_t seed, enum kind kind, unsigned *accepted)
{
    struct rng r = {seed};
    AUTO(arena_free) struct arena *a = arena_new(1 << 16);
    const struct value *doc = random_document(&r, a, kind);
    struct reading first;
    read_value(doc, &first);
    bool good = !first.unknown && check_written(&r, a, doc, &first);
    if (!good) {
        AUTO(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        value_write_yaml(doc, &text);
        printf("document %llu:\n%.*s", (unsigned long long)seed, STR_ARG(buf_str(&text)));
    }
    *accepted += first.object != NULL;
    reading_done(&first);
    return good;
}

int main(void)
{
    struct rng r = {rng_seed("kinds")};
    unsigned rounds = rng_rounds(100);
    for (int k = 0; k < KIND_COUNT; k++) {
        if (!kind_is_custom((enum kind)k)) {
            continue;
        }
        unsigned accepted = 0;
        for (unsigned i = 0; i < rounds; i++) {
            if (!round_of(((uint64_t)rng_below(&r, UINT32_MAX) << 16) + i, (enum kind)k,
                          &accepted)) {
                return 1;
            }
        }
        printf("%s: %u of %u accepted\n", kind_info((enum kind)k)->name, accepted, rounds);
        if (accepted * 50 < rounds) {
            return 1; /* only refusals test little */
        }
    }
    return 0;
}
