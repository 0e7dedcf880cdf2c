/* Commands and their flags as tables: parsing, help and usage errors all come from them. */
#ifndef OSM_CLI_COMMAND_H
#define OSM_CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

enum flag_type {
    FLAG_BOOL,    /* bool */
    FLAG_STRING,  /* const char * */
    FLAG_STRINGS, /* struct texts; may be given several times */
    FLAG_SECONDS, /* int64_t: "90", "90s", "2m", "1h" */
    FLAG_NUMBER,  /* int64_t */
};

struct texts {
    const char **at;
    size_t len, cap;
};

/* One row of a table; the table ends with a row without a name. `to` points to a variable of the
 * type, set before parsing to what it is when the flag isn't given. */
struct flag {
    const char *name;
    char letter; /* 0: none */
    enum flag_type type;
    const char *value; /* what to call it in help; NULL for FLAG_BOOL */
    const char *help;
    void *to;
};

struct args {
    const char *const *at; /* without flags; what follows "--" as it is */
    size_t len;
};

/* Exit codes: 0 all is well, 1 it failed, 2 the command line is wrong. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;
    const char *arguments;          /* "POD -- COMMAND", for help; NULL: none */
    const char *summary;            /* one line, in the list of its parent */
    const char *help;               /* more, with examples; NULL: none */
    const struct flag *flags;       /* those of its parents are accepted too */
    const struct command *children; /* ended by a row without a name */
    size_t min_args, max_args;
    /* Returns an exit code, or -1 with the error set. */
    int (*run)(const struct args *args, struct err *e);
    bool hidden;
};

/* Runs what argv says; prints help and errors; returns the exit code. */
int command_run(const struct command *root, int argc, char **argv);

#endif
