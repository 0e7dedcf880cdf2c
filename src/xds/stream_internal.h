/* The state of a stream, shared by its files: what is asked (stream_requests.c), what was refused
 * (stream_refusals.c), what comes next (stream.c). */
#ifndef OSM_XDS_STREAM_INTERNAL_H
#define OSM_XDS_STREAM_INTERNAL_H

#include "xds/ids.h"
#include "xds/stream.h"

/* A content that the proxy refused. */
struct refusal {
    uint64_t id, version;
};

/* One type on one stream. */
struct channel {
    bool active; /* the proxy asked for this type */
    bool wildcard;
    bool unanswered;  /* a new wildcard: Envoy waits 15 s for an answer, which may be empty */
    bool passed_over; /* a whole set was refused; the proxy may have taken nothing of it */
    bool one_by_one;  /* narrowing a refusal that named nothing */
    bool resumed;     /* `has` is what the proxy said, not a plan's view */
    struct ids names; /* subscribed; unless wildcard */
    struct ids fresh; /* to be sent whatever `has` says */
    /* Subscribed names that don't exist, to be answered as removed; sorted, each once; delta. */
    resource_vec absent;
    /* What the proxy holds, counting what is in flight; only what it subscribed to is meant. */
    struct view has;
    /* Names that it still holds though `has` lacks them: removed last. */
    resource_vec leftover;
    struct response *in_flight;
    uint64_t last_nonce;     /* of the last response */
    uint64_t resume_version; /* state of the world: what a returning proxy says it has */
    VEC(struct refusal) refusals;
    char *error;
};

struct stream {
    bool delta, asked, resumes;
    enum xds_type last_type;
    struct plan *plan;
    int64_t await_until; /* 0: not waiting */
    struct channel channels[XDS_TYPES];
};

static inline struct view stream_wants(const struct stream *s, enum xds_type t)
{
    return s->plan ? s->plan->views[t] : (struct view){0};
}

/* Types that may be asked for without names, and whose responses in the state of the world are the
 * whole set: what isn't in one is deleted. Those of other types update what they name. */
static inline bool xds_is_whole(enum xds_type t)
{
    return t == XDS_CDS || t == XDS_LDS;
}

static inline bool channel_subscribed(const struct channel *c, uint64_t id)
{
    return c->wildcard || ids_has(&c->names, id);
}

/* The version of a whole set. */
uint64_t stream_whole_version(struct view v, const resource_vec *leftover);
/* What the stream's first plan says about what a returning proxy has. */
void stream_try_resume(struct stream *s, enum xds_type t);

bool channel_was_refused(const struct channel *c, const struct resource *r);
/* What the proxy refused of a response: those that aren't to blame are sent again without the
 * others. Of a whole set nothing can be left out: there Envoy takes what is good of a refused
 * response, and nothing is sent until something differs. */
void channel_on_refusal(struct channel *c, const struct response *r, bool whole_set,
                        struct str error);
/* What the proxy took after all; in a whole set it may have been refused for another's sake. */
void channel_acquit(struct channel *c, const struct response *r);
/* Refusals of contents that the plan has no more are history. */
void channel_forget_refusals(struct channel *c, struct view plan);

#endif
