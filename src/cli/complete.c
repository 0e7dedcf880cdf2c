/* What may stand at a place of the command line. */
#include "cli/complete.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/error_codes.h"
#include "cli/commands.h"

/* Where the words before the last have led. */
struct place {
    struct command_path path;
    struct texts args;
    const struct flag *flag; /* waits for its value */
    bool only_args;          /* after "--" */
};

static void offer(struct completion *c, const char *word, const char *help)
{
    if (strncmp(word, c->prefix.ptr, c->prefix.len) == 0) {
        printf("%s%s%s%s\n", (const char *)c->arg, word, help ? "\t" : "", help ? help : "");
    }
}

static void read_flag(struct place *p, const char *word)
{
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t len = !is_long ? 1 : equals ? (size_t)(equals - name) : strlen(name);
    const struct flag *f = command_flag(&p->path, name, len);
    bool has_value = is_long ? equals != NULL : name[1] != '\0';
    p->flag = f && f->type != FLAG_BOOL && !has_value ? f : NULL;
}

static void read_word(struct place *p, const char *word)
{
    const struct command *child = command_child(command_last(&p->path), word);
    if (p->flag) {
        p->flag = NULL;
    } else if (!p->only_args && strcmp(word, "--") == 0) {
        p->only_args = true;
    } else if (!p->only_args && word[0] == '-' && word[1] != '\0') {
        read_flag(p, word);
    } else if (child && p->path.len < COMMAND_DEPTH_MAX) {
        p->path.at[p->path.len++] = child;
    } else {
        VEC_PUSH(p->args, word);
    }
}

static void complete_value(const struct flag *f, struct completion *c)
{
    struct str rest = str_of(f->type == FLAG_BOOL ? "true|false" : f->value), choice;
    if (f->complete) {
        f->complete(c);
    } else if (strchr(rest.ptr, '|')) {
        while (rest.len > 0) {
            char word[64];
            if (!str_cut(rest, '|', &choice, &rest)) {
                rest = STR("");
            }
            snprintf(word, sizeof(word), "%.*s", STR_ARG(choice));
            c->offer(c, word, NULL);
        }
    }
}

static void complete_flags(const struct place *p, struct completion *c)
{
    for (size_t i = p->path.len; i-- > command_flags_from(&p->path);) {
        for (const struct flag *f = p->path.at[i]->flags; f && f->name; f++) {
            AUTO(free) char *word = mem_printf("--%s", f->name);
            c->offer(c, word, f->help);
        }
    }
    c->offer(c, "--help", "about this command");
}

static void complete_commands(const struct command *parent, struct completion *c)
{
    for (const struct command *child = parent->children; child->name; child++) {
        if (command_listed(child)) {
            c->offer(c, child->name, child->summary);
        }
    }
}

/* "--output=js": the value, with what is before it repeated. */
static void complete_flag_word(const struct place *p, struct completion *c, const char *word)
{
    const char *equals = strchr(word, '=');
    const struct flag *f = equals && word[1] == '-'
                               ? command_flag(&p->path, word + 2, (size_t)(equals - word - 2))
                               : NULL;
    if (!f) {
        complete_flags(p, c);
        return;
    }
    AUTO(free) char *before = mem_printf("%.*s", (int)(equals + 1 - word), word);
    c->prefix = str_of(equals + 1);
    c->arg = before;
    complete_value(f, c);
    c->arg = (void *)"";
}

void complete_line(const struct command *root, const struct args *words)
{
    struct place p = {.path = {{root}, 1}};
    const char *last = words->len > 0 ? words->at[words->len - 1] : "";
    for (size_t i = 0; i + 1 < words->len; i++) {
        read_word(&p, words->at[i]);
    }
    const struct command *command = command_last(&p.path);
    struct completion c = {.prefix = str_of(last),
                           .args = p.args.at,
                           .n_args = p.args.len,
                           .offer = offer,
                           .arg = (void *)""};
    if (p.flag) {
        complete_value(p.flag, &c);
    } else if (last[0] == '-' && !p.only_args) {
        complete_flag_word(&p, &c, last);
    } else if (command->children) {
        complete_commands(command, &c);
    } else if (command->complete && p.args.len < command->max_args) {
        command->complete(&c);
    }
    if (c.files) {
        printf(":files\n");
    }
    VEC_DONE(p.args);
}

int complete_run(const struct args *args, struct err *e)
{
    complete_line(osm_root(), args);
    return EXIT_OK;
}

void complete_error_codes(struct completion *c)
{
    size_t len;
    const struct error_code_info *codes = error_codes(&len);
    for (size_t i = 0; i < len; i++) {
        c->offer(c, codes[i].label, codes[i].what);
    }
}
