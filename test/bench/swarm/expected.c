/* What may come, by the plans that it may come from. */
#include "expected.h"

void expected_add(struct expected *e, struct plan *plan)
{
    VEC_PUSH(e->plans, plan_ref(plan));
}

void expected_keep_last(struct expected *e)
{
    while (e->plans.len > 1) {
        plan_unref(e->plans.at[0]);
        VEC_REMOVE(e->plans, 0);
    }
}

void expected_done(struct expected *e)
{
    VEC_EACH(e->plans, plan) {
        plan_unref(*plan);
    }
    VEC_DONE(e->plans);
}

const struct plan *expected_last(const struct expected *e)
{
    return e->plans.len > 0 ? e->plans.at[e->plans.len - 1] : NULL;
}

bool expected_is_certificate(enum xds_type t, uint64_t id)
{
    static uint64_t certificate;
    if (!certificate) {
        certificate = resource_id(STR("service-cert"));
    }
    return t == XDS_SDS && id == certificate;
}

static uint64_t content(enum xds_type t, uint64_t id, uint64_t hash)
{
    return expected_is_certificate(t, id) ? hash != 0 : hash;
}

static uint64_t says(const struct plan *plan, enum xds_type t, uint64_t id)
{
    const struct resource *r = plan ? view_find(plan->views[t], id) : NULL;
    return r ? content(t, id, r->version) : 0;
}

const char *expected_differs(const struct expected *e, enum xds_type t, uint64_t id, uint64_t held)
{
    uint64_t right = says(expected_last(e), t, id);
    if (content(t, id, held) == right) {
        return NULL;
    }
    return held == 0    ? "it is missing"
           : right == 0 ? "the mesh has none of that name"
                        : "its content isn't what the mesh says";
}

const char *expected_wrong(const struct expected *e, enum xds_type t, uint64_t id, uint64_t before,
                           uint64_t now)
{
    size_t newest = e->plans.len, oldest = 0; /* newest: and one more */
    while (newest > 0 && says(e->plans.at[newest - 1], t, id) != content(t, id, now)) {
        newest--;
    }
    if (newest == e->plans.len && newest > 0) {
        return NULL;
    }
    if (newest == 0) {
        return expected_differs(e, t, id, now);
    }
    while (oldest < e->plans.len && says(e->plans.at[oldest], t, id) != content(t, id, before)) {
        oldest++;
    }
    /* What it held before may be wrong by itself, or nothing: then it may be on its way through all
     * of them. */
    bool back = before != 0 && oldest < e->plans.len && oldest >= newest;
    return back ? "it went back to what it was" : NULL;
}
