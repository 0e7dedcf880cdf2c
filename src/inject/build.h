/* Documents written like literals: build_object(a, "kind", build_text(a, "Secret"), ..., NULL). */
#ifndef OSM_INJECT_BUILD_H
#define OSM_INJECT_BUILD_H

#include "doc/value.h"

/* Pairs of key (C string) and `const struct value *`, ended by a NULL key; a pair whose value is
 * NULL is left out. */
struct value *build_object(struct arena *a, ...) __attribute__((sentinel));
/* Values (`const struct value *`), ended by NULL. */
struct value *build_array(struct arena *a, ...) __attribute__((sentinel));
/* Strings (C strings), ended by NULL. */
struct value *build_texts(struct arena *a, ...) __attribute__((sentinel));
struct value *build_text(struct arena *a, const char *text);
/* An array of strings; NULL when there is none. */
struct value *build_strs(struct arena *a, const struct str *at, size_t len);

#endif
