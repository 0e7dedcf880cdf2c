/* What may stand at a place of the command line, and the shells' scripts that ask for it. */
#ifndef OSM_CLI_COMPLETE_H
#define OSM_CLI_COMPLETE_H

#include "base/command.h"

/* From the cluster, when it answers within two seconds; else nothing. */
void complete_namespaces(struct completion *c);
void complete_pods(struct completion *c); /* "NAMESPACE/NAME" */
/* The second argument is a pod; the first a page of Envoy's admin interface. */
void complete_page_and_pod(struct completion *c);
void complete_error_codes(struct completion *c);

/* Prints "word<tab>help" lines, and ":files" where names of files belong, for a line of which the
 * last word is being written. */
void complete_line(const struct command *root, const struct args *words);

int complete_run(const struct args *args, struct err *e);
int completion_run(const struct args *args, struct err *e);

#endif
