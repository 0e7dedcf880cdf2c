/* Talks to a sidecar's admin page, from inside the pod's network namespace. On the loop's thread.
 */
#ifndef OSM_LOCAL_ADMIN_H
#define OSM_LOCAL_ADMIN_H

#include "base/mem.h"
#include "net/http_client.h"

struct admin;

/* netns_fd must stay open as long as it lives. */
struct admin *admin_new(struct loop *loop, int netns_fd);
void admin_free(struct admin *a); /* takes NULL; ends what is open: done gets status -1 */
AUTO_DEFINE(struct admin, admin_free)

/* Has Envoy all its first configuration? Asks in the background: call it again and again. */
bool admin_ready(struct admin *a, int64_t now_ms);
/* GET of "/path?query". */
void admin_get(struct admin *a, const char *path, int64_t timeout_ms, http_done_fn *done,
               void *arg);

#endif
