/* osm man: pages about commands, in roff or Markdown, from the table. */
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *directory;
static bool markdown;

const struct flag man_flags[] = {
    {"directory", 'd', FLAG_STRING, "DIR", "write a page for each command there", &directory},
    {"markdown", 0, FLAG_BOOL, NULL, "all commands as one page of Markdown", &markdown},
    {0},
};

/* --- walking --- */

static void each_command(struct command_path *p,
                         void (*fn)(void *arg, const struct command_path *p), void *arg)
{
    fn(arg, p);
    const struct command *c = command_last(p);
    for (const struct command *child = c->children; child && child->name; child++) {
        if (!child->hidden && p->len < COMMAND_DEPTH_MAX) {
            p->at[p->len++] = child;
            each_command(p, fn, arg);
            p->len--;
        }
    }
}

/* --- roff --- */

/* Text with what roff would take for its own escaped; lines that begin with a dot too. */
static void roff_text(FILE *to, const char *text)
{
    bool begin = true;
    for (const char *c = text; *c; c++) {
        if (begin && (*c == '.' || *c == '\'')) {
            fputs("\\&", to);
        }
        if (*c == '\\' || *c == '-') {
            fputc('\\', to);
        }
        fputs(*c == '\\' ? "e" : (const char[]){*c, '\0'}, to);
        begin = *c == '\n';
    }
}

static void roff_flag(FILE *to, const struct flag *f)
{
    AUTO(free) char *without = flag_default(f);
    fprintf(to, ".TP\n\\fB");
    if (f->letter) {
        fprintf(to, "\\-%c\\fR, \\fB", f->letter);
    }
    fprintf(to, "\\-\\-");
    roff_text(to, f->name);
    fprintf(to, "\\fR");
    if (f->value) {
        fprintf(to, " \\fI");
        roff_text(to, f->value);
        fprintf(to, "\\fR");
    }
    fprintf(to, "\n");
    roff_text(to, f->help);
    if (f->required) {
        fprintf(to, "; needed");
    } else if (without) {
        fprintf(to, "; ");
        roff_text(to, without);
        fprintf(to, " when not given");
    }
    fprintf(to, "\n");
}

static void roff_flags(FILE *to, const struct command_path *p)
{
    fprintf(to, ".SH OPTIONS\n");
    for (size_t i = p->len; i-- > command_flags_from(p);) {
        for (const struct flag *f = p->at[i]->flags; f && f->name; f++) {
            roff_flag(to, f);
        }
    }
    fprintf(to, ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nhelp about the command\n");
}

static void roff_commands(FILE *to, const struct command_path *p)
{
    fprintf(to, ".SH COMMANDS\n");
    for (const struct command *c = command_last(p)->children; c->name; c++) {
        if (!c->hidden) {
            fprintf(to, ".TP\n\\fB");
            command_print_path(to, p, "\\-");
            fprintf(to, "\\-%s\\fR(1)\n", c->name);
            roff_text(to, c->summary);
            fprintf(to, "\n");
        }
    }
}

static void roff_page(FILE *to, const struct command_path *p)
{
    const struct command *c = command_last(p);
    fprintf(to, ".TH \"");
    command_print_path(to, p, "\\-");
    fprintf(to, "\" 1 \"\" \"osm " OSM_VERSION "\" \"osm\"\n.SH NAME\n");
    command_print_path(to, p, "\\-");
    fprintf(to, " \\- ");
    roff_text(to, c->summary);
    fprintf(to, "\n.SH SYNOPSIS\n\\fB");
    command_print_path(to, p, " ");
    fprintf(to, "\\fR %s\\fI", c->children ? "\\fICOMMAND\\fR " : "");
    roff_text(to, c->arguments ? c->arguments : "");
    fprintf(to, "\\fR [\\fIOPTIONS\\fR]\n");
    if (c->help || c->aliases) {
        fprintf(to, ".SH DESCRIPTION\n");
    }
    if (c->aliases) {
        fprintf(to, "Also named: %s.\n", c->aliases);
    }
    if (c->help) {
        fprintf(to, ".nf\n");
        roff_text(to, c->help);
        fprintf(to, "\n.fi\n");
    }
    if (c->children) {
        roff_commands(to, p);
    }
    roff_flags(to, p);
    fprintf(to, ".SH EXIT STATUS\n0: all is well. 1: it failed, or what was looked at isn't well. "
                "2: the command line is wrong.\n");
}

/* --- a file each --- */

struct pages {
    struct err *e;
    int result;
};

static void write_page(void *arg, const struct command_path *p)
{
    struct pages *pages = arg;
    char *path = mem_strdup(directory);
    for (size_t i = 0; i < p->len; i++) {
        char *longer = mem_printf("%s%s%s", path, i == 0 ? "/" : "-", p->at[i]->name);
        free(path);
        path = longer;
    }
    char *file_name = mem_printf("%s.1", path);
    FILE *file = pages->result == 0 ? fopen(file_name, "we") : NULL;
    if (file) {
        roff_page(file, p);
    }
    if (pages->result == 0 && (!file || fclose(file) != 0)) {
        pages->result = err_errno(pages->e, "can't write %s", file_name);
    }
    free(file_name);
    free(path);
}

/* --- Markdown --- */

static void markdown_flags(const struct flag *flags)
{
    printf("\n| flag | default | meaning |\n|---|---|---|\n");
    for (const struct flag *f = flags; f->name; f++) {
        AUTO(free) char *without = flag_default(f);
        printf("| `");
        if (f->letter) {
            printf("-%c, ", f->letter);
        }
        printf("--%s", f->name);
        printf("%s", f->value ? " " : "");
        for (const char *c = f->value; c && *c; c++) {
            printf("%s", *c == '|' ? "\\|" : (const char[]){*c, '\0'});
        }
        printf("` | %s | %s%s |\n",
               f->required ? "needed"
               : without   ? without
                           : "",
               f->help, f->env ? " (or from the environment)" : "");
    }
}

static void markdown_command(void *arg, const struct command_path *p)
{
    const struct command *c = command_last(p);
    if (p->len == 1) {
        return;
    }
    printf("\n%s ", p->len == 2 ? "##" : "###");
    command_print_path(stdout, p, " ");
    printf("\n\n%s.\n", c->summary);
    if (!c->children) {
        printf("\n    ");
        command_print_path(stdout, p, " ");
        printf("%s%s\n", c->arguments ? " " : "", c->arguments ? c->arguments : "");
    }
    if (c->aliases) {
        printf("\nAlso named: %s.\n", c->aliases);
    }
    if (c->help) {
        printf("\n```\n%s\n```\n", c->help);
    }
    if (c->flags) {
        markdown_flags(c->flags);
    }
}

static void print_markdown(struct command_path *p)
{
    printf("# osm\n\n%s. This page is what `osm man --markdown` prints.\n\n",
           command_last(p)->summary);
    printf("Exit codes: 0 all is well, 1 it failed or what was looked at isn't well, 2 the command "
           "line is wrong. Shell completion: `osm completion bash|zsh|fish`. As a plugin of "
           "kubectl: `kubectl osm`.\n\nFlags of every command, but those of `osm local`:\n");
    markdown_flags(command_last(p)->flags);
    each_command(p, markdown_command, NULL);
}

int man_run(const struct args *args, struct err *e)
{
    struct command_path p = {{osm_root()}, 1};
    for (size_t i = 0; i < args->len; i++) {
        const struct command *child = command_child(command_last(&p), args->at[i]);
        if (!child || p.len == COMMAND_DEPTH_MAX) {
            return err_set(e, "there is no command \"%s\"", args->at[i]);
        }
        p.at[p.len++] = child;
    }
    if (markdown) {
        print_markdown(&p);
    } else if (directory) {
        struct pages pages = {.e = e};
        each_command(&p, write_page, &pages);
        return pages.result;
    } else {
        roff_page(stdout, &p);
    }
    return EXIT_OK;
}
