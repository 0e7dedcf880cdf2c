/* What there is to know of each metric. Within src/observe only. */
#ifndef OSM_OBSERVE_METRICS_TABLE_H
#define OSM_OBSERVE_METRICS_TABLE_H

#include "observe/metrics.h"

enum { METRIC_LABELS_MAX = 3, METRIC_BOUNDS_MAX = 11 };

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_row {
    const char *name;
    enum metric_type type;
    int programs; /* bits of enum metrics_program */
    const char *help;
    const char *labels[METRIC_LABELS_MAX];
    const int64_t *bounds; /* of a histogram; ended by 0 or after METRIC_BOUNDS_MAX */
};
extern const struct metric_row metric_rows[METRIC_COUNT];

#endif
