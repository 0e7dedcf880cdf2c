/* libyaml names a place in its grammar; people want to know what to change. */
#include "doc/yaml_problem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct problem {
    const char *libyaml;
    const char *says;
};

static const struct problem problems[] = {
    {"mapping values are not allowed in this context",
     "found \": \" where no value can begin; quote text that holds a colon, or check the "
     "indentation"},
    {"block sequence entries are not allowed in this context",
     "found a list entry (\"- \") where none can begin; check the indentation"},
    {"mapping keys are not allowed in this context",
     "found a key where none can begin; check the indentation"},
    {"could not find expected ':'", "expected \":\" after a key, found none"},
    {"found unknown escape character",
     "found an unknown escape after \"\\\" in double quotes; write \"\\\\\" for a backslash, or "
     "use single quotes"},
    {"did not find expected hexdecimal number",
     "expected hexadecimal digits after \"\\x\", \"\\u\" or \"\\U\" in double quotes"},
    {"found invalid Unicode character escape code",
     "found an escape in double quotes that is no Unicode character"},
    {"found a tab character that violates indentation",
     "found a tab in the indentation; indent with spaces"},
    {"found a tab character where an indentation space is expected",
     "found a tab in the indentation; indent with spaces"},
    {"found an indentation indicator equal to 0",
     "expected a number from 1 to 9 after \"|\" or \">\", found 0"},
    {"did not find expected comment or line break",
     "expected the end of the line after \"|\" or \">\", found more"},
    {"did not find expected alphabetic or numeric character",
     "expected a name of letters and digits after \"&\" or \"*\"; quote text that begins with one "
     "of these"},
    {"did not find expected <document start>",
     "expected the end of the document, found more; check the indentation"},
    {"found unexpected ':'", "found \":\" inside plain text of a list or mapping in brackets; "
                             "quote the text"},
    {"found undefined tag handle", "expected a standard tag such as \"!!str\", found one with an "
                                   "unknown prefix; quote text that begins with \"!\""},
    {"found incompatible YAML document", "expected %YAML 1.1 or 1.2, found another version"},
    {"found duplicate %YAML directive", "expected one %YAML directive, found two"},
    {"found duplicate %TAG directive", "expected one %TAG directive for a prefix, found two"},
    {"found unknown directive name",
     "found a line that begins with \"%\" and isn't %YAML or %TAG; quote the text"},
    {"control characters are not allowed",
     "found a control character; write it as an escape in double quotes"},
    {"invalid leading UTF-8 octet", "the text is not UTF-8; save the file as UTF-8"},
    {"invalid trailing UTF-8 octet", "the text is not UTF-8; save the file as UTF-8"},
    {"invalid length of a UTF-8 sequence", "the text is not UTF-8; save the file as UTF-8"},
    {"incomplete UTF-8 octet sequence",
     "the text is not UTF-8, it ends within a character; save the file as UTF-8"},
    {"invalid Unicode character", "the text is not UTF-8; save the file as UTF-8"},
};

/* Those that are found where something larger ends: where it begins helps. */
static const struct problem problems_of_larger[] = {
    {"did not find expected key",
     "expected a key of the mapping or its end; check the indentation and quotes"},
    {"did not find expected '-' indicator",
     "expected another entry of the list (\"- \") or its end; check the indentation"},
    {"did not find expected ',' or ']'", "expected \",\" or \"]\" in the list"},
    {"did not find expected ',' or '}'", "expected \",\" or \"}\" in the mapping"},
    {"found unexpected end of stream",
     "expected the quote that ends a text, found the end of the document"},
    {"found unexpected document indicator",
     "expected the quote that ends a text, found the end of the document"},
};

static const char *find(const struct problem *table, size_t len, const char *libyaml)
{
    for (size_t i = 0; i < len; i++) {
        if (strcmp(table[i].libyaml, libyaml) == 0) {
            return table[i].says;
        }
    }
    return NULL;
}

static size_t char_len(char c)
{
    unsigned char u = (unsigned char)c;
    return u < 0x80 ? 1 : u >= 0xf0 ? 4 : u >= 0xe0 ? 3 : 2;
}

/* The text from the mark on; empty at the end. libyaml counts characters, not bytes. */
static struct str from_mark(struct str text, const yaml_mark_t *mark)
{
    size_t line = 0, column = 0, i = 0;
    while (i < text.len && line < mark->line) {
        line += text.ptr[i++] == '\n';
    }
    while (i < text.len && column < mark->column && text.ptr[i] != '\n') {
        i += char_len(text.ptr[i]);
        column++;
    }
    i = i < text.len ? i : text.len;
    return (struct str){text.ptr + i, text.len - i};
}

/* Readable: what stands at the mark. */
static void describe_found(struct str at, char *out, size_t size)
{
    if (at.len == 0) {
        snprintf(out, size, "the end of the document");
    } else if (at.ptr[0] == '\n' || at.ptr[0] == '\r') {
        snprintf(out, size, "the end of the line");
    } else if (at.ptr[0] == '\t') {
        snprintf(out, size, "a tab");
    } else {
        size_t len = char_len(at.ptr[0]);
        snprintf(out, size, "\"%.*s\"", (int)(len < at.len ? len : at.len), at.ptr);
    }
}

/* A text that breaks off is wrong in its last line, not in the empty one after it. */
static int last_line(struct str text)
{
    text.len = str_trim(text).len + (size_t)(str_trim(text).ptr - text.ptr);
    int line = 0;
    for (size_t i = 0; i < text.len; i++) {
        line += text.ptr[i] == '\n';
    }
    return line;
}

static int line_of_offset(struct str text, size_t offset)
{
    int line = 0;
    for (size_t i = 0; i < text.len && i < offset; i++) {
        line += text.ptr[i] == '\n';
    }
    return line;
}

static void bad_start(struct str at, struct err *e)
{
    char found[32];
    if (at.len > 0 && at.ptr[0] == '\t') {
        err_set(e, "found a tab where a value or the indentation begins; indent with spaces");
        return;
    }
    describe_found(at, found, sizeof(found));
    err_set(e, "found %s, which can't begin plain text; quote the text", found);
}

static void no_value(struct str at, struct str key, struct err *e)
{
    char found[32];
    describe_found(at, found, sizeof(found));
    if (key.len > 0) {
        err_set(e, "expected a value for key \"%.*s\", found %s", STR_ARG(key), found);
    } else {
        err_set(e, "expected a value, found %s", found);
    }
}

int yaml_problem(const yaml_parser_t *parser, struct str text, struct str key, int first_line,
                 struct err *e)
{
    const char *what = parser->problem ? parser->problem : "";
    int line = (int)parser->problem_mark.line;
    struct str at = from_mark(text, &parser->problem_mark);
    if (parser->error == YAML_READER_ERROR) {
        line = line_of_offset(text, parser->problem_offset);
    } else if (at.len == 0) {
        line = last_line(text);
    }
    if (strcmp(what, "found character that cannot start any token") == 0) {
        bad_start(at, e);
        return line + first_line;
    }
    if (strcmp(what, "did not find expected node content") == 0) {
        no_value(at, key, e);
        return line + first_line;
    }
    const char *says = find(problems, COUNT_OF(problems), what);
    if (says) {
        err_set(e, "%s", says);
        return line + first_line;
    }
    says = find(problems_of_larger, COUNT_OF(problems_of_larger), what);
    int began = (int)parser->context_mark.line;
    if (says && began != line) {
        err_set(e, "%s (it begins on line %d)", says, began + first_line);
    } else if (says) {
        err_set(e, "%s", says);
    } else {
        err_set(e, "expected YAML, found something else (%s)", what);
    }
    return line + first_line;
}
