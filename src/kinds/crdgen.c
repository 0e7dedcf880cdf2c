/* osm-crds: prints the CustomResourceDefinitions of all kinds that aren't built in, as YAML, or the
 * reference page of an API group. */
#include <stdio.h>

#include "base/command.h"
#include "kinds/reference.h"

static const char *docs;

static void print_definitions(void)
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
}

static int print_docs(struct err *e)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1 << 20);
    if (!kind_reference(str_of(docs), &out)) {
        return err_set(e, "--docs: there is no API group \"%s\" of ours", docs);
    }
    printf("%.*s", STR_ARG(buf_str(&out)));
    return 0;
}

static int run(const struct args *args, struct err *e)
{
    if (docs) {
        if (print_docs(e) < 0) {
            return -1;
        }
    } else {
        print_definitions();
    }
    return fflush(stdout) == 0 ? EXIT_OK : err_errno(e, "standard output");
}

static const struct flag flags[] = {
    {.name = "docs",
     .type = FLAG_STRING,
     .value = "GROUP",
     .help = "print the reference page of an API group instead",
     .to = &docs},
    {0},
};

static const struct command root = {
    .name = "osm-crds",
    .summary = "Prints the custom resource definitions of the mesh",
    .help = "For `kubectl apply --server-side -f -`. In a cluster osm-bootstrap applies them.",
    .flags = flags,
    .run = run,
};

int main(int argc, char **argv)
{
    return command_run(&root, argc, argv);
}
