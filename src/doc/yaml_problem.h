/* Syntax errors of YAML in words for the person who wrote the text. */
#ifndef OSM_DOC_YAML_PROBLEM_H
#define OSM_DOC_YAML_PROBLEM_H

#include <yaml.h>

#include "base/err.h"
#include "base/str.h"

/* What stopped the parser, which read `text`. key: the one whose value was being read, or the empty
 * view. first_line: number of the text's first line. Returns the number of the line to look at. */
int yaml_problem(const yaml_parser_t *parser, struct str text, struct str key, int first_line,
                 struct err *e);

#endif
