/* The HTTP connection manager and its access log. */
#include "xds/pb.h"

/* Keys and formats of the access log's lines (as in Open Service Mesh); who the workload is, the
 * node says. */
static const struct {
    const char *key, *format;
} log_keys[] = {
    {"authority", "%REQ(:AUTHORITY)%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"requested_server_name", "%REQUESTED_SERVER_NAME%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"start_time", "%START_TIME%"},
    {"time_to_first_byte", "%RESPONSE_DURATION%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
};

static Struct *log_format(struct arena *a)
{
    Struct *s = new_Struct(a);
    s->fields = arena_array(a, COUNT_OF(log_keys), sizeof(*s->fields));
    for (size_t i = 0; i < COUNT_OF(log_keys); i++) {
        StructField *f = new_StructField(a);
        f->key = (char *)log_keys[i].key;
        f->value = new_StructValue(a);
        f->value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        f->value->string_value = (char *)log_keys[i].format;
        s->fields[s->n_fields++] = f;
    }
    return s;
}

static AccessLog *access_log(struct arena *a)
{
    FormatString *format = new_FormatString(a);
    format->format_case = ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_JSON_FORMAT;
    format->json_format = log_format(a);
    ExtensionConfig *formatter = new_ExtensionConfig(a);
    formatter->name = "envoy.formatter.req_without_query";
    formatter->typed_config = pb_any(a, &new_ReqWithoutQuery(a)->base);
    format->formatters = ONE(a, formatter);
    format->n_formatters = 1;
    StdoutAccessLog *out = new_StdoutAccessLog(a);
    out->access_log_format_case =
        ENVOY__EXTENSIONS__ACCESS_LOGGERS__STREAM__V3__STDOUT_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT;
    out->log_format = format;
    AccessLog *log = new_AccessLog(a);
    log->name = "envoy.access_loggers.stdout";
    log->config_type_case = ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG__CONFIG_TYPE_TYPED_CONFIG;
    log->typed_config = pb_any(a, &out->base);
    return log;
}

static HttpFilter *http_filter(struct arena *a, char *name, const ProtobufCMessage *config)
{
    HttpFilter *f = new_HttpFilter(a);
    f->name = name;
    f->config_type_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_FILTER__CONFIG_TYPE_TYPED_CONFIG;
    f->typed_config = pb_any(a, config);
    return f;
}

/* Inbound, the RBAC filter is empty: the policy is the virtual host's, so that a change of policy
 * changes routes, which drains no connection. */
static void add_filters(struct arena *a, Hcm *h, enum http_side side)
{
    h->http_filters = arena_array(a, 2, sizeof(*h->http_filters));
    if (side == HTTP_INBOUND) {
        h->http_filters[h->n_http_filters++] =
            http_filter(a, "envoy.filters.http.rbac", &new_HttpRbac(a)->base);
    }
    h->http_filters[h->n_http_filters++] =
        http_filter(a, "envoy.filters.http.router", &new_Router(a)->base);
}

/* Paths are normalised before policy sees them; a path with escaped slashes could mean one thing to
 * policy and another to the application, so the server's side refuses it. Streams may idle: the
 * default of five minutes would cut long polls and gRPC streams. */
Hcm *pb_hcm(struct arena *a, char *stat_prefix, enum http_side side)
{
    Hcm *h = new_Hcm(a);
    h->stat_prefix = stat_prefix;
    add_filters(a, h, side);
    UpgradeConfig *websocket = new_UpgradeConfig(a);
    websocket->upgrade_type = "websocket";
    h->upgrade_configs = ONE(a, websocket);
    h->n_upgrade_configs = 1;
    h->access_log = ONE(a, access_log(a));
    h->n_access_log = 1;
    h->stream_idle_timeout = pb_duration_ms(a, 0);
    if (side == HTTP_INBOUND) {
        h->normalize_path = pb_bool(a, true);
        h->merge_slashes = true;
        h->path_with_escaped_slashes_action =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__REJECT_REQUEST;
    }
    return h;
}

void pb_hcm_rds(struct arena *a, Hcm *h, char *routes)
{
    h->route_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS;
    h->rds = new_Rds(a);
    h->rds->route_config_name = routes;
    h->rds->config_source = pb_ads(a);
}
