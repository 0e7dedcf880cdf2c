/* What tables of commands and flags say of themselves. */
#include "base/command.h"

#include <string.h>

#include "base/mem.h"
#include "base/table.h"

const struct command *command_last(const struct command_path *p)
{
    return p->at[p->len - 1];
}

void command_print_path(FILE *to, const struct command_path *p, const char *sep)
{
    for (size_t i = 0; i < p->len; i++) {
        fprintf(to, "%s%s", i > 0 ? sep : "", p->at[i]->name);
    }
}

static bool has_alias(const struct command *c, const char *name)
{
    struct str rest = str_of(c->aliases), alias;
    while (rest.len > 0) {
        if (!str_cut(rest, ' ', &alias, &rest)) {
            rest = STR("");
        }
        if (str_is(alias, name)) {
            return true;
        }
    }
    return false;
}

const struct command *command_child(const struct command *c, const char *name)
{
    for (const struct command *child = c->children; child && child->name; child++) {
        if (strcmp(child->name, name) == 0 || has_alias(child, name)) {
            return child;
        }
    }
    return NULL;
}

bool command_listed(const struct command *c)
{
    return !c->hidden && !(c->unavailable && c->unavailable());
}

size_t command_flags_from(const struct command_path *p)
{
    for (size_t i = p->len; i-- > 0;) {
        if (p->at[i]->alone) {
            return i;
        }
    }
    return 0;
}

const struct flag *command_flag(const struct command_path *p, const char *name, size_t len)
{
    for (size_t i = p->len; i-- > command_flags_from(p);) {
        for (const struct flag *f = p->at[i]->flags; f && f->name; f++) {
            if ((strlen(f->name) == len && strncmp(f->name, name, len) == 0) ||
                (len == 1 && f->letter == name[0])) {
                return f;
            }
        }
    }
    return NULL;
}

static char *seconds_text(int64_t s)
{
    return s % 3600 == 0 ? mem_printf("%lldh", (long long)s / 3600)
           : s % 60 == 0 ? mem_printf("%lldm", (long long)s / 60)
                         : mem_printf("%llds", (long long)s);
}

static char *texts_text(const struct texts *t)
{
    char *all = NULL;
    VEC_EACH(*t, text) {
        char *longer = mem_printf("%s%s%s", all ? all : "", all ? "," : "", *text);
        free(all);
        all = longer;
    }
    return all;
}

void complete_files(struct completion *c)
{
    c->files = true;
}

char *flag_default(const struct flag *f)
{
    const char *text;
    switch (f->type) {
    case FLAG_BOOL:
        return *(bool *)f->to ? mem_strdup("true") : NULL;
    case FLAG_STRING:
        text = *(const char **)f->to;
        return text && text[0] ? mem_strdup(text) : NULL;
    case FLAG_STRINGS:
    case FLAG_LIST:
        return texts_text(f->to);
    case FLAG_SECONDS:
        return *(int64_t *)f->to ? seconds_text(*(int64_t *)f->to) : NULL;
    case FLAG_NUMBER:
        return *(int64_t *)f->to ? mem_printf("%lld", (long long)*(int64_t *)f->to) : NULL;
    }
    return NULL;
}

static char *flag_note(const struct flag *f)
{
    AUTO(free) char *without = flag_default(f);
    char *env = f->env ? mem_printf("%s$%s", without ? ", " : "", f->env) : mem_strdup("");
    char *note = f->required         ? mem_strdup(" (needed)")
                 : without || f->env ? mem_printf(" (%s%s)", without ? without : "", env)
                                     : mem_strdup("");
    free(env);
    return note;
}

static void add_flag(struct table *t, const struct flag *f)
{
    AUTO(free) char *note = flag_note(f);
    char letter[] = {'-', f->letter, ',', '\0'};
    table_add(t, "  %s --%s%s%s", f->letter ? letter : "   ", f->name, f->value ? " " : "",
              f->value ? f->value : "");
    table_add(t, "%s%s", f->help, note);
}

/* Those of the command first, then those of the ones above it; the root's are everybody's. */
static void print_flags(FILE *to, const struct command_path *p)
{
    struct table own = {.columns = 2}, all = {.columns = 2};
    for (size_t i = p->len; i-- > command_flags_from(p);) {
        for (const struct flag *f = p->at[i]->flags; f && f->name; f++) {
            add_flag(i == 0 && p->len > 1 ? &all : &own, f);
        }
    }
    table_add(&own, "  -h, --help");
    table_add(&own, "this text");
    fprintf(to, "\nFlags:\n");
    table_print(&own, to);
    if (all.cells.len > 0) {
        fprintf(to, "\nFlags of every command:\n");
        table_print(&all, to);
    }
    table_done(&own);
    table_done(&all);
}

static void print_children(FILE *to, const struct command *c)
{
    struct table t = {.columns = 2};
    for (const struct command *child = c->children; child && child->name; child++) {
        if (command_listed(child)) {
            table_add(&t, "  %s", child->name);
            table_add(&t, "%s", child->summary);
        }
    }
    fprintf(to, "\nCommands:\n");
    table_print(&t, to);
    table_done(&t);
}

void command_print_help(FILE *to, const struct command_path *p)
{
    const struct command *c = command_last(p);
    fprintf(to, "%s\n\nUsage: ", c->summary);
    command_print_path(to, p, " ");
    fprintf(to, "%s%s%s\n", c->children ? " COMMAND" : "", c->arguments ? " " : "",
            c->arguments ? c->arguments : "");
    if (c->aliases) {
        fprintf(to, "Also named: %s\n", c->aliases);
    }
    if (c->help) {
        fprintf(to, "\n%s\n", c->help);
    }
    if (c->children) {
        print_children(to, c);
    }
    print_flags(to, p);
    if (c->children) {
        fprintf(to, "\nMore about one: ");
        command_print_path(to, p, " ");
        fprintf(to, " COMMAND --help\n");
    }
}
