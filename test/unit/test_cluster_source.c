/* The cluster source against a server that answers, waits, forgets and breaks, kind by kind. */
#include "kube_fixture.h"

#include "base/limits.h"
#include "kinds/core.h"
#include "kinds/smi.h"
#include "source/cluster_source.h"

struct fixture {
    struct api *api;
    struct store *store;
    struct source *source;
    /* Parts of requests' lines: those that wait to be told an answer, and streams that hold what
     * nobody can read. NULL: none. Under the server's lock. */
    const char *waits, *spoilt;
    size_t told; /* how often on_change was called */
    enum kube_watch_state states[KIND_COUNT];
};

#define META(namespace, name, version, more)                                                       \
    "\"metadata\":{\"name\":\"" name                                                               \
    "\",\"namespace\":\"" namespace "\",\"resourceVersion\":\"" version "\"" more "}"
#define OBJECT(kind, namespace, name, version, more)                                               \
    "{\"apiVersion\":\"v1\",\"kind\":\"" kind "\"," META(namespace, name, version, more) "}"
#define NAMESPACE(name, version)                                                                   \
    "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" name                 \
    "\",\"resourceVersion\":\"" version "\",\"labels\":{\"openservicemesh.io/monitored-by\":"      \
    "\"osm\"}}}"
#define V(v) ",\"labels\":{\"v\":\"" v "\"}"
#define ACCOUNT(name, v) OBJECT("ServiceAccount", "shop", name, v, V(v))
#define SPLIT(name, version, weight)                                                               \
    "{\"apiVersion\":\"split.smi-spec.io/v1alpha4\",\"kind\":\"TrafficSplit\"," META(              \
        "shop", name, version, "") ",\"spec\":{\"service\":\"web\",\"backends\":[{\"service\":"    \
                                   "\"one\",\"weight\":" weight "}]}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define ADDED(object) EVENT("ADDED", object)
#define BOOKMARK(version) EVENT("BOOKMARK", OBJECT("X", "", "", version, ""))
#define LISTED(version)                                                                            \
    EVENT("BOOKMARK", OBJECT("X", "", "", version,                                                 \
                             ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"))
#define PAGE(more, items)                                                                          \
    "{\"kind\":\"ServiceAccountList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":"    \
    "\"50\"" more "},\"items\":[" items "]}"
#define ITEM(name, v) "{" META("shop", name, v, V(v)) "}"
#define FORGOTTEN                                                                                  \
    EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410,\"message\":\"too old resource version\"}")

/* Parts of requests' lines. */
#define NAMESPACES "/v1/namespaces?"
#define ACCOUNTS "/v1/serviceaccounts?"
#define PODS "/v1/pods?"
#define SPLITS "/v1alpha4/trafficsplits?"

static const struct reply missing = {404, "404 page not found\n", AFTER_WHOLE, NULL, 0};
static const struct reply denied = {403, "{\"kind\":\"Status\",\"message\":\"as the test says\"}",
                                    AFTER_WHOLE, NULL, 0};

static struct reply streamed(const char *text)
{
    return (struct reply){200, text, AFTER_HOLD, NULL, 0};
}

static struct reply whole(const char *text)
{
    return (struct reply){200, text, AFTER_WHOLE, NULL, 0};
}

/* A cluster that has nothing. */
static bool otherwise(void *arg, const struct api_request *q, struct reply *ret)
{
    const char *line = q->line;
    struct fixture *f = arg;
    if (f->waits && strstr(line, f->waits)) {
        return false;
    }
    if (f->spoilt && strstr(line, f->spoilt)) {
        *ret = streamed("\xff\xfe{}\n");
    } else if (strstr(line, "sendInitialEvents=")) {
        *ret = streamed(LISTED("5"));
    } else {
        *ret = strstr(line, "watch=true") ? streamed("") : whole(PAGE("", ""));
    }
    return true;
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->api = api_new();
    f->api->otherwise = otherwise;
    f->api->arg = f;
    f->store = store_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    source_free(f->source);
    api_free(f->api);
    store_free(f->store);
    free(f);
    return 0;
}

static void on_change(void *arg)
{
    struct fixture *f = arg;
    struct changes changes;
    assert_true(source_in_sync(f->source));
    store_take_changes(f->store, &changes);
    changes_done(&changes);
    f->told++;
}

static void on_state(void *arg, enum kind kind, enum kube_watch_state state, const struct err *e)
{
    ((struct fixture *)arg)->states[kind] = state;
}

static void set_waits(struct fixture *f, const char *part)
{
    pthread_mutex_lock(&f->api->lock);
    f->waits = part;
    pthread_mutex_unlock(&f->api->lock);
}

static void start(struct fixture *f)
{
    struct cluster_source_options o = {.client = f->api->client,
                                       .store = f->store,
                                       .mesh_name = "osm",
                                       .osm_namespace = "osm-system",
                                       .config_name = "osm-mesh-config",
                                       .on_change = on_change,
                                       .on_state = on_state,
                                       .arg = f,
                                       .hurry = 100};
    f->source = cluster_source_start(&o);
}

/* --- what is waited for --- */

struct wanted {
    struct fixture *f;
    enum kind kind;
    const char *namespace, *name;
    const char *v; /* of its label; NULL: that it isn't there */
    enum kube_watch_state state;
    const char *finding; /* a part of one; NULL: that there is none */
    const char *line;    /* a part of requests' */
    size_t times;
};

static bool is_known(void *arg)
{
    const struct wanted *w = arg;
    const struct object *o =
        store_find(w->f->store, w->kind, str_of(w->namespace), str_of(w->name));
    const struct str *v = o ? pairs_find(&o->meta.labels, "v") : NULL;
    return w->v ? o && str_is(v ? *v : STR(""), w->v) : !o;
}

static void until_known(struct fixture *f, enum kind kind, const char *namespace, const char *name,
                        const char *v)
{
    struct wanted w = {.f = f, .kind = kind, .namespace = namespace, .name = name, .v = v};
    if (!run_until(f->api->loop, is_known, &w)) {
        fail_msg("%s %s/%s: expected it %s", kind_info(kind)->name, namespace, name,
                 v ? v : "to be gone");
    }
}

static void until_account(struct fixture *f, const char *name, const char *v)
{
    until_known(f, KIND_SERVICE_ACCOUNT, "shop", name, v);
}

static bool knows(const struct fixture *f, enum kind kind, const char *namespace, const char *name)
{
    return store_find(f->store, kind, str_of(namespace), str_of(name)) != NULL;
}

static bool has_state(void *arg)
{
    const struct wanted *w = arg;
    return w->f->states[w->kind] == w->state;
}

static void until_state(struct fixture *f, enum kind kind, enum kube_watch_state state)
{
    struct wanted w = {.f = f, .kind = kind, .state = state};
    assert_true(run_until(f->api->loop, has_state, &w));
}

static bool has_finding(void *arg)
{
    const struct wanted *w = arg;
    const struct findings *all = source_findings(w->f->source);
    VEC_EACH(all->list, x) {
        AUTO(free) char *text = finding_text(x);
        if (w->finding && strstr(text, w->finding)) {
            return true;
        }
    }
    return !w->finding && all->list.len == 0;
}

static void until_found(struct fixture *f, const char *finding)
{
    struct wanted w = {.f = f, .finding = finding};
    if (!run_until(f->api->loop, has_finding, &w)) {
        fail_msg("expected the finding \"%s\"", finding ? finding : "none");
    }
}

static size_t requests_of(struct fixture *f, const char *part)
{
    size_t n = 0;
    for (size_t i = 0; i < api_count(f->api); i++) {
        n += strstr(api_request(f->api, i).line, part) != NULL;
    }
    return n;
}

static bool was_asked(void *arg)
{
    const struct wanted *w = arg;
    return requests_of(w->f, w->line) >= w->times;
}

static void until_asked_times(struct fixture *f, const char *line, size_t times)
{
    struct wanted w = {.f = f, .line = line, .times = times};
    if (!run_until(f->api->loop, was_asked, &w)) {
        fail_msg("expected %zu requests like %s", times, line);
    }
}

static void until_asked(struct fixture *f, const char *line)
{
    until_asked_times(f, line, 1);
}

static bool is_in_sync(void *arg)
{
    return source_in_sync(((struct fixture *)arg)->source);
}

static void until_in_sync(struct fixture *f)
{
    assert_true(run_until(f->api->loop, is_in_sync, f));
}

/* With the namespace shop, whose accounts a and b are version 3 and 4. */
static void begin(struct fixture *f)
{
    api_tell_of(f->api, NAMESPACES, streamed(ADDED(NAMESPACE("shop", "1")) LISTED("2")));
    api_tell_of(f->api, ACCOUNTS,
                streamed(ADDED(ACCOUNT("a", "3")) ADDED(ACCOUNT("b", "4")) LISTED("5")));
    start(f);
    until_in_sync(f);
    until_account(f, "a", "3");
    until_account(f, "b", "4");
}

/* --- the first lists --- */

static void nothing_is_told_before_all_is_known(void **state)
{
    struct fixture *f = *state;
    set_waits(f, SPLITS);
    api_tell_of(f->api, NAMESPACES, streamed(ADDED(NAMESPACE("shop", "1")) LISTED("2")));
    api_tell_of(f->api, ACCOUNTS, streamed(ADDED(ACCOUNT("a", "3")) LISTED("5")));
    start(f);
    until_account(f, "a", "3");
    until_asked(f, SPLITS);
    assert_false(source_in_sync(f->source));
    assert_int_equal(f->told, 0);
    api_tell_of(f->api, SPLITS, streamed(ADDED(SPLIT("s", "4", "1")) LISTED("5")));
    until_in_sync(f);
    assert_true(knows(f, KIND_TRAFFIC_SPLIT, "shop", "s"));
    assert_true(f->told > 0);
}

static void only_what_counts_is_asked_for(void **state)
{
    struct fixture *f = *state;
    begin(f);
    static const char *const lines[] = {
        "GET /api/v1/namespaces?labelSelector=openservicemesh.io%2Fmonitored-by%3Dosm&watch=true",
        "GET /api/v1/pods?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&",
        "GET /apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshconfigs?"
        "fieldSelector=metadata.name%3Dosm-mesh-config&",
        "GET /apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshrootcertificates?",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        until_asked(f, lines[i]);
    }
    assert_int_equal(requests_of(f, "secrets"), 0);
}

static void what_is_in_other_namespaces_is_dropped(void **state)
{
    struct fixture *f = *state;
    api_tell_of(
        f->api, "/telemetries?",
        streamed(ADDED("{\"apiVersion\":\"policy.openservicemesh.io/v1alpha1\",\"kind\":"
                       "\"Telemetry\"," META("osm-system", "t", "3", V("3")) "}") LISTED("5")));
    begin(f);
    api_more_on(f->api, ACCOUNTS,
                ADDED(OBJECT("ServiceAccount", "other", "a", "6", "")) ADDED(ACCOUNT("c", "7")));
    until_account(f, "c", "7");
    assert_false(knows(f, KIND_SERVICE_ACCOUNT, "other", "a"));
    until_known(f, KIND_TELEMETRY, "osm-system", "t", "3");
}

static void an_older_server_gives_pages(void **state)
{
    struct fixture *f = *state;
    api_tell_of(f->api, NAMESPACES, streamed(ADDED(NAMESPACE("shop", "1")) LISTED("2")));
    api_tell_of(f->api, ACCOUNTS, (struct reply){422, "{}", AFTER_WHOLE, NULL, 0});
    api_tell_of(f->api, ACCOUNTS, whole(PAGE(",\"continue\":\"x\"", ITEM("a", "3"))));
    api_tell_of(f->api, ACCOUNTS, whole(PAGE("", ITEM("b", "4"))));
    start(f);
    until_in_sync(f);
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "b"));
    until_asked(f, "/v1/serviceaccounts?limit=500&continue=x");
    until_asked(f, "/v1/serviceaccounts?watch=true&allowWatchBookmarks=true&resourceVersion=50");
}

/* --- namespaces that join and leave --- */

#define SHOP_ACCOUNTS "/namespaces/shop/serviceaccounts?"

static void join_shop(struct fixture *f)
{
    start(f);
    until_in_sync(f);
    api_more_on(f->api, NAMESPACES, ADDED(NAMESPACE("shop", "6")));
}

static void a_namespace_comes_with_what_it_holds(void **state)
{
    struct fixture *f = *state;
    set_waits(f, "/namespaces/shop/trafficsplits?");
    api_tell_of(f->api, SHOP_ACCOUNTS, whole(PAGE(",\"continue\":\"x/y\"", ITEM("a", "3"))));
    api_tell_of(f->api, SHOP_ACCOUNTS, whole(PAGE("", ITEM("b", "4"))));
    join_shop(f);
    until_account(f, "b", "4");
    until_asked(f, SHOP_ACCOUNTS "limit=500&continue=x%2Fy");
    until_asked(f, f->waits);
    assert_false(knows(f, KIND_NAMESPACE, "", "shop"));
    api_tell_of(f->api, f->waits, whole(PAGE("", "")));
    until_known(f, KIND_NAMESPACE, "", "shop", "");
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
}

static void what_a_watch_tells_meanwhile_counts(void **state)
{
    struct fixture *f = *state;
    set_waits(f, SHOP_ACCOUNTS);
    join_shop(f);
    until_asked(f, SHOP_ACCOUNTS);
    api_more_on(f->api, ACCOUNTS, ADDED(ACCOUNT("a", "9")) EVENT("DELETED", ACCOUNT("b", "10")));
    until_account(f, "a", "9");
    api_tell_of(f->api, SHOP_ACCOUNTS,
                whole(PAGE("", ITEM("a", "3") "," ITEM("b", "4") "," ITEM("c", "5"))));
    until_known(f, KIND_NAMESPACE, "", "shop", "");
    until_account(f, "a", "9");
    until_account(f, "c", "5");
    assert_false(knows(f, KIND_SERVICE_ACCOUNT, "shop", "b"));
}

static void a_list_that_fails_is_tried_again(void **state)
{
    struct fixture *f = *state;
    api_tell_of(f->api, SHOP_ACCOUNTS, (struct reply){500, "{}", AFTER_WHOLE, NULL, 0});
    api_tell_of(f->api, SHOP_ACCOUNTS, whole("{\"items\":[{\"metadata\":"));
    api_tell_of(f->api, SHOP_ACCOUNTS, whole(PAGE(",\"continue\":\"x\"", ITEM("a", "3"))));
    api_tell_of(f->api, SHOP_ACCOUNTS, (struct reply){410, "{}", AFTER_WHOLE, NULL, 0});
    api_tell_of(f->api, SHOP_ACCOUNTS, whole(PAGE("", "7,{},\"x\"," ITEM("b", "4"))));
    join_shop(f);
    until_known(f, KIND_NAMESPACE, "", "shop", "");
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "b"));
    assert_int_equal(requests_of(f, SHOP_ACCOUNTS), 5);
}

static void a_namespace_leaves(void **state)
{
    struct fixture *f = *state;
    begin(f);
    api_more_on(f->api, SPLITS, ADDED(SPLIT("s", "6", "\"ten\"")));
    until_found(f, "TrafficSplit shop/s: spec.backends[0].weight");
    api_more_on(f->api, NAMESPACES, EVENT("DELETED", NAMESPACE("shop", "9")));
    until_known(f, KIND_NAMESPACE, "", "shop", NULL);
    assert_false(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
    assert_false(knows(f, KIND_SERVICE_ACCOUNT, "shop", "b"));
    until_found(f, NULL);
}

/* The list that was under way says nothing any more, also when the namespace is back. */
static void a_namespace_leaves_while_it_is_listed(void **state)
{
    struct fixture *f = *state;
    set_waits(f, SHOP_ACCOUNTS);
    join_shop(f);
    until_asked(f, SHOP_ACCOUNTS);
    api_more_on(f->api, ACCOUNTS, ADDED(ACCOUNT("a", "7")));
    until_account(f, "a", "7");
    api_more_on(f->api, NAMESPACES, EVENT("DELETED", NAMESPACE("shop", "8")));
    until_account(f, "a", NULL);
    assert_false(knows(f, KIND_NAMESPACE, "", "shop"));
    set_waits(f, NULL);
    api_tell_of(f->api, SHOP_ACCOUNTS, whole(PAGE("", ITEM("c", "11"))));
    api_more_on(f->api, NAMESPACES, ADDED(NAMESPACE("shop", "12")));
    until_known(f, KIND_NAMESPACE, "", "shop", "");
    assert_false(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
}

static void namespaces_are_listed_anew_while_one_joins(void **state)
{
    struct fixture *f = *state;
    begin(f);
    set_waits(f, "/namespaces/late/serviceaccounts?");
    api_more_on(f->api, NAMESPACES, ADDED(NAMESPACE("late", "6")));
    until_asked(f, f->waits);
    api_tell_of(f->api, NAMESPACES, streamed(ADDED(NAMESPACE("late", "6")) LISTED("20")));
    api_more_on(f->api, NAMESPACES, FORGOTTEN);
    until_known(f, KIND_NAMESPACE, "", "shop", NULL);
    assert_false(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
    assert_false(knows(f, KIND_NAMESPACE, "", "late"));
    api_tell_of(f->api, f->waits, whole(PAGE("", OBJECT("ServiceAccount", "late", "d", "5", ""))));
    until_known(f, KIND_NAMESPACE, "", "late", "");
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "late", "d"));
}

static void a_namespace_joins_while_a_kind_is_listed_anew(void **state)
{
    struct fixture *f = *state;
    begin(f);
    api_tell_of(f->api, "/namespaces/late/serviceaccounts?",
                whole(PAGE("", OBJECT("ServiceAccount", "late", "d", "5", ""))));
    api_tell_of(f->api, ACCOUNTS, streamed(ADDED(ACCOUNT("a", "3"))));
    api_more_on(f->api, ACCOUNTS, FORGOTTEN);
    until_state(f, KIND_SERVICE_ACCOUNT, KUBE_WATCH_BROKEN);
    api_more_on(f->api, NAMESPACES, ADDED(NAMESPACE("late", "6")));
    until_known(f, KIND_NAMESPACE, "", "late", "");
    until_asked_times(f, ACCOUNTS, 2);
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "b"));
    api_more_on(f->api, ACCOUNTS,
                ADDED(OBJECT("ServiceAccount", "late", "d", "5", "")) LISTED("20"));
    until_account(f, "b", NULL);
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "late", "d"));
}

/* --- what goes wrong --- */

static void a_place_that_is_forgotten(void **state)
{
    struct fixture *f = *state;
    begin(f);
    api_tell_of(f->api, ACCOUNTS,
                streamed(ADDED(ACCOUNT("a", "13")) ADDED(ACCOUNT("c", "14")) LISTED("20")));
    api_more_on(f->api, ACCOUNTS, FORGOTTEN);
    until_account(f, "b", NULL);
    until_account(f, "a", "13");
    until_account(f, "c", "14");
}

static void a_bookmark_is_where_it_goes_on(void **state)
{
    struct fixture *f = *state;
    begin(f);
    api_more_on(f->api, ACCOUNTS, BOOKMARK("90") ADDED(ACCOUNT("c", "90")));
    until_account(f, "c", "90");
    api_cut_on(f->api, ACCOUNTS);
    until_asked(f, "/v1/serviceaccounts?watch=true&allowWatchBookmarks=true&resourceVersion=90");
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
}

static void a_stream_breaks_within_an_object(void **state)
{
    struct fixture *f = *state;
    begin(f);
    api_more_on(f->api, ACCOUNTS,
                ADDED(ACCOUNT("c", "6")) "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"na");
    until_account(f, "c", "6");
    api_tell_of(f->api, ACCOUNTS, streamed(ADDED(ACCOUNT("d", "7"))));
    api_cut_on(f->api, ACCOUNTS);
    until_account(f, "d", "7");
    until_account(f, "a", "3");
}

static void garbage_loses_nothing(void **state)
{
    struct fixture *f = *state;
    begin(f);
    pthread_mutex_lock(&f->api->lock);
    f->spoilt = "/v1/serviceaccounts?watch=true&allowWatchBookmarks=true&resourceVersion=";
    pthread_mutex_unlock(&f->api->lock);
    api_tell_of(f->api, "/v1/serviceaccounts?watch=true&allowWatchBookmarks=true&sendInitial",
                streamed(ADDED(ACCOUNT("a", "3")) LISTED("9")));
    api_more_on(f->api, ACCOUNTS, "{\"type\":\"ADDED\",\"object\":{\"metadata\":[}}\n");
    until_account(f, "b", NULL); /* some broken streams make it list anew */
    until_account(f, "a", "3");
    until_state(f, KIND_SERVICE_ACCOUNT, KUBE_WATCH_LIVE);
    until_found(f, NULL);
}

static void too_large_an_object(void **state)
{
    struct fixture *f = *state;
    size_t len = LIMIT_KUBE_EVENT_BYTES + (1u << 20);
    AUTO(free) char *text = mem_alloc(len + 1);
    memset(text, ' ', len);
    text[len] = '\0';
    begin(f);
    set_waits(f, ACCOUNTS);
    api_tell_of(f->api, ACCOUNTS, streamed(text));
    api_cut_on(f->api, ACCOUNTS);
    until_found(f, "ServiceAccount: what is known may be old");
    until_found(f, "an event is too large");
    assert_true(knows(f, KIND_SERVICE_ACCOUNT, "shop", "a"));
    api_tell_of(f->api, ACCOUNTS, streamed(""));
    until_state(f, KIND_SERVICE_ACCOUNT, KUBE_WATCH_LIVE);
    api_more_on(f->api, ACCOUNTS, ADDED(ACCOUNT("c", "6")));
    until_account(f, "c", "6");
}

static void a_definition_that_is_missing(void **state)
{
    struct fixture *f = *state;
    api_tell_of(f->api, SPLITS, missing);
    set_waits(f, SPLITS);
    begin(f);
    until_found(f, "TrafficSplit: the cluster has no CustomResourceDefinition "
                   "trafficsplits.split.smi-spec.io; install it");
    api_tell_of(f->api, "/namespaces/late/trafficsplits?", missing);
    api_more_on(f->api, NAMESPACES, ADDED(NAMESPACE("late", "6")));
    until_known(f, KIND_NAMESPACE, "", "late", "");
    api_tell_of(f->api, SPLITS, streamed(ADDED(SPLIT("s", "7", "1")) LISTED("8")));
    until_known(f, KIND_TRAFFIC_SPLIT, "shop", "s", "");
    until_found(f, NULL);
}

static void a_kind_that_we_may_not_read(void **state)
{
    struct fixture *f = *state;
    api_tell_of(f->api, PODS, denied);
    set_waits(f, PODS);
    start(f);
    until_state(f, KIND_POD, KUBE_WATCH_DENIED);
    until_asked(f, SPLITS);
    until_state(f, KIND_TRAFFIC_SPLIT, KUBE_WATCH_LIVE);
    assert_false(source_in_sync(f->source));
    api_tell_of(f->api, PODS, streamed(LISTED("5")));
    until_in_sync(f);
}

/* --- objects --- */

static int64_t weight_of(const struct fixture *f)
{
    const struct traffic_split *s =
        (struct traffic_split *)store_find(f->store, KIND_TRAFFIC_SPLIT, STR("shop"), STR("s"));
    return s ? s->backends.at[0].weight : -1;
}

static void a_refused_object_keeps_its_last_form(void **state)
{
    struct fixture *f = *state;
    begin(f);
    api_more_on(f->api, SPLITS, ADDED(SPLIT("s", "6", "7")) ADDED(SPLIT("t", "7", "\"x\"")));
    until_found(f, "error: TrafficSplit shop/t: spec.backends[0].weight: expected a whole number");
    assert_false(knows(f, KIND_TRAFFIC_SPLIT, "shop", "t"));
    assert_int_equal(weight_of(f), 7);
    api_more_on(f->api, SPLITS, EVENT("MODIFIED", SPLIT("s", "8", "\"y\"")));
    until_found(f, "TrafficSplit shop/s: its last good form stays in force");
    assert_int_equal(weight_of(f), 7);
    api_more_on(f->api, SPLITS,
                EVENT("DELETED", SPLIT("t", "9", "\"x\""))
                    EVENT("MODIFIED", SPLIT("s", "10", "9")));
    until_found(f, NULL);
    assert_int_equal(weight_of(f), 9);
}

#define POD                                                                                        \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META("shop", "p", "6",                              \
                                                    ",\"uid\":\"11111111-2222-3333-4444-"          \
                                                    "555555555555\",\"labels\":{\"v\":\"6\","      \
                                                    "\"app\":"                                     \
                                                    "\"web\",\"osm-proxy-uuid\":\"u\"},"           \
                                                    "\"ownerReferences\":[{\"kind\":"              \
                                                    "\"ReplicaSet\","                              \
                                                    "\"name\":\"r\"}],\"managedFields\":[{"        \
                                                    "\"manager\":\"m\"}],\"annotations\":{\"a\":"  \
                                                    "\"b\"}") ",\"spec\":{\"serviceAccountName\":" \
                                                              "\"web\",\"nodeName\":\"n\","        \
                                                              "\"volumes\":[{\"name\":"            \
                                                              "\"v\"}],\"containers\":[{\"name\":" \
                                                              "\"c\",\"image\":\"i\",\"ports\":[{" \
                                                              "\"name\":\"http\","                 \
                                                              "\"containerPort\":8080}]}]},"       \
                                                              "\"status\":{\"phase\":\"Running\"," \
                                                              "\"podIP\":\"10.0.0.1\","            \
                                                              "\"podIPs\":[{\"ip\":\"10.0.0.1\"}," \
                                                              "{\"ip\":\"fd00::1\"}],"             \
                                                              "\"conditions\":[{\"type\":"         \
                                                              "\"Ready\",\"status\":\"True\"}]}}"

static void a_pod_has_what_the_mesh_reads(void **state)
{
    struct fixture *f = *state;
    begin(f);
    api_more_on(f->api, PODS, ADDED(POD));
    until_known(f, KIND_POD, "shop", "p", "6");
    const struct pod *p = (struct pod *)store_find(f->store, KIND_POD, STR("shop"), STR("p"));
    assert_true(str_is(p->service_account, "web"));
    assert_true(str_is(p->phase, "Running"));
    assert_true(str_is(p->pod_ip, "10.0.0.1"));
    assert_int_equal(p->pod_ips.len, 2);
    assert_true(p->ready);
    assert_int_equal(p->containers.len, 1);
    assert_true(str_is(*pairs_find(&p->object.meta.labels, "app"), "web"));
    assert_true(str_is(p->object.meta.uid, "11111111-2222-3333-4444-555555555555"));
    assert_null(p->spec);
    assert_null(p->object.raw);
    assert_null(pairs_find(&p->object.meta.annotations, "a"));
}

static void ends_at_any_time(void **state)
{
    struct fixture *f = *state;
    start(f);
    source_free(TAKE(f->source));
    set_waits(f, SHOP_ACCOUNTS);
    join_shop(f);
    until_asked(f, SHOP_ACCOUNTS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_told_before_all_is_known),
        TEST(only_what_counts_is_asked_for),
        TEST(what_is_in_other_namespaces_is_dropped),
        TEST(an_older_server_gives_pages),
        TEST(a_namespace_comes_with_what_it_holds),
        TEST(what_a_watch_tells_meanwhile_counts),
        TEST(a_list_that_fails_is_tried_again),
        TEST(a_namespace_leaves),
        TEST(a_namespace_leaves_while_it_is_listed),
        TEST(namespaces_are_listed_anew_while_one_joins),
        TEST(a_namespace_joins_while_a_kind_is_listed_anew),
        TEST(a_place_that_is_forgotten),
        TEST(a_bookmark_is_where_it_goes_on),
        TEST(a_stream_breaks_within_an_object),
        TEST(garbage_loses_nothing),
        TEST(too_large_an_object),
        TEST(a_definition_that_is_missing),
        TEST(a_kind_that_we_may_not_read),
        TEST(a_refused_object_keeps_its_last_form),
        TEST(a_pod_has_what_the_mesh_reads),
        TEST(ends_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
