/* Prints docs/reference/metrics.md from the table of metrics. */
#include <stdio.h>

#include "observe/metrics_table.h"

static const char *const types[] = {"counter", "gauge", "histogram, seconds"};

static void print_programs(int programs)
{
    static const struct {
        int program;
        const char *name;
    } all[] = {{METRICS_CONTROLLER, "controller"},
               {METRICS_INJECTOR, "injector"},
               {METRICS_BOOTSTRAP, "bootstrap"}};
    const char *before = "";
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (programs & all[i].program) {
            printf("%s%s", before, all[i].name);
            before = ", ";
        }
    }
}

int main(void)
{
    printf(
        "# Metrics of the control plane\n\n"
        "osm-controller, osm-injector and osm-bootstrap serve them on port 9091 under /metrics,\n"
        "for Prometheus. Names are those of Open Service Mesh. Label values are bounded: no label\n"
        "holds a proxy's uuid, which every new pod has anew; what one proxy does is told by\n"
        "`osm proxy status`.\n\n"
        "| name | type | labels | programs | what |\n|---|---|---|---|---|\n");
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct metric_row *r = &metric_rows[m];
        printf("| `%s` | %s |", r->name, types[r->type]);
        for (size_t i = 0; i < METRIC_LABELS_MAX && r->labels[i]; i++) {
            printf("%s %s", i > 0 ? "," : "", r->labels[i]);
        }
        printf(" | ");
        print_programs(r->programs);
        printf(" | %s |\n", r->help);
    }
    return 0;
}
