/* Logs are events with fields, once, at the boundary: libraries return errors instead. One line
 * each on stderr, as JSON or, on a terminal, as text. No secret is ever passed here. Thread safe.
 */
#ifndef OSM_BASE_LOG_H
#define OSM_BASE_LOG_H

#include <stdbool.h>

#include "base/str.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* Names as MeshConfig has them: trace, debug, info, warn, warning, error, disabled, off;
 * fatal and panic, which other programs have, are errors. */
bool log_level_parse(struct str s, enum log_level *ret);
void log_set_level(enum log_level level);
void log_set_json(bool json);
bool log_enabled(enum log_level level);

/* Fields are pairs of key and C string, ended by NULL:
 *   log_event(LOG_WARN, "object refused", "file", path, "reason", e.text, NULL); */
void log_event(enum log_level level, const char *message, ...) __attribute__((sentinel));

/* The program that speaks, a field "component" of every event from now on; lasts as long as it.
 * NULL: none. */
void log_set_component(const char *component);
/* fn is told the value of each field "error_code" (such as E4014), also of events that the level
 * keeps out, on the thread that logs. NULL: nobody. */
void log_on_error_code(void (*fn)(const char *code));

#endif
