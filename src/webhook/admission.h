/* AdmissionReview of admission.k8s.io/v1: what the API server asks before it stores an object, and
 * what it is told. Pure. */
#ifndef OSM_WEBHOOK_ADMISSION_H
#define OSM_WEBHOOK_ADMISSION_H

#include "base/err.h"
#include "doc/value.h"

enum admission_operation {
    ADMISSION_CREATE,
    ADMISSION_UPDATE,
    ADMISSION_DELETE,
    ADMISSION_CONNECT,
};

/* Views into the arena that it was read into. */
struct admission_request {
    struct str uid;
    struct str group, version, kind; /* of the object; group empty: the core group */
    struct str resource;             /* "pods" */
    struct str subresource;          /* "status"; empty: none */
    struct str namespace, name;      /* name may be empty on CREATE (generateName) */
    struct str user;
    enum admission_operation operation;
    bool dry_run;                   /* nothing may be written anywhere */
    const struct value *object;     /* NULL on DELETE */
    const struct value *old_object; /* NULL on CREATE */
};

/* Zeroed is a refusal without a reason: set `allowed`, or call admission_deny. All lives in the
 * review's arena. */
struct admission_verdict {
    bool allowed;
    int code;                  /* of a refusal, an HTTP status */
    struct str message;        /* of a refusal: one sentence */
    struct value *warnings;    /* NULL: none; see admission_warn */
    const struct value *patch; /* a JSON patch (json_patch.h); NULL or empty: as it is */
};

/* Refuses. code: 403 for a rule, 422 for an object that is wrong, 500 for a failure of ours. */
void admission_deny(struct arena *a, struct admission_verdict *v, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds a sentence that the client shows to its user (kubectl: "Warning: ..."). After the
 * LIMIT_ADMISSION_WARNINGS-th more are dropped; long ones are cut. */
void admission_warn(struct arena *a, struct admission_verdict *v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads the body of a call. -1: it is no AdmissionReview with a request, and e says why. */
int admission_read(struct arena *a, struct str body, struct admission_request *ret, struct err *e);
/* The body of the answer: an AdmissionReview with the request's uid. */
void admission_write(struct arena *a, struct str uid, const struct admission_verdict *v,
                     struct buf *out);

#endif
