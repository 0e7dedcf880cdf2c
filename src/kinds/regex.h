/* Is a regular expression one that Envoy accepts? Envoy's engine is RE2, which reads bytes there,
 * and it refuses a whole listener or route table over one bad expression; so each is checked when
 * its object is read. This is a parser only: it doesn't match. Pure, any thread. */
#ifndef OSM_KINDS_REGEX_H
#define OSM_KINDS_REGEX_H

#include "base/err.h"
#include "doc/fields.h"

/* 0, and *ret_cost (may be NULL) is an upper bound of the size of RE2's program; or -1 with what is
 * wrong and where, such as `the ( at character 3 is never closed`. Refused beyond RE2's syntax:
 * more than LIMIT_REGEX_BYTES, LIMIT_REGEX_DEPTH or LIMIT_REGEX_PROGRAM, and characters outside
 * ASCII where reading bytes would change their meaning (in classes and before a repetition). */
int regex_check(struct str pattern, uint32_t *ret_cost, struct err *e);

extern const struct field_format format_regex;

#endif
