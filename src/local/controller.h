/* osm-controller as a child process: started, started again when it ends, asked for its status. On
 * the loop's thread. */
#ifndef OSM_LOCAL_CONTROLLER_H
#define OSM_LOCAL_CONTROLLER_H

#include "doc/value.h"
#include "local/children.h"
#include "net/loop.h"

struct controller;

struct controller_options {
    struct loop *loop;
    struct children *children;
    const char *program, *ca_file, *ads_address, *http_socket, *log_file;
    const char *mesh_name, *osm_namespace, *trust_domain;
    const char *const *sources;
    size_t n_sources;
};

/* Copies what it needs of the options; the first start is at the next tick. */
struct controller *controller_new(const struct controller_options *o);
void controller_free(struct controller *c); /* kills it; takes NULL */
/* SIGTERM; *ended tells later. */
void controller_end(struct controller *c);
bool controller_ended(const struct controller *c);
void controller_tick(struct controller *c, int64_t now_ms);
/* When it ended it is started again at once. */
void controller_retry(struct controller *c);
/* Other folders to read: a new process with them. */
void controller_set_sources(struct controller *c, const char *const *sources, size_t n);
/* The last answer to GET /status; NULL before the first, or when it doesn't run. */
const struct value *controller_status(const struct controller *c);
bool controller_ready(const struct controller *c);
/* Why it isn't ready: its last words; "" when it is. */
const char *controller_problem(const struct controller *c);

#endif
