/* What commands list: rows that are printed as a table, as JSON or as YAML. */
#ifndef OSM_CLI_LISTING_H
#define OSM_CLI_LISTING_H

#include "base/command.h"
#include "doc/value.h"

struct listing_column {
    const char *title;
    const char *path; /* of the value in a row; an array is joined with commas, nothing shows "-" */
};

/* The row of -o for a command's flags. */
#define LISTING_FLAG(variable)                                                                     \
    {"output", 'o', FLAG_STRING, "table|json|yaml", "how to print it", variable}

/* columns: ended by one without a title. JSON and YAML have the rows whole, in an array. */
void listing_print(const struct listing_column *columns, const struct value *rows,
                   const char *format);
/* JSON or YAML, on stdout. */
void document_print(const struct value *v, const char *format);
bool format_is_table(const char *format);

#endif
