/* Commands and their flags as tables: parsing, help and usage errors, man pages and completion all
 * come from them. A program with commands has a root with children; one without (a daemon) is a
 * root with flags and a function. */
#ifndef OSM_BASE_COMMAND_H
#define OSM_BASE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

enum flag_type {
    FLAG_BOOL,    /* bool: --name, --name=true, --name=false */
    FLAG_STRING,  /* const char * */
    FLAG_STRINGS, /* struct texts; may be given several times, each one text */
    FLAG_LIST,    /* struct texts; may be given several times, each split at commas */
    FLAG_SECONDS, /* int64_t: "90", "90s", "2m", "1h30m" */
    FLAG_NUMBER,  /* int64_t */
};

struct texts {
    const char **at;
    size_t len, cap;
};

/* What may stand at the word that is being completed. */
struct completion {
    struct str prefix; /* what is there of it */
    /* The words before it that belong to no command and no flag. */
    const char *const *args;
    size_t n_args;
    void (*offer)(struct completion *c, const char *word, const char *help); /* help may be NULL */
    bool files; /* set: names of files */
    void *arg;  /* the offerer's own */
};
typedef void complete_fn(struct completion *c);
void complete_files(struct completion *c);

/* One row of a table; the table ends with a row without a name. `to` points to a variable of the
 * type, set before parsing to what it is when the flag isn't given; help shows that as the
 * default. */
struct flag {
    const char *name;
    char letter; /* 0: none */
    enum flag_type type;
    /* What to call it in help; NULL for FLAG_BOOL. With a | in it, such as "json|yaml", it lists
     * all that may be given. */
    const char *value;
    const char *help;
    void *to;
    bool required;
    const char *env;  /* environment variable that stands in when the flag isn't given */
    int64_t min, max; /* of FLAG_NUMBER and FLAG_SECONDS; both 0: any, and any up to 11 days */
    complete_fn *complete;
};

struct args {
    const char *const *at; /* without flags; what follows "--" as it is */
    size_t len;
};

/* Exit codes: 0 all is well, 1 it failed, 2 the command line is wrong. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;
    const char *aliases;            /* "delete del"; NULL: none */
    const char *arguments;          /* "POD -- COMMAND", for help; NULL: none */
    const char *summary;            /* one line, in the list of its parent */
    const char *help;               /* more, with examples; NULL: none */
    const struct flag *flags;       /* those of its parents are accepted too */
    const struct command *children; /* ended by a row without a name */
    size_t min_args, max_args;
    /* Returns an exit code, or -1 with the error set. */
    int (*run)(const struct args *args, struct err *e);
    complete_fn *complete; /* of its arguments */
    /* Why it can't be used here, or NULL; it isn't listed then. May be NULL. */
    const char *(*unavailable)(void);
    bool hidden;
    bool alone; /* flags of those above it aren't its own */
};

/* Runs what argv says; prints help and errors; returns the exit code. What flags were set to lasts
 * until it returns: then the arrays of texts are freed and empty. */
int command_run(const struct command *root, int argc, char **argv);

/* The way from the root to a command. */
enum { COMMAND_DEPTH_MAX = 4 };
struct command_path {
    const struct command *at[COMMAND_DEPTH_MAX];
    size_t len;
};
const struct command *command_last(const struct command_path *p);
/* "osm proxy get"; sep is what stands between the names. */
void command_print_path(FILE *to, const struct command_path *p, const char *sep);
/* The child of that name or alias, or NULL. */
const struct command *command_child(const struct command *c, const char *name);
bool command_listed(const struct command *c); /* not hidden and available */
/* The index in p of the first command whose flags are those of the last. */
size_t command_flags_from(const struct command_path *p);
/* The flag of that name or letter, of the last command or of one above it, or NULL. */
const struct flag *command_flag(const struct command_path *p, const char *name, size_t len);
/* What the flag is when it isn't given, as text; NULL when that is nothing. free() it. */
char *flag_default(const struct flag *f);

void command_print_help(FILE *to, const struct command_path *p);

#endif
