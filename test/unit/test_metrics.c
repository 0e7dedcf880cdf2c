/* Metrics as Prometheus reads them, from one thread and from many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "observe/metrics.h"

static struct buf page;

static int begin(void **state)
{
    log_set_level(LOG_OFF);
    metrics_init(METRICS_CONTROLLER);
    buf_init(&page, LIMIT_METRICS_BYTES);
    return 0;
}

static int end(void **state)
{
    metrics_done();
    buf_done(&page);
    return 0;
}

/* Is this a whole line of the page? */
static bool has(const char *line)
{
    AUTO(free) char *whole = mem_printf("\n%s\n", line);
    buf_reset(&page);
    metrics_write(&page);
    AUTO(free) char *text = mem_printf("\n%s", page.data);
    return strstr(text, whole) != NULL;
}

static void what_has_no_labels_reads_zero_from_the_start(void **state)
{
    assert_true(has("osm_proxy_connect_count 0"));
    assert_true(has("# TYPE osm_proxy_connect_count gauge"));
    assert_true(has("osm_proxy_max_connections_rejected 0"));
    assert_true(has("# TYPE osm_proxy_max_connections_rejected counter"));
    assert_true(has("# TYPE osm_proxy_config_update_time histogram"));
    metrics_done();
    metrics_init(METRICS_INJECTOR);
    assert_true(has("osm_cert_issued_time_count 0"));
}

static void metrics_of_other_programs_are_not_shown(void **state)
{
    metrics_done();
    metrics_init(METRICS_BOOTSTRAP);
    metric_add(METRIC_PROXY_BROADCAST_EVENT_COUNT, 1, NULL);
    metric_add(METRIC_RECONCILIATION_TOTAL, 1, "CustomResourceDefinition", NULL);
    assert_true(has("osm_reconciliation_total{kind=\"CustomResourceDefinition\"} 1"));
    assert_null(strstr(page.data, "osm_proxy"));
}

static void counters_add_and_gauges_are_set(void **state)
{
    metric_add(METRIC_ADMISSION_WEBHOOK_RESPONSE_TOTAL, 1, "Egress", "true", NULL);
    metric_add(METRIC_ADMISSION_WEBHOOK_RESPONSE_TOTAL, 2, "Egress", "true", NULL);
    metric_add(METRIC_ADMISSION_WEBHOOK_RESPONSE_TOTAL, 1, "Egress", "false", NULL);
    metric_set(METRIC_PROXY_CONNECT_COUNT, 7, NULL);
    metric_set(METRIC_PROXY_CONNECT_COUNT, 5, NULL);
    assert_true(has("osm_admission_webhook_response_total{kind=\"Egress\",success=\"false\"} 1\n"
                    "osm_admission_webhook_response_total{kind=\"Egress\",success=\"true\"} 3"));
    assert_true(has("osm_proxy_connect_count 5"));
}

static void histograms_are_cumulative_and_in_seconds(void **state)
{
    static const int64_t times_us[] = {1000, 5000, 5001, 300000, 20000000};
    for (size_t i = 0; i < COUNT_OF(times_us); i++) {
        metric_observe_us(METRIC_HTTP_RESPONSE_DURATION, times_us[i], "200", "GET", "/a", NULL);
    }
#define LABELS "code=\"200\",method=\"GET\",path=\"/a\""
    assert_true(has("osm_http_response_duration_bucket{" LABELS ",le=\"0.005\"} 2"));
    assert_true(has("osm_http_response_duration_bucket{" LABELS ",le=\"0.01\"} 3"));
    assert_true(has("osm_http_response_duration_bucket{" LABELS ",le=\"0.25\"} 3"));
    assert_true(has("osm_http_response_duration_bucket{" LABELS ",le=\"0.5\"} 4"));
    assert_true(has("osm_http_response_duration_bucket{" LABELS ",le=\"10\"} 4"));
    assert_true(has("osm_http_response_duration_bucket{" LABELS ",le=\"+Inf\"} 5"));
    assert_true(has("osm_http_response_duration_sum{" LABELS "} 20.311001"));
    assert_true(has("osm_http_response_duration_count{" LABELS "} 5"));
#undef LABELS
}

static void label_values_are_escaped(void **state)
{
    metric_add(METRIC_RECONCILIATION_TOTAL, 1, "a\"b\\c\nd", NULL);
    assert_true(has("osm_reconciliation_total{kind=\"a\\\"b\\\\c\\nd\"} 1"));
}

static void label_sets_are_bounded(void **state)
{
    char name[32];
    for (int i = 0; i < LIMIT_METRIC_SERIES + 100; i++) {
        snprintf(name, sizeof(name), "namespace-%d", i);
        metric_add(METRIC_K8S_API_EVENT_COUNT, 1, "pod-added", name, NULL);
    }
    assert_true(has("osm_k8s_api_event_count{type=\"pod-added\",namespace=\"namespace-0\"} 1"));
    assert_true(has("osm_k8s_api_event_count{type=\"other\",namespace=\"other\"} 100"));
}

static void error_codes_that_are_logged_count(void **state)
{
    log_event(LOG_ERROR, "no certificate", "error_code", "E4014", NULL);
    log_event(LOG_WARN, "no certificate again", "reason", "x", "error_code", "E4014", NULL);
    assert_true(has("osm_error_err_code_count{err_code=\"E4014\"} 2"));
}

static void refresh(void *arg)
{
    metric_set(METRIC_EVENTS_QUEUED, 42, NULL);
}

static void what_is_looked_up_is_looked_up_for_each_page(void **state)
{
    metrics_on_collect(refresh, NULL);
    assert_true(has("osm_events_queued 42"));
}

enum { THREADS = 4, ROUNDS = 5000 };

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        char type[16];
        snprintf(type, sizeof(type), "type-%d", i % 50);
        metric_add(METRIC_PROXY_XDS_REQUEST_COUNT, 1, type, NULL);
        metric_observe_us(METRIC_PROXY_CONFIG_UPDATE_TIME, 1000, type, "true", NULL);
        metric_add(METRIC_PROXY_BROADCAST_EVENT_COUNT, 1, NULL);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    }
    for (int i = 0; i < 20; i++) {
        has(""); /* reading at the same time does no harm */
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(has("osm_proxy_broadcast_event_count 20000"));
    assert_true(has("osm_proxy_xds_request_count{type=\"type-7\"} 400"));
    assert_true(
        has("osm_proxy_config_update_time_count{resource_type=\"type-49\",success=\"true\"} 400"));
    assert_true(
        has("osm_proxy_config_update_time_sum{resource_type=\"type-49\",success=\"true\"} 0.4"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(what_has_no_labels_reads_zero_from_the_start),
        TEST(metrics_of_other_programs_are_not_shown),
        TEST(counters_add_and_gauges_are_set),
        TEST(histograms_are_cumulative_and_in_seconds),
        TEST(label_values_are_escaped),
        TEST(label_sets_are_bounded),
        TEST(error_codes_that_are_logged_count),
        TEST(what_is_looked_up_is_looked_up_for_each_page),
        TEST(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
