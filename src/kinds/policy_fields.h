/* What the tables of policy kinds share; only this folder includes it. */
#ifndef OSM_KINDS_POLICY_FIELDS_H
#define OSM_KINDS_POLICY_FIELDS_H

#include "doc/fields.h"

/* The API server walks these lists in rules and must know that they end. */
#define POLICY_ENTRIES_MAX 500
#define POLICY_PORTS_MAX 100
#define POLICY_MATCHES_MAX 100

extern const struct field account_fields[]; /* struct policy_subject: a ServiceAccount */

#endif
