/* What a container writes, in a file of bounded size: when it is full it becomes "<path>.1" and a
 * new one begins. Writing that fails (a full disk) loses lines, never stops the container. */
#ifndef OSM_LOCAL_LOGS_H
#define OSM_LOCAL_LOGS_H

#include "base/buf.h"
#include "base/err.h"
#include "net/loop.h"

/* Two such files a container. */
enum { LOG_FILE_BYTES = 8 << 20 };

struct log_file;

struct log_file *log_file_new(struct loop *loop, const char *path);
void log_file_free(struct log_file *f); /* what is in the pipe is still written */
/* A pipe's end for the next start of the container, the caller's to close. */
int log_file_pipe(struct log_file *f, int *ret, struct err *e);
/* The file itself, for a command beside the container; the caller closes it. */
int log_file_dup(struct log_file *f, int *ret, struct err *e);
/* A line of our own. */
void log_file_note(struct log_file *f, const char *text);
/* The last lines of the file, at most max_bytes. */
void log_tail(const char *path, int lines, struct buf *out);

#endif
