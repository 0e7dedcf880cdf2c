/* The controller under test: the real program, fed by two folders of manifests. What is written to
 * the live one counts before the base. */
#ifndef BENCH_SWARM_CONTROLLED_H
#define BENCH_SWARM_CONTROLLED_H

#include <stdint.h>
#include <sys/types.h>

#include "world.h"

struct controlled {
    char *folder; /* of all, made for this run */
    uint16_t port;
    pid_t pid;
    pid_t cleaner; /* removes the folder when the other end of the pipe is closed */
    int cleaner_pipe;
    int shards;
    bool moves_clock;         /* controlled_pass will be called */
    _Atomic int64_t *ahead_s; /* of the first thread's clocks; shared with the program */
};

/* Makes the folders and writes the world. */
void controlled_prepare(struct controlled *c, const struct world *w);
/* What it has logged from there on, on the heap: waits until these words are in it. NULL: they
 * didn't come. */
char *controlled_hear(const struct controlled *c, off_t from, const char *words);
off_t controlled_log_bytes(const struct controlled *c);
/* Starts the program and waits until it takes connections. Ends the process when it can't. */
void controlled_start(struct controlled *c, const char *program, int shards);
char *controlled_ca_file(const struct controlled *c);
/* Puts the file there at once, whole. */
void controlled_write(const struct controlled *c, const char *name, const struct buf *text);
void controlled_remove(const struct controlled *c, const char *name); /* if it is there */
/* Of the base: what is of this service, as the world is now. */
void controlled_write_service(const struct controlled *c, const struct world *w, int service);
/* So many seconds more have passed for the program's first thread, and it looks at the clock. */
void controlled_pass(struct controlled *c, int64_t s);
/* false: it crashed or its exit status isn't 0 (a sanitizer's finding, too); says so, with the end
 * of its log. */
bool controlled_stop(struct controlled *c);
/* After controlled_stop. The folder goes unless it is to be kept, and also when this process is
 * killed before it comes here. */
void controlled_done(struct controlled *c, bool keep);

#endif
