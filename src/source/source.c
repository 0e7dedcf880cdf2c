/* What all sources have in common. */
#include "source/source.h"

const struct findings *source_findings(const struct source *s)
{
    return s->findings(s);
}

bool source_in_sync(const struct source *s)
{
    return s->in_sync(s);
}

void source_free(struct source *s)
{
    if (s) {
        s->free(s);
    }
}
