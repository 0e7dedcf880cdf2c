/* One pod on this machine, from its document to its end. On the loop's thread. */
#ifndef OSM_LOCAL_POD_H
#define OSM_LOCAL_POD_H

#include "kinds/core.h"
#include "local/container.h"
#include "local/objects.h"
#include "local/process.h"
#include "local/sandbox.h"

struct runtime;

enum pod_phase {
    POD_NEW,     /* no namespaces yet */
    POD_INIT,    /* init containers, one after the other */
    POD_SIDECAR, /* waits until its Envoy has its configuration */
    POD_RUNNING,
    POD_ENDING, /* told to end */
    POD_DONE,   /* ran to completion, or failed for good; holds no process */
    POD_GONE,   /* nothing left: to be freed */
};

struct pod_run {
    struct runtime *runtime;
    char *key;                /* "ns/name" */
    char *owner;              /* "Deployment/ns/name" */
    char *workload;           /* "Deployment/name", for people */
    uint64_t owner_hash;      /* of the template that it was made from */
    struct pod *pod;          /* decoded, with its sidecar; own reference */
    struct secret *bootstrap; /* NULL without a sidecar */
    char uuid[37];            /* "" without a sidecar */
    char *folder;             /* below the state folder */
    enum pod_phase phase;
    bool succeeded; /* when done */
    int number;     /* of its addresses */
    char ip4[IP_TEXT], ip6[IP_TEXT];
    struct sandbox sandbox;
    bool sandbox_alive;
    struct backoff backoff; /* of the sandbox */
    VEC(struct container_run *) init, containers;
    size_t init_at;
    struct container_run *sidecar; /* one of containers; NULL */
    struct admin *admin;           /* talks to its Envoy */
    bool sidecar_ready;
    bool ready; /* at the last step: what others are told */
    int64_t kill_at_ms;
    char *reason;        /* why it doesn't come up; NULL */
    uint64_t hosts_hash; /* of its /etc/hosts as it was written */
};

/* From a document without sidecar: injects it when it is wanted. */
int pod_new(struct runtime *r, const char *owner, const char *workload, uint64_t owner_hash,
            const struct value *document, struct pod_run **ret, struct err *e);
void pod_free(struct pod_run *p);
AUTO_DEFINE(struct pod_run, pod_free)
/* Does what is next; cheap when there is nothing. */
void pod_step(struct pod_run *p, int64_t now_ms);
/* Tells it to end: SIGTERM, its grace period, SIGKILL. */
void pod_end(struct pod_run *p, int64_t now_ms);
/* What failed is tried again at once. */
void pod_retry(struct pod_run *p);
/* At once. */
void pod_kill(struct pod_run *p);
struct pod_view pod_view(const struct pod_run *p);
/* Why it isn't ready, one sentence; "" when it is. */
void pod_describe(const struct pod_run *p, char *out, size_t size);

/* Between pod.c and pod_make.c: namespaces with network and files; containers, none started. */
int pod_start_sandbox(struct pod_run *p, struct err *e);
void pod_add_containers(struct pod_run *p);
void pod_free_containers(struct pod_run *p);

/* For containers. */
int pod_launch(struct pod_run *p, struct arena *a, const struct container *c,
               struct process_options *ret, struct err *e);
int pod_exec(struct pod_run *p, struct container_run *c, const struct strs *command, pid_t *ret,
             struct err *e);

#endif
