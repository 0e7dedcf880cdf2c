/* What is wrong with input, said once for each place: errors (the object is refused) and warnings
 * (it is accepted and probably not what was meant). */
#ifndef OSM_DOC_FINDINGS_H
#define OSM_DOC_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/vec.h"

enum finding_level { FINDING_WARNING, FINDING_ERROR };

struct finding {
    enum finding_level level;
    char *file;   /* may be NULL */
    int line;     /* 0: unknown */
    char *object; /* "TrafficSplit bookstore/split", or NULL */
    char *text;   /* "spec.backends[1].weight: expected ..., found ..." */
};

/* At most LIMIT_FILE_FINDINGS are kept; the last one then says how many more there were. */
struct findings {
    VEC(struct finding) list;
    size_t errors, warnings;    /* all, also those not kept */
    size_t dropped, dropped_at; /* of findings.c */
};

/* At most 8 KiB of text are kept of one. */
void findings_add(struct findings *f, enum finding_level level, const char *file, int line,
                  const char *object, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Appends copies of all of `from`, whatever the limit: it is one file's. */
void findings_append(struct findings *f, const struct findings *from);
void findings_done(struct findings *f);
/* "error: demo/split.yaml:14: TrafficSplit bookstore/split: spec.backends[1].weight: ..." */
char *finding_text(const struct finding *f);
/* The first error, without the word: e says "TrafficSplit bookstore/split: spec...: ...". Returns
 * -1; there is one. */
int findings_err(const struct findings *f, struct err *e);

static inline __attribute__((unused)) void findings_done_auto(struct findings *f)
{
    findings_done(f);
}

#endif
