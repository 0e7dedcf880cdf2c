/* Collecting what is wrong with input. */
#include "doc/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

#define TEXT_MAX_BYTES 8192

static char *copy_or_null(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

/* The entry that stands for all that aren't kept is the last one that was added. */
static void count_dropped(struct findings *f, enum finding_level level, const char *file)
{
    if (f->dropped++ == 0) {
        f->dropped_at = f->list.len;
        VEC_PUSH(f->list, (struct finding){.level = level, .file = copy_or_null(file)});
    }
    struct finding *last = &f->list.at[f->dropped_at];
    if (level > last->level) {
        last->level = level;
    }
    free(last->text);
    last->text =
        mem_printf("%zu more findings are not shown; correct those above first", f->dropped);
}

static __attribute__((format(printf, 1, 0))) char *formatted(const char *fmt, va_list ap)
{
    char *text = mem_vprintf(fmt, ap);
    if (strlen(text) > TEXT_MAX_BYTES) {
        memcpy(text + TEXT_MAX_BYTES - 3, "...", 4);
    }
    return text;
}

void findings_add(struct findings *f, enum finding_level level, const char *file, int line,
                  const char *object, const char *fmt, ...)
{
    *(level == FINDING_ERROR ? &f->errors : &f->warnings) += 1;
    if (f->list.len >= LIMIT_FILE_FINDINGS - 1) {
        count_dropped(f, level, file);
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    char *text = formatted(fmt, ap);
    va_end(ap);
    VEC_PUSH(f->list, (struct finding){.level = level,
                                       .file = copy_or_null(file),
                                       .line = line,
                                       .object = copy_or_null(object),
                                       .text = text});
}

void findings_append(struct findings *f, const struct findings *from)
{
    VEC_EACH(from->list, one) {
        VEC_PUSH(f->list, (struct finding){.level = one->level,
                                           .file = copy_or_null(one->file),
                                           .line = one->line,
                                           .object = copy_or_null(one->object),
                                           .text = copy_or_null(one->text)});
    }
    f->errors += from->errors;
    f->warnings += from->warnings;
}

void findings_done(struct findings *f)
{
    VEC_EACH(f->list, one) {
        free(one->file);
        free(one->object);
        free(one->text);
    }
    VEC_DONE(f->list);
    *f = (struct findings){0};
}

static char *text_of(const struct finding *f, const char *level)
{
    struct buf out;
    buf_init(&out, 8 * TEXT_MAX_BYTES);
    buf_addz(&out, level);
    if (f->file && f->line > 0) {
        buf_printf(&out, "%s:%d: ", f->file, f->line);
    } else if (f->file) {
        buf_printf(&out, "%s: ", f->file);
    } else if (f->line > 0) {
        buf_printf(&out, "line %d: ", f->line);
    }
    if (f->object) {
        buf_printf(&out, "%s: ", f->object);
    }
    buf_addz(&out, f->text ? f->text : "");
    return buf_take(&out);
}

char *finding_text(const struct finding *f)
{
    return text_of(f, f->level == FINDING_ERROR ? "error: " : "warning: ");
}

int findings_err(const struct findings *f, struct err *e)
{
    size_t i = 0;
    while (i < f->list.len && f->list.at[i].level != FINDING_ERROR) {
        i++;
    }
    ASSERT(i < f->list.len);
    AUTO(free) char *text = text_of(&f->list.at[i], "");
    return err_set(e, "%s", text);
}
