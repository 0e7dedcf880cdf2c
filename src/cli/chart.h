/* The chart that osm carries, and the one that helm is given. */
#ifndef OSM_CLI_CHART_H
#define OSM_CLI_CHART_H

#include <stddef.h>

#include "base/err.h"

/* A .tgz of charts/osm, made when osm is built. */
extern const unsigned char chart_data[];
extern const size_t chart_data_bytes;

struct chart {
    char *path;   /* what helm is given */
    char *folder; /* a private folder that goes with chart_done; NULL: the path is the user's */
};

/* path NULL or empty: the one that osm carries, written to a private folder. */
int chart_open(const char *path, struct chart *ret, struct err *e);
void chart_done(struct chart *c);
static inline __attribute__((unused)) void chart_done_auto(struct chart *c)
{
    chart_done(c);
}

#endif
