/* osm support error-info: what error codes mean, and what to do. */
#include <ctype.h>
#include <stdio.h>

#include "base/error_codes.h"
#include "cli/commands.h"
#include "cli/listing.h"

static const char *output = "table";

const struct flag error_info_flags[] = {LISTING_FLAG(&output), {0}};

static const struct listing_column columns[] = {
    {"ERROR CODE", "code"}, {"DESCRIPTION", "description"}, {0}};

static void add_row(struct arena *a, struct value *rows, const struct error_code_info *info)
{
    struct value *row = value_new(a, VALUE_OBJECT);
    value_set(a, row, "code", value_new_string(a, str_of(info->label)));
    value_set(a, row, "description", value_new_string(a, str_of(info->what)));
    value_set(a, row, "toDo", value_new_string(a, str_of(info->todo)));
    value_push(a, rows, row);
}

static int find(const char *text, const struct error_code_info **ret, struct err *e)
{
    int64_t number;
    if (!str_int(str_of(text + (toupper((unsigned char)text[0]) == 'E')), 0, INT32_MAX, &number)) {
        return err_set(e,
                       "error code '%s' is not a valid error code format, should be of the form "
                       "Exxxx, ex. E1000",
                       text);
    }
    *ret = error_code_find((int)number);
    return *ret ? 0
                : err_set(e, "error code '%s' is not a valid error code recognized by OSM", text);
}

int support_error_info_run(const struct args *args, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    struct value *rows = value_new(a, VALUE_ARRAY);
    const struct error_code_info *one = NULL;
    size_t len;
    const struct error_code_info *all = error_codes(&len);
    if (args->len > 0 && find(args->at[0], &one, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (!one || one == &all[i]) {
            add_row(a, rows, &all[i]);
        }
    }
    listing_print(columns, rows, output);
    if (one && format_is_table(output)) {
        printf("\nWhat to do: %s\n", one->todo);
    }
    return EXIT_OK;
}
