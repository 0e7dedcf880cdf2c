/* The values of metrics: counting from any thread, and the text that Prometheus reads. */
#include "observe/metrics.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "observe/metrics_table.h"

enum { TABLE_SIZE = 256 };
/* All labels of a series as text; names of Kubernetes have 253 bytes at most. */
enum { LABEL_TEXT_MAX = 1024, LABEL_VALUE_MAX = 256 };
/* The values of all labels, each ended by a NUL. */
enum { KEY_MAX = METRIC_LABELS_MAX * (LABEL_VALUE_MAX + 1) };

/* --- values --- */

struct series {
    struct series *_Atomic next;
    uint64_t hash;
    _Atomic int64_t value;    /* of a histogram: the sum, in microseconds */
    _Atomic uint64_t *counts; /* of a histogram: METRIC_BOUNDS_MAX + 1, each bucket alone */
    char *labels;             /* as in the text format, without braces */
    size_t key_len;
    char key[];
};

/* Series are found without a lock and never removed; adding one takes the lock. Thousands of
 * proxies are counted in one go: finding a series makes no text. */
static struct table {
    struct series *_Atomic heads[TABLE_SIZE];
    size_t len;
} tables[METRIC_COUNT];
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;
static int program_kept;
static struct {
    void (*fn)(void *arg);
    void *arg;
} collect;

static size_t label_count(const struct metric_row *r)
{
    size_t n = 0;
    while (n < METRIC_LABELS_MAX && r->labels[n]) {
        n++;
    }
    return n;
}

static size_t bound_count(const struct metric_row *r)
{
    size_t n = 0;
    while (r->bounds && n < METRIC_BOUNDS_MAX && r->bounds[n] > 0) {
        n++;
    }
    return n;
}

static void add_value(struct buf *b, const char *value)
{
    for (size_t i = 0; value[i] && i < LABEL_VALUE_MAX; i++) {
        char c = value[i];
        if (c == '\\' || c == '"') {
            buf_addc(b, '\\');
        }
        if (c == '\n') {
            buf_addz(b, "\\n");
        } else {
            buf_addc(b, c);
        }
    }
}

/* `code="200",method="GET"` */
static char *label_text(const struct metric_row *r, const char *const *values)
{
    struct buf b;
    buf_init(&b, LABEL_TEXT_MAX);
    for (size_t i = 0; i < label_count(r); i++) {
        buf_printf(&b, "%s%s=\"", i > 0 ? "," : "", r->labels[i]);
        add_value(&b, values[i]);
        buf_addc(&b, '"');
    }
    return buf_take(&b);
}

static struct str make_key(const struct metric_row *r, const char *const *values, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < METRIC_LABELS_MAX && r->labels[i]; i++) {
        size_t n = strnlen(values[i], LABEL_VALUE_MAX);
        memcpy(out + len, values[i], n);
        len += n;
        out[len++] = '\0';
    }
    return (struct str){out, len};
}

static struct series *find(struct table *t, uint64_t hash, struct str key)
{
    struct series *s = atomic_load_explicit(&t->heads[hash % TABLE_SIZE], memory_order_acquire);
    while (s && !(s->hash == hash && str_eq(key, (struct str){s->key, s->key_len}))) {
        s = atomic_load_explicit(&s->next, memory_order_acquire);
    }
    return s;
}

/* With the lock held. */
static struct series *insert(enum metric m, uint64_t hash, struct str key,
                             const char *const *values)
{
    struct table *t = &tables[m];
    struct series *s = mem_zalloc(sizeof(*s) + key.len);
    s->hash = hash;
    s->labels = label_text(&metric_rows[m], values);
    s->key_len = key.len;
    if (key.len > 0) {
        memcpy(s->key, key.ptr, key.len);
    }
    if (metric_rows[m].type == METRIC_HISTOGRAM) {
        s->counts = mem_zalloc((METRIC_BOUNDS_MAX + 1) * sizeof(*s->counts));
    }
    struct series *_Atomic *head = &t->heads[hash % TABLE_SIZE];
    atomic_store_explicit(&s->next, atomic_load(head), memory_order_relaxed);
    atomic_store_explicit(head, s, memory_order_release);
    t->len++;
    return s;
}

static struct series *find_or_insert(enum metric m, const char *const *values)
{
    static const char *const others[METRIC_LABELS_MAX] = {"other", "other", "other"};
    char bytes[KEY_MAX];
    struct str key = make_key(&metric_rows[m], values, bytes);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    struct series *s = find(&tables[m], hash, key);
    if (s) {
        return s;
    }
    pthread_mutex_lock(&adding);
    s = find(&tables[m], hash, key);
    if (!s && tables[m].len >= LIMIT_METRIC_SERIES) {
        values = others;
        key = make_key(&metric_rows[m], values, bytes);
        hash = hash_bytes(key.ptr, key.len);
        s = find(&tables[m], hash, key);
    }
    s = s ? s : insert(m, hash, key, values);
    pthread_mutex_unlock(&adding);
    return s;
}

/* NULL: this program doesn't keep the metric. */
static struct series *series_of(enum metric m, enum metric_type type, va_list ap)
{
    const struct metric_row *r = &metric_rows[m];
    const char *values[METRIC_LABELS_MAX + 1] = {0};
    size_t n = 0;
    const char *value;
    while ((value = va_arg(ap, const char *)) && n < COUNT_OF(values)) {
        values[n++] = value;
    }
    ASSERT(r->type == type && n == label_count(r));
    if (!(r->programs & program_kept)) {
        return NULL;
    }
    return find_or_insert(m, values);
}

void metric_add(enum metric m, uint64_t n, ...)
{
    va_list ap;
    va_start(ap, n);
    struct series *s = series_of(m, METRIC_COUNTER, ap);
    va_end(ap);
    if (s) {
        atomic_fetch_add_explicit(&s->value, (int64_t)n, memory_order_relaxed);
    }
}

void metric_set(enum metric m, int64_t value, ...)
{
    va_list ap;
    va_start(ap, value);
    struct series *s = series_of(m, METRIC_GAUGE, ap);
    va_end(ap);
    if (s) {
        atomic_store_explicit(&s->value, value, memory_order_relaxed);
    }
}

void metric_observe_us(enum metric m, int64_t us, ...)
{
    va_list ap;
    va_start(ap, us);
    struct series *s = series_of(m, METRIC_HISTOGRAM, ap);
    va_end(ap);
    if (!s) {
        return;
    }
    size_t i = 0, n = bound_count(&metric_rows[m]);
    while (i < n && us > metric_rows[m].bounds[i]) {
        i++;
    }
    atomic_fetch_add_explicit(&s->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->value, us, memory_order_relaxed);
}

/* --- the text --- */

static int by_labels(const void *a, const void *b)
{
    return strcmp((*(struct series *const *)a)->labels, (*(struct series *const *)b)->labels);
}

/* All series of a metric, sorted; free() it. */
static struct series **sorted(enum metric m, size_t *ret_len)
{
    struct table *t = &tables[m];
    pthread_mutex_lock(&adding);
    struct series **all = mem_array(NULL, t->len + 1, sizeof(struct series *));
    size_t n = 0;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        for (struct series *s = t->heads[i]; s; s = s->next) {
            all[n++] = s;
        }
    }
    pthread_mutex_unlock(&adding);
    qsort(all, n, sizeof(*all), by_labels);
    *ret_len = n;
    return all;
}

/* Seconds, without the zeros at their end. */
static void add_seconds(struct buf *out, int64_t us)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%lld.%06lld", (long long)us / 1000000,
                       (long long)us % 1000000);
    while (text[len - 1] == '0') {
        len--;
    }
    buf_add(out, text, (size_t)(text[len - 1] == '.' ? len - 1 : len));
}

static void write_histogram(const struct metric_row *r, const struct series *s, struct buf *out)
{
    const char *comma = s->labels[0] ? "," : "";
    const char *open = s->labels[0] ? "{" : "", *close = s->labels[0] ? "}" : "";
    uint64_t total = 0;
    size_t n = bound_count(r);
    for (size_t i = 0; i <= n; i++) {
        total += s->counts[i];
        buf_printf(out, "%s_bucket{%s%sle=\"", r->name, s->labels, comma);
        if (i < n) {
            add_seconds(out, r->bounds[i]);
        } else {
            buf_addz(out, "+Inf");
        }
        buf_printf(out, "\"} %llu\n", (unsigned long long)total);
    }
    buf_printf(out, "%s_sum%s%s%s ", r->name, open, s->labels, close);
    add_seconds(out, s->value);
    buf_printf(out, "\n%s_count%s%s%s %llu\n", r->name, open, s->labels, close,
               (unsigned long long)total);
}

static void write_metric(enum metric m, struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const struct metric_row *r = &metric_rows[m];
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name, types[r->type]);
    size_t n;
    AUTO(free) struct series **all = sorted(m, &n);
    for (size_t i = 0; i < n; i++) {
        if (r->type == METRIC_HISTOGRAM) {
            write_histogram(r, all[i], out);
            continue;
        }
        const struct series *s = all[i];
        bool labelled = s->labels[0] != '\0';
        buf_printf(out, "%s%s%s%s %lld\n", r->name, labelled ? "{" : "", s->labels,
                   labelled ? "}" : "", (long long)s->value);
    }
}

void metrics_write(struct buf *out)
{
    if (collect.fn) {
        collect.fn(collect.arg);
    }
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (metric_rows[m].programs & program_kept) {
            write_metric((enum metric)m, out);
        }
    }
}

void metrics_on_collect(void (*fn)(void *arg), void *arg)
{
    collect.fn = fn;
    collect.arg = arg;
}

/* --- start and end --- */

static void on_error_code(const char *code)
{
    metric_add(METRIC_ERROR_ERR_CODE_COUNT, 1, code, NULL);
}

/* What has no labels is there from the start: a counter that never counted reads 0. */
void metrics_init(enum metrics_program program)
{
    program_kept = (int)program;
    for (int m = 0; m < METRIC_COUNT; m++) {
        if ((metric_rows[m].programs & program_kept) && label_count(&metric_rows[m]) == 0) {
            find_or_insert((enum metric)m, NULL);
        }
    }
    log_on_error_code(on_error_code);
}

void metrics_done(void)
{
    log_on_error_code(NULL);
    metrics_on_collect(NULL, NULL);
    program_kept = 0;
    for (int m = 0; m < METRIC_COUNT; m++) {
        for (size_t i = 0; i < TABLE_SIZE; i++) {
            struct series *s = tables[m].heads[i];
            while (s) {
                struct series *next = s->next;
                free((void *)s->counts);
                free(s->labels);
                free(s);
                s = next;
            }
            tables[m].heads[i] = NULL;
        }
        tables[m].len = 0;
    }
}
