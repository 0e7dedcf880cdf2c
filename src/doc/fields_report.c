/* Findings of rules that tables can't say, and guesses at what was meant. */
#include "doc/fields.h"

#include <string.h>

/* Steps into v along the first part of *path and removes it. NULL when there is nothing. */
static const struct value *step(const struct value *v, const char **path, int *line)
{
    const char *p = *path;
    struct str key;
    if (*p == '[' && p[1] != '"') {
        char *end;
        size_t i = strtoul(p + 1, &end, 10);
        *path = *end == ']' ? end + 1 : end + strlen(end);
        if (!v || v->type != VALUE_ARRAY || i >= v->array.len) {
            return NULL;
        }
        *line = v->array.at[i].line;
        return &v->array.at[i];
    }
    if (*p == '[') {
        const char *end = strstr(p, "\"]");
        key = (struct str){p + 2, end ? (size_t)(end - p) - 2 : strlen(p + 2)};
        *path = end ? end + 2 : p + strlen(p);
    } else {
        p += *p == '.';
        key = (struct str){p, strcspn(p, ".[")};
        *path = p + key.len;
    }
    for (size_t i = 0; v && v->type == VALUE_OBJECT && i < v->object.len; i++) {
        if (str_eq(v->object.at[i].key, key)) {
            *line = v->object.at[i].line;
            return &v->object.at[i].value;
        }
    }
    return NULL;
}

static int line_of(const struct value *root, const char *path)
{
    int line = root ? root->line : 0;
    for (const struct value *v = root; v && *path;) {
        v = step(v, &path, &line);
    }
    return line;
}

static void report_at(struct decode *d, enum finding_level level, const struct value *root,
                      const char *path, const char *fmt, va_list ap)
    __attribute__((format(printf, 5, 0)));

static void report_at(struct decode *d, enum finding_level level, const struct value *root,
                      const char *path, const char *fmt, va_list ap)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    buf_vprintf(&text, fmt, ap);
    d->errors += level == FINDING_ERROR;
    findings_add(d->findings, level, d->file, line_of(root, path), d->object, "%s%s%.*s", path,
                 *path ? ": " : "", STR_ARG(buf_str(&text)));
}

void decode_error(struct decode *d, const struct value *root, const char *path, const char *fmt,
                  ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_at(d, FINDING_ERROR, root, path, fmt, ap);
    va_end(ap);
}

void decode_warning(struct decode *d, const struct value *root, const char *path, const char *fmt,
                    ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_at(d, FINDING_WARNING, root, path, fmt, ap);
    va_end(ap);
}

#define WORD_MAX 48

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, remove, replace, swap neighbours) that turn a into b; case is free. */
static size_t distance(struct str a, struct str b)
{
    size_t rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = lower(a.ptr[i - 1]), y = lower(b.ptr[j - 1]);
            now[j] = least(least(now[j - 1], before[j]) + 1, before[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == y) {
                now[j] = least(now[j], earlier[j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b.len];
}

const char *fields_nearest(struct str given, const char *const *words)
{
    const char *best = NULL;
    size_t best_distance = 0;
    for (size_t i = 0; words[i] && given.len <= WORD_MAX; i++) {
        struct str word = str_of(words[i]);
        if (word.len > WORD_MAX) {
            continue;
        }
        size_t n = distance(given, word);
        if (n <= 1 + least(given.len, word.len) / 5 && n < least(given.len, word.len) &&
            (!best || n < best_distance)) {
            best = words[i];
            best_distance = n;
        }
    }
    return best;
}
