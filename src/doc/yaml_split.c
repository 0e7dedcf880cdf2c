/* Cutting a text into documents by lines alone. That is exact: no content of a document may begin a
 * line with "---" or "..." and white space. */
#include "doc/value.h"

enum line_kind {
    LINE_BLANK, /* or a comment */
    LINE_DIRECTIVE,
    LINE_START, /* "---" and nothing more */
    LINE_START_WITH_CONTENT,
    LINE_END, /* "..." */
    LINE_CONTENT,
};

static bool is_blank_or_comment(struct str s)
{
    s = str_trim(s);
    return s.len == 0 || s.ptr[0] == '#';
}

static bool is_marker(struct str line, const char *marker)
{
    return str_starts(line, marker) &&
           (line.len == 3 || line.ptr[3] == ' ' || line.ptr[3] == '\t' || line.ptr[3] == '\r');
}

static enum line_kind classify(struct str line)
{
    if (str_starts(line, "\xef\xbb\xbf")) {
        line = (struct str){line.ptr + 3, line.len - 3};
    }
    if (is_marker(line, "---")) {
        struct str after = {line.ptr + 3, line.len - 3};
        return is_blank_or_comment(after) ? LINE_START : LINE_START_WITH_CONTENT;
    }
    if (is_marker(line, "...")) {
        return LINE_END;
    }
    if (is_blank_or_comment(line)) {
        return LINE_BLANK;
    }
    return line.ptr[0] == '%' ? LINE_DIRECTIVE : LINE_CONTENT;
}

struct cutter {
    struct str rest; /* from the line at hand on */
    int line;        /* its number */
    struct str doc;  /* grows over the lines of the document */
    int doc_line;
    bool started, content;
};

static void restart(struct cutter *c)
{
    c->doc = (struct str){c->rest.ptr, 0};
    c->doc_line = c->line;
    c->started = c->content = false;
}

/* The line with its end. */
static struct str line_with_end(struct str rest)
{
    struct str line, after;
    bool ended = str_cut(rest, '\n', &line, &after);
    return (struct str){line.ptr, line.len + ended};
}

static void take(struct cutter *c, struct str line, bool keep)
{
    c->doc.len += keep ? line.len : 0;
    c->rest = (struct str){c->rest.ptr + line.len, c->rest.len - line.len};
    c->line++;
}

/* True when the document is complete. */
static bool step(struct cutter *c)
{
    struct str line = line_with_end(c->rest), bare = line;
    if (bare.len > 0 && bare.ptr[bare.len - 1] == '\n') {
        bare.len--;
    }
    enum line_kind kind = classify(bare);
    switch (kind) {
    case LINE_START:
    case LINE_START_WITH_CONTENT:
        if (c->content) {
            return true;
        }
        if (c->started) {
            restart(c);
        }
        c->started = true;
        c->content = kind == LINE_START_WITH_CONTENT;
        break;
    case LINE_END:
        take(c, line, false);
        if (!c->content) {
            restart(c);
        }
        return c->content;
    case LINE_DIRECTIVE:
        c->content |= c->started;
        break;
    case LINE_CONTENT:
        c->content = true;
        break;
    case LINE_BLANK:
        break;
    }
    take(c, line, true);
    return false;
}

bool value_next_document(struct str *rest, struct str *doc, int *line, int *next_line)
{
    struct cutter c = {.rest = *rest, .line = *next_line};
    bool complete = false;
    restart(&c);
    while (!complete && c.rest.len > 0) {
        complete = step(&c);
    }
    *rest = c.rest;
    *next_line = c.line;
    if (!c.content) {
        return false;
    }
    *doc = c.doc;
    *line = c.doc_line;
    return true;
}
