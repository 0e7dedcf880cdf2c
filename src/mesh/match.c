/* HTTP conditions: SMI's form to the mesh's, and what they let through. */
#include <ctype.h>
#include <string.h>

#include "mesh/internal.h"

struct str lower_case(struct arena *a, struct str s)
{
    char *copy = arena_memdup(a, s.ptr, s.len);
    for (size_t i = 0; i < s.len; i++) {
        copy[i] = (char)tolower((unsigned char)copy[i]);
    }
    return (struct str){copy, s.len};
}

static int by_header(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int c = str_cmp(x->key, y->key);
    return c ? c : str_cmp(x->value, y->value);
}

static void compile_methods(struct arena *a, const struct strs *methods, struct strs *ret)
{
    struct strs list = {.at = arena_array(a, methods->len, sizeof(struct str))};
    for (size_t i = 0; i < methods->len; i++) {
        if (str_is(methods->at[i], "*")) {
            return;
        }
        list.at[list.len++] = arena_str(a, methods->at[i]);
    }
    strs_sort_unique(&list);
    *ret = list;
}

void match_compile(struct arena *a, const struct http_match *m, struct mesh_http_match *ret)
{
    *ret = (struct mesh_http_match){.path_regex = arena_str(a, m->path_regex)};
    compile_methods(a, &m->methods, &ret->methods);
    ret->headers.at = arena_array(a, m->headers.len, sizeof(struct pair));
    ret->headers.len = m->headers.len;
    for (size_t i = 0; i < m->headers.len; i++) {
        struct str name = lower_case(a, m->headers.at[i].key);
        ret->headers.at[i] = (struct pair){
            .key = str_is(name, "host") ? STR(":authority") : name,
            .value = arena_str(a, m->headers.at[i].value),
        };
    }
    if (ret->headers.len > 1) {
        qsort(ret->headers.at, ret->headers.len, sizeof(struct pair), by_header);
    }
}

static const struct str *call_header(const struct mesh_call *call, struct str name)
{
    for (size_t i = 0; i < call->headers.len; i++) {
        struct str have = call->headers.at[i].key;
        if (str_eq(have, name) || (str_is(name, ":authority") && str_is(have, "host"))) {
            return &call->headers.at[i].value;
        }
    }
    return NULL;
}

bool match_allows(const struct mesh_http_match *m, const struct mesh_call *call,
                  bool (*regex)(void *arg, struct str pattern, struct str text), void *arg)
{
    if (m->methods.len > 0 && !strs_has(&m->methods, call->method)) {
        return false;
    }
    struct str path = call->path;
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '?' || path.ptr[i] == '#') {
            path.len = i;
        }
    }
    if (m->path_regex.len > 0 && !regex(arg, m->path_regex, path)) {
        return false;
    }
    for (size_t i = 0; i < m->headers.len; i++) {
        const struct str *value = call_header(call, m->headers.at[i].key);
        if (!value || !regex(arg, m->headers.at[i].value, *value)) {
            return false;
        }
    }
    return true;
}
