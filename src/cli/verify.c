/* What verify commands find, and how they print it. */
#include "cli/verify.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/command.h"

static const char *format(struct arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static const char *format(struct arena *a, const char *fmt, va_list ap)
{
    AUTO(free) char *text = mem_vprintf(fmt, ap);
    return arena_strz(a, text).ptr;
}

struct verify *verify_new(struct arena *a, struct verify *parent, const char *context, ...)
{
    struct verify *v = NEW(struct verify);
    va_list ap;
    va_start(ap, context);
    *v = (struct verify){.arena = a, .context = format(a, context, ap)};
    va_end(ap);
    if (parent) {
        VEC_PUSH(parent->parts, v);
    }
    return v;
}

void verify_fail(struct verify *v, const char *suggestion, const char *reason, ...)
{
    if (!v->reason) {
        va_list ap;
        va_start(ap, reason);
        v->reason = format(v->arena, reason, ap);
        va_end(ap);
        v->suggestion = suggestion;
    }
}

void verify_unknown(struct verify *v, const struct err *e)
{
    verify_fail(v, NULL, "%s", e->text);
    v->unknown = true;
}

static bool settle(struct verify *v)
{
    VEC_EACH(v->parts, part) {
        if (!settle(*part)) {
            verify_fail(v, NULL, "a part of it isn't as it must be, see below");
        }
    }
    return v->reason == NULL;
}

static void print(const struct verify *v, int depth)
{
    printf("[");
    for (int i = 0; i < depth; i++) {
        printf("+");
    }
    printf("] Context: %s\nStatus: %s\n", v->context,
           !v->reason   ? "Success"
           : v->unknown ? "Unknown"
                        : "Failure");
    if (v->reason) {
        printf("Reason: %s\n", v->reason);
    }
    if (v->suggestion) {
        printf("Suggestion: %s\n", v->suggestion);
    }
    printf("\n");
    VEC_EACH(v->parts, part) {
        if (v->reason && (*part)->reason) {
            print(*part, depth + 1);
        }
    }
}

static void free_all(struct verify *v)
{
    VEC_EACH(v->parts, part) {
        free_all(*part);
    }
    VEC_DONE(v->parts);
    free(v);
}

int verify_print(struct verify *v)
{
    static const char line[] = "---------------------------------------------\n";
    bool good = settle(v);
    printf("%s", line);
    print(v, 1);
    printf("%s", line);
    free_all(v);
    return good ? EXIT_OK : EXIT_FAILED;
}
