/* Character classes and escapes of regular expressions; the other half of regex.c. Each function
 * reads s from *at on and moves *at behind what it read. */
#ifndef OSM_KINDS_REGEX_CLASS_H
#define OSM_KINDS_REGEX_CLASS_H

#include "base/err.h"
#include "base/str.h"

struct regex_class {
    uint32_t ranges; /* of bytes, at most */
};

bool regex_is_word(char c); /* letter, digit or _ */

/* "[...]". 0 or -1. */
int regex_class_parse(struct str s, size_t *at, struct regex_class *c, struct err *e);
/* "\d", "\pL", "\p{Greek}"...: 1, 0 when it isn't one (*at stays), -1 for a bad one. */
int regex_class_escape(struct str s, size_t *at, struct regex_class *c, struct err *e);
/* "\n", "\x41", "\."...: one byte; 0 or -1. */
int regex_char_escape(struct str s, size_t *at, unsigned char *ret, struct err *e);
/* Instructions it needs, at most. */
uint32_t regex_class_cost(const struct regex_class *c, bool fold);

#endif
