/* Parts of the validator; only this folder includes it. */
#ifndef OSM_WEBHOOK_VALIDATE_INTERNAL_H
#define OSM_WEBHOOK_VALIDATE_INTERNAL_H

#include "webhook/validate.h"

/* One object that is to be stored. */
struct candidate {
    const struct validator *validator;
    struct arena *arena;
    struct object *now;
    struct object *old; /* what it replaces; NULL when new, or when it can't be read */
    struct admission_verdict *verdict;
};

/* Rules between objects: refuses in the verdict; true when it did. */
bool validate_others(struct candidate *c);
/* Warnings: what it refers to and what refers to it. */
void validate_references(struct candidate *c);
/* Warnings: what the mesh would find. */
void validate_preview(struct candidate *c);

#endif
