/* Reads a command line by the tables of its commands and flags. */
#include "base/command.h"

#include <string.h>

#include "base/arena.h"

/* What was said of a flag; set when the whole line has been read, so that help shows defaults. */
struct said {
    const struct flag *flag;
    const char *text; /* NULL: the flag alone */
};

struct reader {
    char **next; /* NULL-terminated */
    struct command_path path;
    VEC(struct said) said;
    struct texts args;
    struct arena *arena; /* parts of lists */
    bool help;
};

/* --- values --- */

enum { SECONDS_MAX = 1000000 };

/* "1h30m", "90s", "90". */
static bool parse_seconds(struct str text, int64_t *ret)
{
    int64_t total = 0, number = 0;
    bool digits = false, plain = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int64_t unit = c == 'h' ? 3600 : c == 'm' ? 60 : c == 's' ? 1 : 0;
        if (c >= '0' && c <= '9' && number <= SECONDS_MAX) {
            number = number * 10 + (c - '0');
            digits = true;
        } else if (unit > 0 && digits) {
            total += number * unit;
            number = 0;
            digits = plain = false;
        } else {
            return false;
        }
    }
    *ret = total + number;
    return text.len > 0 && (plain || !digits) && *ret <= SECONDS_MAX;
}

static int set_seconds(const struct flag *f, const char *text, struct err *e)
{
    int64_t s;
    if (!parse_seconds(str_of(text), &s)) {
        return err_set(e, "expected a time such as 90s or 2m, found \"%s\"", text);
    }
    if (f->max > 0 && (s < f->min || s > f->max)) {
        return err_set(e, "expected a time from %lld s to %lld s, found \"%s\"", (long long)f->min,
                       (long long)f->max, text);
    }
    *(int64_t *)f->to = s;
    return 0;
}

static int set_number(const struct flag *f, const char *text, struct err *e)
{
    bool limited = f->min != 0 || f->max != 0;
    if (str_int(str_of(text), limited ? f->min : INT64_MIN, limited ? f->max : INT64_MAX, f->to)) {
        return 0;
    }
    return limited ? err_set(e, "expected a whole number from %lld to %lld, found \"%s\"",
                             (long long)f->min, (long long)f->max, text)
                   : err_set(e, "expected a whole number, found \"%s\"", text);
}

static int set_bool(const struct flag *f, const char *text, struct err *e)
{
    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        return err_set(e, "expected true or false, found \"%s\"", text);
    }
    *(bool *)f->to = !text || strcmp(text, "true") == 0;
    return 0;
}

static int set_string(const struct flag *f, const char *text, struct err *e)
{
    struct str rest = str_of(f->value), choice = {0};
    bool listed = strchr(f->value, '|') == NULL;
    while (!listed && rest.len > 0) {
        if (!str_cut(rest, '|', &choice, &rest)) {
            rest = STR("");
        }
        listed = str_is(choice, text);
    }
    if (!listed) {
        return err_set(e, "expected %s, found \"%s\"", f->value, text);
    }
    *(const char **)f->to = text;
    return 0;
}

static int add_list(struct reader *r, struct texts *to, const char *text)
{
    struct str rest = str_of(text), part;
    while (rest.len > 0) {
        if (!str_cut(rest, ',', &part, &rest)) {
            rest = STR("");
        }
        part = str_trim(part);
        if (part.len > 0) {
            VEC_PUSH(*to, arena_str(r->arena, part).ptr);
        }
    }
    return 0;
}

static int set_flag(struct reader *r, const struct flag *f, const char *text, struct err *e)
{
    switch (f->type) {
    case FLAG_BOOL:
        return set_bool(f, text, e);
    case FLAG_STRING:
        return set_string(f, text, e);
    case FLAG_STRINGS:
        VEC_PUSH(*(struct texts *)f->to, text);
        return 0;
    case FLAG_LIST:
        return add_list(r, f->to, text);
    case FLAG_SECONDS:
        return set_seconds(f, text, e);
    case FLAG_NUMBER:
        return set_number(f, text, e);
    }
    return -1;
}

static bool was_said(const struct reader *r, const struct flag *f)
{
    VEC_EACH(r->said, said) {
        if (said->flag == f) {
            return true;
        }
    }
    return false;
}

/* "--namespace=" says nothing either. */
static bool is_empty(const struct flag *f)
{
    return f->type == FLAG_LIST && ((const struct texts *)f->to)->len == 0;
}

/* From the environment when it wasn't said. */
static int set_unsaid(struct reader *r, const struct flag *f, struct err *e)
{
    const char *text = f->env && !was_said(r, f) ? getenv(f->env) : NULL;
    if (text && text[0]) {
        return set_flag(r, f, text, e) < 0 ? err_wrap(e, "$%s", f->env) : 0;
    }
    return f->required && (!was_said(r, f) || is_empty(f))
               ? err_set(e, "--%s %s is needed", f->name, f->value ? f->value : "")
               : 0;
}

static int set_flags(struct reader *r, struct err *e)
{
    VEC_EACH(r->said, said) {
        if (set_flag(r, said->flag, said->text, e) < 0) {
            return err_wrap(e, "--%s", said->flag->name);
        }
    }
    for (size_t i = 0; i < r->path.len; i++) {
        for (const struct flag *f = r->path.at[i]->flags; f && f->name; f++) {
            if (set_unsaid(r, f, e) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* --- words --- */

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int say(struct reader *r, const struct flag *f, const char *word, const char *text,
               struct err *e)
{
    if (!text && f->type != FLAG_BOOL) {
        if (!*r->next) {
            return err_set(e, "%s: expected %s, found nothing", word, f->value);
        }
        text = *r->next++;
    }
    VEC_PUSH(r->said, (struct said){f, text});
    return 0;
}

/* "--name=value", "--name value", "--name". */
static int read_long(struct reader *r, const char *word, struct err *e)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct flag *f = len > 1 ? command_flag(&r->path, name, len) : NULL;
    return f ? say(r, f, word, equals ? equals + 1 : NULL, e)
             : err_set(e, "there is no flag %s", word);
}

/* "-n value", "-nvalue", "-n=value", and several without values: "-fa". */
static int read_letters(struct reader *r, const char *word, struct err *e)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const struct flag *f = command_flag(&r->path, letter, 1);
        if (!f) {
            return err_set(e, "there is no flag %s", word);
        }
        if (letter[1] == '=' || f->type != FLAG_BOOL) {
            const char *text = letter[1] == '\0' ? NULL : letter + 1 + (letter[1] == '=');
            return say(r, f, word, text, e);
        }
        say(r, f, word, NULL, e);
    }
    return 0;
}

static int read_word(struct reader *r, const char *word, struct err *e)
{
    const struct command *c = command_last(&r->path);
    if (!c->children) {
        VEC_PUSH(r->args, word);
        return 0;
    }
    const struct command *child = command_child(c, word);
    if (!child && strcmp(word, "help") == 0) {
        r->help = true;
        return 0;
    }
    if (!child || r->path.len == COMMAND_DEPTH_MAX) {
        return err_set(e, "there is no command \"%s\"", word);
    }
    r->path.at[r->path.len++] = child;
    return 0;
}

static int read_line(struct reader *r, struct err *e)
{
    while (*r->next) {
        const char *word = *r->next++;
        int result = 0;
        if (strcmp(word, "--") == 0) {
            while (*r->next) {
                VEC_PUSH(r->args, *r->next++);
            }
        } else if (is_help(word)) {
            r->help = true;
        } else if (word[0] == '-' && word[1] == '-') {
            result = read_long(r, word, e);
        } else if (word[0] == '-' && word[1] != '\0') {
            result = read_letters(r, word, e);
        } else {
            result = read_word(r, word, e);
        }
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_args(const struct reader *r, struct err *e)
{
    const struct command *c = command_last(&r->path);
    if (c->children) {
        return err_set(e, "expected a command");
    }
    if (r->args.len < c->min_args) {
        return err_set(e, "expected %s", c->arguments);
    }
    if (r->args.len > c->max_args) {
        return err_set(e, "didn't expect \"%s\"", r->args.at[c->max_args]);
    }
    return 0;
}

/* --- running --- */

static int usage_error(const struct reader *r, const struct err *e)
{
    command_print_path(stderr, &r->path, " ");
    fprintf(stderr, ": %s\nSee: ", e->text);
    command_print_path(stderr, &r->path, " ");
    fprintf(stderr, " --help\n");
    return EXIT_USAGE;
}

static int failure(const struct reader *r, const char *text)
{
    fprintf(stderr, "%s: %s\n", r->path.at[0]->name, text);
    return EXIT_FAILED;
}

static int run(struct reader *r)
{
    struct err e = ERR_INIT;
    int result = read_line(r, &e);
    const struct command *c = command_last(&r->path);
    if (result == 0 && (r->help || (r->path.len == 1 && c->children && r->args.len == 0))) {
        command_print_help(stdout, &r->path);
        return EXIT_OK;
    }
    if (result < 0 || check_args(r, &e) < 0 || set_flags(r, &e) < 0) {
        return usage_error(r, &e);
    }
    const char *why_not = c->unavailable ? c->unavailable() : NULL;
    if (why_not) {
        return failure(r, why_not);
    }
    const struct args args = {r->args.at, r->args.len};
    result = c->run(&args, &e);
    return result < 0 ? failure(r, e.text) : result;
}

static void free_texts(const struct command *c)
{
    for (const struct flag *f = c->flags; f && f->name; f++) {
        if (f->type == FLAG_STRINGS || f->type == FLAG_LIST) {
            VEC_DONE(*(struct texts *)f->to);
        }
    }
}

int command_run(const struct command *root, int argc, char **argv)
{
    AUTO(arena_free) struct arena *arena = arena_new(256);
    struct reader r = {.next = argv + (argc > 0), .path = {{root}, 1}, .arena = arena};
    int code = run(&r);
    for (size_t i = 0; i < r.path.len; i++) {
        free_texts(r.path.at[i]);
    }
    VEC_DONE(r.said);
    VEC_DONE(r.args);
    return fflush(stdout) == 0 || code != EXIT_OK ? code : EXIT_FAILED;
}
