/* An error that gathers context on its way up. Functions return an int, zero or negative, and take
 * `struct err *e` last; it stays untouched on success. The text reads as a sentence for the user:
 * which file or object, which field, what was expected, what was found, what to do. */
#ifndef OSM_BASE_ERR_H
#define OSM_BASE_ERR_H

struct err {
    char text[1024];
};

#define ERR_INIT (struct err){.text = ""}

/* Sets the text; longer ones end in "...". Always returns -1, so that `return err_set(...)` reads
 * well. e may be NULL. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* Puts "<context>: " before the text. Always returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* err_set with ": <strerror(errno)>" after it. */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

#endif
