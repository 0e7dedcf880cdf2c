/* Logs are events with fields, once, at the boundary: libraries return errors instead. One line
 * each on stderr, as JSON or, on a terminal, as text. No secret is ever passed here. Thread safe.
 */
#ifndef OSM_BASE_LOG_H
#define OSM_BASE_LOG_H

#include <stdbool.h>

#include "base/str.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* Names as MeshConfig has them: trace, debug, info, warn, warning, error, disabled, off. */
bool log_level_parse(struct str s, enum log_level *ret);
void log_set_level(enum log_level level);
void log_set_json(bool json);
bool log_enabled(enum log_level level);

/* Fields are pairs of key and C string, ended by NULL:
 *   log_event(LOG_WARN, "object refused", "file", path, "reason", e.text, NULL); */
void log_event(enum log_level level, const char *message, ...) __attribute__((sentinel));

#endif
