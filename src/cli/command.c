/* Commands and their flags. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { DEPTH_MAX = 4 };

/* The way from the root to the command that was named. */
struct path {
    const struct command *at[DEPTH_MAX];
    size_t len;
};

static const struct command *last(const struct path *p)
{
    return p->at[p->len - 1];
}

static void print_path(FILE *to, const struct path *p)
{
    for (size_t i = 0; i < p->len; i++) {
        fprintf(to, "%s%s", i > 0 ? " " : "", p->at[i]->name);
    }
}

/* --- help --- */

static void print_flag(const struct flag *f)
{
    char left[64];
    snprintf(left, sizeof(left), "%c%c%s --%s%s%s", f->letter ? '-' : ' ',
             f->letter ? f->letter : ' ', f->letter ? "," : " ", f->name, f->value ? " " : "",
             f->value ? f->value : "");
    printf("  %-28s %s\n", left, f->help);
}

static void print_flags(const struct path *p)
{
    printf("\nFlags:\n");
    for (size_t i = p->len; i-- > 0;) {
        for (const struct flag *f = p->at[i]->flags; f && f->name; f++) {
            print_flag(f);
        }
    }
    printf("  -h, --help                   this text\n");
}

static void print_help(const struct path *p)
{
    const struct command *c = last(p);
    printf("%s\n\nUsage: ", c->summary);
    print_path(stdout, p);
    printf("%s%s%s\n", c->children ? " COMMAND" : "", c->arguments ? " " : "",
           c->arguments ? c->arguments : "");
    if (c->help) {
        printf("\n%s\n", c->help);
    }
    if (c->children) {
        printf("\nCommands:\n");
    }
    for (const struct command *child = c->children; child && child->name; child++) {
        if (!child->hidden) {
            printf("  %-10s %s\n", child->name, child->summary);
        }
    }
    print_flags(p);
    if (c->children) {
        printf("\nMore about one: ");
        print_path(stdout, p);
        printf(" COMMAND --help\n");
    }
}

/* --- flags --- */

static const struct flag *find_flag(const struct path *p, const char *name, size_t len)
{
    for (size_t i = p->len; i-- > 0;) {
        for (const struct flag *f = p->at[i]->flags; f && f->name; f++) {
            if ((strlen(f->name) == len && strncmp(f->name, name, len) == 0) ||
                (len == 1 && f->letter == name[0])) {
                return f;
            }
        }
    }
    return NULL;
}

static int read_seconds(const char *text, int64_t *ret, struct err *e)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}};
    struct str number = str_of(text);
    int64_t unit = 1;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (number.len > 1 && number.ptr[number.len - 1] == units[i].letter) {
            unit = units[i].seconds;
            number.len--;
            break;
        }
    }
    if (!str_int(number, 0, 1000000, ret)) {
        return err_set(e, "expected a time such as 90s or 2m, found \"%s\"", text);
    }
    *ret *= unit;
    return 0;
}

static int set_flag(const struct flag *f, const char *text, struct err *e)
{
    switch (f->type) {
    case FLAG_BOOL:
        *(bool *)f->to = !text || strcmp(text, "false") != 0;
        return !text || strcmp(text, "true") == 0 || strcmp(text, "false") == 0
                   ? 0
                   : err_set(e, "expected true or false, found \"%s\"", text);
    case FLAG_STRING:
        *(const char **)f->to = text;
        return 0;
    case FLAG_STRINGS:
        VEC_PUSH(*(struct texts *)f->to, text);
        return 0;
    case FLAG_SECONDS:
        return read_seconds(text, f->to, e);
    case FLAG_NUMBER:
        return str_int(str_of(text), INT64_MIN, INT64_MAX, f->to)
                   ? 0
                   : err_set(e, "expected a whole number, found \"%s\"", text);
    }
    return -1;
}

struct reader {
    char **next; /* NULL-terminated */
    struct path path;
    struct texts args;
    bool help;
};

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* "--name=value", "--name value", "-n value", "-nvalue". */
static int read_flag(struct reader *r, const char *word, struct err *e)
{
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t len = !is_long ? 1 : equals ? (size_t)(equals - name) : strlen(name);
    const struct flag *f = find_flag(&r->path, name, len);
    if (!f || (is_long && len == 1)) {
        return err_set(e, "there is no flag %s", word);
    }
    const char *text = is_long ? (equals ? equals + 1 : NULL)
                               : (name[1] == '\0' ? NULL : name + 1 + (name[1] == '='));
    if (!text && f->type != FLAG_BOOL) {
        if (!*r->next) {
            return err_set(e, "%s: expected %s, found nothing", word, f->value);
        }
        text = *r->next++;
    }
    return set_flag(f, text, e) < 0 ? err_wrap(e, "--%s", f->name) : 0;
}

static const struct command *find_child(const struct command *c, const char *name)
{
    for (const struct command *child = c->children; child && child->name; child++) {
        if (strcmp(child->name, name) == 0) {
            return child;
        }
    }
    return NULL;
}

static int read_word(struct reader *r, const char *word, struct err *e)
{
    const struct command *c = last(&r->path);
    if (!c->children) {
        VEC_PUSH(r->args, word);
        return 0;
    }
    const struct command *child = find_child(c, word);
    if (!child && strcmp(word, "help") == 0) {
        r->help = true;
        return 0;
    }
    if (!child || r->path.len == DEPTH_MAX) {
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
        } else if (word[0] == '-' && word[1] != '\0') {
            result = read_flag(r, word, e);
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
    const struct command *c = last(&r->path);
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

static int usage_error(const struct reader *r, const struct err *e)
{
    print_path(stderr, &r->path);
    fprintf(stderr, ": %s\nSee: ", e->text);
    print_path(stderr, &r->path);
    fprintf(stderr, " --help\n");
    return EXIT_USAGE;
}

static int run(struct reader *r)
{
    struct err e = ERR_INIT;
    const struct command *c;
    int result = read_line(r, &e);
    c = last(&r->path);
    if (result == 0 && (r->help || (r->path.len == 1 && r->args.len == 0))) {
        print_help(&r->path);
        return EXIT_OK;
    }
    if (result < 0 || check_args(r, &e) < 0) {
        return usage_error(r, &e);
    }
    const struct args args = {r->args.at, r->args.len};
    result = c->run(&args, &e);
    if (result < 0) {
        fprintf(stderr, "osm: %s\n", e.text);
        return EXIT_FAILED;
    }
    return result;
}

int command_run(const struct command *root, int argc, char **argv)
{
    struct reader r = {.next = argv + (argc > 0), .path = {{root}, 1}};
    int code = run(&r);
    VEC_DONE(r.args);
    return fflush(stdout) == 0 || code != EXIT_OK ? code : EXIT_FAILED;
}
