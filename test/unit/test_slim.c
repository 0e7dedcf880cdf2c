/* What is kept of a server's objects: members of JSON, and fields of objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "kinds/core.h"
#include "kinds/slim.h"

static const struct json_keep inner[] = {{"b", NULL}, {NULL, NULL}};
static const struct json_keep keep[] = {{"a", inner}, {"x", NULL}, {NULL, NULL}};

static const struct {
    const char *text, *left;
} selected[] = {
    {"{}", "{}"},
    {"", ""},
    {" {\"x\" : [1, {\"y\":2}] } ", "{\"x\" : [1, {\"y\":2}] } "},
    {"{\"n\":1,\"x\":2,\"m\":{\"x\":[3]}}", "{\"x\":2}"},
    {"{\"a\":{\"b\":1,\"c\":2},\"n\":{}}", "{\"a\":{\"b\":1}}"},
    {"{\"a\":[{\"b\":1},{\"c\":2},{\"c\":3,\"b\":4}]}", "{\"a\":[{\"b\":1},{},{\"b\":4}]}"},
    {"{\"a\":[[{\"b\":1,\"c\":[]}]],\"x\":\"}\"}", "{\"a\":[[{\"b\":1}]],\"x\":\"}\"}"},
    {"{\"a\":7}", "{\"a\":7}"},
    {"{\"n\":\"\\\"}\\\\\",\"x\":\"\\\\\\\"\"}", "{\"x\":\"\\\\\\\"\"}"},
    {"{\"n\":[\"]\",{\"x\":\"[\"}],\"x\":1}", "{\"x\":1}"},
    {"[{\"x\":1,\"n\":2}]", "[{\"x\":1}]"},
    {"{\"\\u0078\":1}", "{}"}, /* a name with escapes isn't wanted */
    /* No JSON: something is left, and the parser says what is wrong with it. */
    {"{\"x\":", "{\"x\":"},
    {"{\"x\"", "{\"x\""},
    {"{\"x", "{\"x"},
    {"{\"n\":\"\\", "{"},
    {"{x:1}", "{x:1}"},
    {"{\"x\":1]", "{\"x\":1]"},
    {"{\"x\":1} 2", "{\"x\":1} 2"},
};

static void selects(void **state)
{
    for (size_t i = 0; i < COUNT_OF(selected); i++) {
        AUTO(buf_done) struct buf out;
        buf_init(&out, 4096);
        json_select(str_of(selected[i].text), keep, &out);
        assert_string_equal(out.data ? out.data : "", selected[i].left);
    }
}

static void deep_values_are_cheap(void **state)
{
    AUTO(buf_done) struct buf text;
    AUTO(buf_done) struct buf out;
    buf_init(&text, 4 << 20);
    buf_init(&out, 4 << 20);
    buf_addz(&text, "{\"a\":");
    for (size_t i = 0; i < 1000000; i++) {
        buf_addc(&text, '[');
    }
    json_select(buf_str(&text), keep, &out);
    assert_int_equal(out.len, text.len);
}

/* --- objects --- */

static struct object *decode(struct arena *a, const char *text, enum kind kind, struct findings *f)
{
    struct value *v = NULL;
    struct err e = ERR_INIT;
    AUTO(buf_done) struct buf left;
    buf_init(&left, 1 << 20);
    json_select(str_of(text), kind_keep(kind), &left);
    if (value_read_json(a, buf_str(&left), &v, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return object_decode_slim(v, kind, f);
}

#define POD                                                                                        \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\","    \
    "\"uid\":\"u\",\"resourceVersion\":\"7\",\"labels\":{\"app\":\"a\",\"zone\":\"z\"},"           \
    "\"annotations\":{\"prometheus.io/scrape\":\"true\",\"other\":\"o\"},"                         \
    "\"managedFields\":[{\"x\":1}],\"ownerReferences\":[{}]},"                                     \
    "\"spec\":{\"serviceAccountName\":\"sa\",\"hostNetwork\":true,\"nodeName\":\"x\","             \
    "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"env\":[{\"bad\":true}],"                    \
    "\"ports\":[{\"name\":\"web\",\"containerPort\":80}]},{\"name\":\"d\"}]},"                     \
    "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}]," \
    "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null}]}}"

static void a_pod(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(findings_done) struct findings f = {0};
    struct object *o = decode(a, POD, KIND_POD, &f);
    assert_non_null(o);
    assert_int_equal(f.list.len, 0);
    const struct pod *p = (const struct pod *)o;
    assert_true(str_is(o->meta.name, "p") && str_is(o->meta.namespace, "n"));
    assert_true(str_is(o->meta.uid, "u"));
    assert_true(str_is(*pairs_find(&o->meta.labels, "app"), "a"));
    assert_true(str_is(*pairs_find(&o->meta.labels, "zone"), "z"));
    assert_int_equal(o->meta.annotations.len, 1);
    assert_true(str_is(*pairs_find(&o->meta.annotations, "prometheus.io/scrape"), "true"));
    assert_true(str_is(p->service_account, "sa") && p->host_network && p->ready);
    assert_int_equal(p->containers.len, 2);
    assert_int_equal(p->containers.at[0].ports.at[0].container_port, 80);
    assert_true(str_is(p->containers.at[0].ports.at[0].name, "web"));
    assert_true(str_is(p->phase, "Running") && str_is(p->pod_ip, "10.0.0.1"));
    assert_int_equal(p->pod_ips.len, 0); /* it would say the same */
    assert_null(p->spec);
    assert_null(o->raw);
    assert_true(arena_bytes(o->arena) < 640);
    object_unref(o);
}

/* The whole pod and the slim one say the same to a mesh. */
static void take_object(void *arg, struct object *o)
{
    *(struct object **)arg = o;
}

static void the_whole_pod(void **state)
{
    static const char text[] = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":"
                               "\"p\",\"namespace\":\"n\"},\"spec\":{\"containers\":[{\"name\":"
                               "\"c\",\"image\":\"i\",\"ports\":[{\"containerPort\":80}]}]}}";
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(findings_done) struct findings f = {0};
    struct object *slim = decode(a, text, KIND_POD, &f), *whole = NULL;
    assert_int_equal(objects_read(str_of(text), NULL, take_object, &whole, &f), 0);
    const struct pod *p = (const struct pod *)slim, *q = (const struct pod *)whole;
    assert_non_null(q->spec);
    assert_true(str_is(p->service_account, "default") && str_is(q->service_account, "default"));
    assert_int_equal(p->containers.len, q->containers.len);
    assert_int_equal(p->containers.at[0].ports.at[0].container_port,
                     q->containers.at[0].ports.at[0].container_port);
    object_unref(slim);
    object_unref(whole);
}

static void what_nothing_reads_changes_nothing(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(findings_done) struct findings f = {0};
    struct object *one = decode(a, POD, KIND_POD, &f);
    AUTO(free) char *text = mem_strdup(POD);
    *strstr(text, "\"resourceVersion\":\"7\"") = '"';
    strstr(text, "\"7\"")[1] = '8';
    memcpy(strstr(text, "\"o\""), "\"p\"", 3);
    memcpy(strstr(text, "nodeName\":\"x"), "nodeName\":\"y", 12);
    struct object *two = decode(a, text, KIND_POD, &f);
    assert_true(one->hash == two->hash);
    strstr(text, "10.0.0.1")[7] = '2';
    struct object *three = decode(a, text, KIND_POD, &f);
    assert_true(one->hash != three->hash);
    object_unref(one);
    object_unref(two);
    object_unref(three);
}

/* The whole document is refused in the same words. */
static void assert_whole_says(struct arena *a, const char *text, const char *begins)
{
    struct value *v = NULL;
    struct object *o = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(value_read_json(a, str_of(text), &v, &e), 0);
    assert_int_equal(object_expect(v, KIND_TRAFFIC_SPLIT, &o, &e), -1);
    assert_null(o);
    if (strncmp(e.text, begins, strlen(begins)) != 0) {
        fail_msg("expected \"%s\", found \"%s\"", begins, e.text);
    }
}

static void refusals_name_the_object(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"{\"apiVersion\":\"split.smi-spec.io/v1alpha4\",\"kind\":\"TrafficSplit\",\"metadata\":{"
         "\"name\":\"s\",\"namespace\":\"n\"},\"spec\":{\"service\":\"x\",\"backends\":[{"
         "\"service\":\"y\",\"weight\":\"ten\"}]}}",
         "error: TrafficSplit n/s: spec.backends[0].weight: expected a whole number"},
        {"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"s\"}}",
         "error: Namespace s: kind: expected \"TrafficSplit\", found \"Namespace\""},
        {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}",
         "error: kind: expected one object, found a list"},
        {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":"
         "\"Namespace\",\"metadata\":{\"name\":\"s\"}}]}",
         "error: kind: expected one object, found a list"},
        {"7", "error: expected an object with apiVersion, kind and metadata"},
        {"{}", "error: kind: expected the name of a kind"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(arena_free) struct arena *a = arena_new(4096);
        AUTO(findings_done) struct findings f = {0};
        struct object *o = decode(a, rows[i].text, KIND_TRAFFIC_SPLIT, &f);
        assert_null(o);
        assert_true(f.errors > 0);
        AUTO(free) char *text = finding_text(&f.list.at[0]);
        if (strncmp(text, rows[i].error, strlen(rows[i].error)) != 0) {
            fail_msg("expected \"%s\", found \"%s\"", rows[i].error, text);
        }
        assert_whole_says(a, rows[i].text, rows[i].error + strlen("error: "));
    }
}

static void every_kind_has_its_members(void **state)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct json_keep *k = kind_keep((enum kind)i);
        assert_string_equal(k[0].name, "apiVersion");
        assert_string_equal(k[1].name, "kind");
        assert_string_equal(k[2].name, "metadata");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selects),
        cmocka_unit_test(deep_values_are_cheap),
        cmocka_unit_test(a_pod),
        cmocka_unit_test(the_whole_pod),
        cmocka_unit_test(what_nothing_reads_changes_nothing),
        cmocka_unit_test(refusals_name_the_object),
        cmocka_unit_test(every_kind_has_its_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
