/* Documents written like literals. */
#include <stdarg.h>

#include "inject/build.h"

struct value *build_object(struct arena *a, ...)
{
    struct value *object = value_new(a, VALUE_OBJECT);
    va_list ap;
    va_start(ap, a);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const struct value *v = va_arg(ap, const struct value *);
        if (v) {
            value_set(a, object, key, v);
        }
    }
    va_end(ap);
    return object;
}

struct value *build_array(struct arena *a, ...)
{
    struct value *array = value_new(a, VALUE_ARRAY);
    va_list ap;
    va_start(ap, a);
    for (const struct value *v; (v = va_arg(ap, const struct value *));) {
        value_push(a, array, v);
    }
    va_end(ap);
    return array;
}

struct value *build_texts(struct arena *a, ...)
{
    struct value *array = value_new(a, VALUE_ARRAY);
    va_list ap;
    va_start(ap, a);
    for (const char *text; (text = va_arg(ap, const char *));) {
        value_push(a, array, build_text(a, text));
    }
    va_end(ap);
    return array;
}

struct value *build_text(struct arena *a, const char *text)
{
    return value_new_string(a, str_of(text));
}

struct value *build_strs(struct arena *a, const struct str *at, size_t len)
{
    if (len == 0) {
        return NULL;
    }
    struct value *array = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < len; i++) {
        value_push(a, array, value_new_string(a, at[i]));
    }
    return array;
}
