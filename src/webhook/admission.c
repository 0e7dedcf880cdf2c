/* AdmissionReview, read and written. */
#include "webhook/admission.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "doc/base64.h"
#include "inject/build.h"

#define API_VERSION "admission.k8s.io/v1"

/* --- verdicts --- */

static struct str vtext(struct arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static struct str vtext(struct arena *a, const char *fmt, va_list ap)
{
    char text[LIMIT_ADMISSION_TEXT];
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len >= sizeof(text)) {
        /* Not in the middle of a character of UTF-8: the last one goes when it isn't ASCII. */
        len = sizeof(text) - 1;
        while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80) {
            len--;
        }
        len -= len > 0 && (unsigned char)text[len - 1] >= 0xc0;
    }
    return arena_str(a, (struct str){text, len});
}

void admission_deny(struct arena *a, struct admission_verdict *v, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    v->allowed = false;
    v->code = code;
    v->message = vtext(a, fmt, ap);
    va_end(ap);
}

void admission_warn(struct arena *a, struct admission_verdict *v, const char *fmt, ...)
{
    va_list ap;
    if (!v->warnings) {
        v->warnings = value_new(a, VALUE_ARRAY);
    }
    if (v->warnings->array.len == LIMIT_ADMISSION_WARNINGS) {
        return;
    }
    va_start(ap, fmt);
    value_push(a, v->warnings, value_new_string(a, vtext(a, fmt, ap)));
    va_end(ap);
}

/* --- reading --- */

static int expected(struct err *e, const char *path, const char *what, const struct value *found)
{
    if (!found) {
        return err_set(e, "AdmissionReview: %s: expected %s, found nothing", path, what);
    }
    AUTO(buf_done) struct buf text;
    buf_init(&text, 64);
    value_write_json(found, &text);
    return err_set(e, "AdmissionReview: %s: expected %s, found %.*s%s", path, what,
                   STR_ARG(buf_str(&text)), buf_full(&text) ? "..." : "");
}

static int read_operation(const struct value *request, enum admission_operation *ret, struct err *e)
{
    static const char *const names[] = {"CREATE", "UPDATE", "DELETE", "CONNECT"};
    struct str name = value_string_at(request, "operation");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_is(name, names[i])) {
            *ret = (enum admission_operation)i;
            return 0;
        }
    }
    return expected(e, "request.operation", "CREATE, UPDATE, DELETE or CONNECT",
                    value_member(request, "operation"));
}

/* null is nothing; anything else must be an object. */
static int read_object(const struct value *request, const char *key, const struct value **ret,
                       struct err *e)
{
    const struct value *v = value_member(request, key);
    if (v && v->type != VALUE_NULL && v->type != VALUE_OBJECT) {
        char path[32];
        snprintf(path, sizeof(path), "request.%s", key);
        return expected(e, path, "an object", v);
    }
    *ret = v && v->type == VALUE_OBJECT ? v : NULL;
    return 0;
}

static int read_request(const struct value *request, struct admission_request *q, struct err *e)
{
    q->uid = value_string_at(request, "uid");
    if (q->uid.len == 0 || q->uid.len > LIMIT_NAME_BYTES) {
        return expected(e, "request.uid", "a text of at most 253 bytes",
                        value_member(request, "uid"));
    }
    q->group = value_string_at(request, "kind.group");
    q->version = value_string_at(request, "kind.version");
    q->kind = value_string_at(request, "kind.kind");
    if (q->kind.len == 0 || q->kind.len > LIMIT_NAME_BYTES) {
        return expected(e, "request.kind.kind", "the name of a kind",
                        value_at(request, "kind.kind"));
    }
    q->resource = value_string_at(request, "resource.resource");
    q->subresource = value_string_at(request, "subResource");
    q->namespace = value_string_at(request, "namespace");
    q->name = value_string_at(request, "name");
    q->user = value_string_at(request, "userInfo.username");
    q->dry_run = value_bool_at(request, "dryRun");
    if (read_operation(request, &q->operation, e) < 0 ||
        read_object(request, "object", &q->object, e) < 0 ||
        read_object(request, "oldObject", &q->old_object, e) < 0) {
        return -1;
    }
    if (!q->object && (q->operation == ADMISSION_CREATE || q->operation == ADMISSION_UPDATE)) {
        return expected(e, "request.object", "the object to admit", NULL);
    }
    return 0;
}

int admission_read(struct arena *a, struct str body, struct admission_request *ret, struct err *e)
{
    struct value *review = NULL;
    struct admission_request q = {0};
    if (value_read_json_within(a, body, LIMIT_ADMISSION_VALUES, &review, e) < 0) {
        return err_wrap(e, "AdmissionReview");
    }
    if (!str_is(value_string_at(review, "kind"), "AdmissionReview")) {
        return expected(e, "kind", "AdmissionReview", value_member(review, "kind"));
    }
    if (!str_is(value_string_at(review, "apiVersion"), API_VERSION)) {
        return expected(e, "apiVersion", API_VERSION, value_member(review, "apiVersion"));
    }
    const struct value *request = value_member(review, "request");
    if (!request || request->type != VALUE_OBJECT) {
        return expected(e, "request", "an object", request);
    }
    if (read_request(request, &q, e) < 0) {
        return -1;
    }
    *ret = q;
    return 0;
}

/* --- writing --- */

/* metav1.StatusReason of the HTTP statuses that we refuse with. */
static const char *reason_of(int code)
{
    switch (code) {
    case 400:
        return "BadRequest";
    case 409:
        return "Conflict";
    case 422:
        return "Invalid";
    case 429:
        return "TooManyRequests";
    case 500:
        return "InternalError";
    case 503:
        return "ServiceUnavailable";
    case 504:
        return "Timeout";
    default:
        return "Forbidden";
    }
}

static const struct value *status(struct arena *a, const struct admission_verdict *v)
{
    int code = v->code ? v->code : 403;
    struct str message = v->message.len > 0 ? v->message : STR("refused");
    return build_object(a, "status", build_text(a, "Failure"), "message",
                        value_new_string(a, message), "reason", build_text(a, reason_of(code)),
                        "code", value_new_int(a, code), NULL);
}

static void add_patch(struct arena *a, struct value *response, const struct value *patch)
{
    struct buf text;
    buf_init(&text, LIMIT_JSON_BYTES);
    value_write_json(patch, &text);
    value_set(a, response, "patchType", build_text(a, "JSONPatch"));
    value_set(a, response, "patch", value_new_string(a, base64_encode(a, buf_str(&text))));
    buf_done(&text);
}

void admission_write(struct arena *a, struct str uid, const struct admission_verdict *v,
                     struct buf *out)
{
    struct value *response = build_object(a, "uid", value_new_string(a, uid), "allowed",
                                          value_new_bool(a, v->allowed), NULL);
    if (!v->allowed) {
        value_set(a, response, "status", status(a, v));
    } else if (value_len(v->patch) > 0) {
        add_patch(a, response, v->patch);
    }
    if (value_len(v->warnings) > 0) {
        value_set(a, response, "warnings", v->warnings);
    }
    value_write_json(build_object(a, "apiVersion", build_text(a, API_VERSION), "kind",
                                  build_text(a, "AdmissionReview"), "response", response, NULL),
                     out);
}
