/* A growable array of any type: VEC(struct str) names = {0}; VEC_PUSH(names, s); VEC_DONE(names).
 */
#ifndef OSM_BASE_VEC_H
#define OSM_BASE_VEC_H

#include "base/mem.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *at;                                                                                  \
        size_t len, cap;                                                                           \
    }

#define VEC_PUSH(v, ...)                                                                           \
    do {                                                                                           \
        if ((v).len == (v).cap) {                                                                  \
            (v).cap = (v).cap ? (v).cap * 2 : 4;                                                   \
            (v).at = mem_array((v).at, (v).cap, sizeof(*(v).at));                                  \
        }                                                                                          \
        (v).at[(v).len++] = (__VA_ARGS__);                                                         \
    } while (0)

/* Frees the array, not what its elements point to. */
#define VEC_DONE(v)                                                                                \
    do {                                                                                           \
        free((v).at);                                                                              \
        (v).at = NULL;                                                                             \
        (v).len = (v).cap = 0;                                                                     \
    } while (0)

/* Removes element i; order is kept. */
#define VEC_REMOVE(v, i)                                                                           \
    do {                                                                                           \
        for (size_t vec_i = (i) + 1; vec_i < (v).len; vec_i++) {                                   \
            (v).at[vec_i - 1] = (v).at[vec_i];                                                     \
        }                                                                                          \
        (v).len--;                                                                                 \
    } while (0)

#define VEC_EACH(v, p) for (__typeof__((v).at + 0) p = (v).at; p && p < (v).at + (v).len; p++)

#endif
