/* Prints the CustomResourceDefinitions of all kinds that aren't built in, as YAML. */
#include <stdio.h>

#include "kinds/object.h"

int main(void)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        AUTO(arena_free) struct arena *a = arena_new(65536);
        struct value *crd = kind_crd(a, (enum kind)kind);
        if (!crd) {
            continue;
        }
        AUTO(buf_done) struct buf out;
        buf_init(&out, 1 << 20);
        value_write_yaml(crd, &out);
        printf("---\n%.*s", STR_ARG(buf_str(&out)));
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
