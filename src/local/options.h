/* What `osm local up` says to the runtime, and run.json keeps. */
#ifndef OSM_LOCAL_OPTIONS_H
#define OSM_LOCAL_OPTIONS_H

#include "local/images.h"

struct run_options {
    VEC(char *) roots; /* absolute paths of the user's manifests */
    struct images images;
    char *envoy;      /* path of the program */
    char *controller; /* path of osm-controller */
    char *mesh_name;  /* namespaces labelled monitored-by it get sidecars */
    int64_t ads_port;
};

#define ADS_PORT_DEFAULT 15128
#define MESH_NAME_DEFAULT "osm"

void run_options_done(struct run_options *o);
/* JSON: {"roots": [...], "images": ["NAME=COMMAND"...], "envoy", "controller", "mesh_name",
 * "ads_port"}; reading sets what is there and leaves the rest. */
void run_options_write(const struct run_options *o, struct buf *out);
int run_options_read(struct run_options *o, struct str json, struct err *e);
bool run_options_same_roots(const struct run_options *x, const struct run_options *y);

#endif
