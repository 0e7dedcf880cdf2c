/* Retry and Telemetry. */
#include <string.h>

#include "kinds/policy.h"
#include "kinds/policy_fields.h"
#include "kinds/row.h"

static const char *const service_kinds[] = {"Service", NULL};

static const struct field destination_fields[] = {
    {"kind", FIELD_STRING, AT(policy_subject, kind), FIELD_REQUIRED, .words = service_kinds,
     .help = "Kind of the destination."},
    {"name", FIELD_STRING, AT(policy_subject, name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of the service."},
    {"namespace", FIELD_STRING, AT(policy_subject, namespace), FIELD_REQUIRED,
     .format = &format_dns_label, .help = "Its namespace."},
    FIELDS_END,
};

static const struct field retry_policy_fields[] = {
    {"retryOn", FIELD_STRING, AT(retry, retry_on), FIELD_REQUIRED, .max = 1024,
     .help = "What is tried again, as Envoy names it, with commas between: 5xx, reset..."},
    {"perTryTimeout", FIELD_DURATION, AT(retry, per_try_timeout_ms),
     .help = "Time that each try has; none when not given."},
    {"numRetries", FIELD_INT, AT(retry, num_retries), FIELD_UNSTORED, .min = 0, .max = INT32_MAX,
     .initial = "1", .help = "Tries after the first; 1 when not given."},
    {"retryBackoffBaseInterval", FIELD_DURATION, AT(retry, backoff_base_ms), FIELD_UNSTORED,
     .initial = "25ms",
     .help = "Time before the first of them, which then doubles up to ten times it; 25ms when not "
             "given."},
    FIELDS_END,
};

static const struct field retry_spec_fields[] = {
    {"source", FIELD_STRUCT, AT(retry, source), FIELD_REQUIRED, .fields = account_fields,
     .help = "The service account that calls."},
    {"destinations", FIELD_LIST, AT(retry, destinations), FIELD_REQUIRED, .max = POLICY_ENTRIES_MAX,
     .fields = destination_fields, .size = sizeof(struct policy_subject),
     .help = "The services that it calls."},
    {"retryPolicy", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = retry_policy_fields,
     .help = "How a call is tried again."},
    FIELDS_END,
};

const struct field retry_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = retry_spec_fields,
     .help = "Retries of calls."},
    FIELDS_END,
};

/* x-envoy-retry-on and x-envoy-retry-grpc-on of Envoy's router filter. */
static const char *const retry_words[] = {"5xx",
                                          "gateway-error",
                                          "reset",
                                          "reset-before-request",
                                          "connect-failure",
                                          "envoy-ratelimited",
                                          "retriable-4xx",
                                          "refused-stream",
                                          "retriable-status-codes",
                                          "retriable-headers",
                                          "http3-post-connect-failure",
                                          "cancelled",
                                          "deadline-exceeded",
                                          "internal",
                                          "resource-exhausted",
                                          "unavailable",
                                          NULL};

static bool is_retry_word(struct str s)
{
    for (size_t i = 0; retry_words[i]; i++) {
        if (str_is(s, retry_words[i])) {
            return true;
        }
    }
    return false;
}

static struct str trim(struct str s)
{
    while (s.len && s.ptr[0] == ' ') {
        s = (struct str){s.ptr + 1, s.len - 1};
    }
    while (s.len && s.ptr[s.len - 1] == ' ') {
        s.len--;
    }
    return s;
}

/* Envoy passes over words that it doesn't know. */
static void check_retry_on(struct decode *d, const struct value *doc, struct str list)
{
    struct str word;
    bool more = true;
    while (more) {
        more = str_cut(list, ',', &word, &list);
        word = trim(word);
        if (is_retry_word(word)) {
            continue;
        }
        const char *near = fields_nearest(word, retry_words);
        decode_warning(d, doc, "spec.retryPolicy.retryOn",
                       "expected conditions of Envoy with commas between, found \"%.*s\", which "
                       "has no effect%s%s%s",
                       STR_ARG(word), near ? "; did you mean \"" : "", near ? near : "",
                       near ? "\"?" : "");
    }
}

void retry_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    const struct retry *r = (struct retry *)o;
    if (!clean) {
        return;
    }
    check_retry_on(d, doc, r->retry_on);
    if (!str_eq(r->source.namespace, o->meta.namespace)) {
        decode_warning(d, doc, "spec.source.namespace",
                       "expected the namespace of the Retry, \"%.*s\", found \"%.*s\"",
                       STR_ARG(o->meta.namespace), STR_ARG(r->source.namespace));
    }
    if (r->destinations.len == 0) {
        decode_warning(d, doc, "spec.destinations", "is empty, so this Retry has no effect");
    }
}

static const struct field extension_ref_fields[] = {
    {"namespace", FIELD_STRING, AT(telemetry_open_telemetry, extension_namespace), FIELD_REQUIRED,
     .format = &format_dns_label, .help = "Namespace of the ExtensionService."},
    {"name", FIELD_STRING, AT(telemetry_open_telemetry, extension_name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Its name."},
    FIELDS_END,
};

static const struct field open_telemetry_fields[] = {
    {"extensionService", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = extension_ref_fields,
     .help = "The collector."},
    {"attributes", FIELD_MAP, AT(telemetry_open_telemetry, attributes),
     .help = "Attributes of each record."},
    FIELDS_END,
};

static const struct field access_log_fields[] = {
    {"format", FIELD_STRING, AT(telemetry_access_log, format), .max = 16384,
     .help = "A format of Envoy's, or a JSON object whose values are formats."},
    {"openTelemetry", FIELD_POINTER, AT(telemetry_access_log, open_telemetry),
     .fields = open_telemetry_fields, .size = sizeof(struct telemetry_open_telemetry),
     .help = "Records also go to an OpenTelemetry collector."},
    FIELDS_END,
};

static const struct field label_item = {"", FIELD_STRING, .format = &format_label_value};

static const struct field telemetry_spec_fields[] = {
    {"selector", FIELD_MAP, AT(telemetry, selector), .item = &label_item,
     .key_format = &format_label_key,
     .help = "Labels of the pods; all pods of this namespace when not given, and in the control "
             "plane's namespace all pods of the mesh."},
    {"accessLog", FIELD_POINTER, AT(telemetry, access_log), .fields = access_log_fields,
     .size = sizeof(struct telemetry_access_log), .help = "Access logs of sidecars."},
    FIELDS_END,
};

const struct field telemetry_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, .fields = telemetry_spec_fields, .help = "What sidecars tell."},
    IGNORED("status"),
    FIELDS_END,
};

void telemetry_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    const struct telemetry *t = (struct telemetry *)o;
    if (!clean) {
        return;
    }
    if (!t->access_log) {
        decode_warning(d, doc, "spec.accessLog", "is missing, so this Telemetry has no effect");
    }
}
