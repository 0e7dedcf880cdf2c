/* What a workload needs: how many pods to make, which to end. Pure. */
#ifndef OSM_LOCAL_WORKLOADS_H
#define OSM_LOCAL_WORKLOADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pod as the decision sees it. */
struct member_pod {
    bool current; /* made from the template as it is now */
    bool ready, ending, done, succeeded;
    int ordinal; /* of a StatefulSet's pod */
    bool end;    /* answer: tell it to end */
};

enum workload_type { WORKLOAD_DEPLOYMENT, WORKLOAD_STATEFUL_SET, WORKLOAD_JOB, WORKLOAD_POD };

struct workload_want {
    enum workload_type type;
    int64_t replicas;      /* of a Job: parallelism */
    int64_t completions;   /* Job */
    int64_t backoff_limit; /* Job */
};

/* Sets `end` of pods and returns how many new ones to make. Deployments: new pods first, old ones
 * end once as many new are ready. StatefulSets: pods by ordinal, an old one ends when all others
 * are ready and is then made anew. Jobs: until enough succeeded or too many failed. */
int64_t workload_decide(const struct workload_want *want, struct member_pod *pods, size_t n);
/* The lowest ordinal from 0 that no pod has. */
int workload_free_ordinal(const struct member_pod *pods, size_t n);

#endif
