/* Events, counted. */
#include "kube/event.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/map.h"
#include "kube/internal.h"

enum {
    PER_MINUTE = 5,       /* of one object */
    MESSAGE_BYTES = 1024, /* of the API's */
    TRIES = 5,
    NAME_BYTES = 230, /* what of the object's name goes into the event's */
};

/* One event about one object, which may happen again. */
struct entry {
    struct kube_events *events;
    struct arena *arena;
    struct str key, namespace, name; /* of the event */
    struct value *document;          /* as it is created */
    struct kube_call *call;
    int64_t count; /* as the server has it; 0: not known to be there */
    int64_t due;   /* happened since */
    bool found;    /* was there before us: its count is to be read first */
    int tries;     /* requests since the last kube_events_send */
};

struct budget {
    int64_t since_ms;
    int n;
};

struct kube_events {
    struct kube_client *client;
    char *component;
    struct map entries; /* key -> entry, own */
    struct map budgets; /* object -> budget, own */
};

static void entry_free(void *value)
{
    struct entry *x = value;
    if (x->call) {
        kube_cancel(x->call);
    }
    arena_free(x->arena);
    free(x);
}

struct kube_events *kube_events_new(struct kube_client *client, const char *component)
{
    struct kube_events *s = NEW(struct kube_events);
    s->client = client;
    s->component = mem_strdup(component);
    return s;
}

void kube_events_free(struct kube_events *s)
{
    if (!s) {
        return;
    }
    map_done(&s->entries, entry_free);
    map_done(&s->budgets, free);
    free(s->component);
    free(s);
}

/* Keeps a map of things that strangers make many of from growing; the oldest goes. */
static void make_room(struct map *m, void (*free_value)(void *))
{
    if (map_len(m) >= LIMIT_KUBE_EVENTS) {
        struct map_iter oldest = map_first(m);
        free_value(map_remove(m, oldest.key));
    }
}

static bool within_budget(struct kube_events *s, struct str object)
{
    struct budget *b = map_find(&s->budgets, object);
    int64_t now = clock_mono_ms();
    if (!b) {
        make_room(&s->budgets, free);
        b = NEW(struct budget);
        b->since_ms = now;
        map_put(&s->budgets, object, b);
    }
    if (now - b->since_ms >= 60000) {
        *b = (struct budget){.since_ms = now};
    }
    return b->n++ < PER_MINUTE;
}

static void set(struct arena *a, struct value *in, const char *key, struct str s)
{
    if (s.len > 0) {
        value_set(a, in, key, value_new_string(a, s));
    }
}

static void set_time(struct arena *a, struct value *in, const char *key)
{
    char now[32];
    clock_rfc3339(clock_wall_s(), now);
    set(a, in, key, str_of(now));
}

static struct value *document(struct kube_events *s, struct entry *x,
                              const struct kube_event *event)
{
    struct arena *a = x->arena;
    struct value *v = value_new(a, VALUE_OBJECT);
    struct str message = str_of(event->message);
    message.len = message.len > MESSAGE_BYTES ? MESSAGE_BYTES : message.len;
    set(a, v, "apiVersion", STR("v1"));
    set(a, v, "kind", STR("Event"));
    struct value *meta = value_ensure(a, v, "metadata", VALUE_OBJECT);
    set(a, meta, "namespace", x->namespace);
    set(a, meta, "name", x->name);
    struct value *about = value_ensure(a, v, "involvedObject", VALUE_OBJECT);
    set(a, about, "apiVersion", str_of(event->api_version));
    set(a, about, "kind", str_of(event->kind));
    set(a, about, "namespace", event->namespace);
    set(a, about, "name", event->name);
    set(a, about, "uid", event->uid);
    set(a, v, "type", event->warning ? STR("Warning") : STR("Normal"));
    set(a, v, "reason", str_of(event->reason));
    set(a, v, "message", message);
    set(a, value_ensure(a, v, "source", VALUE_OBJECT), "component", str_of(s->component));
    set(a, v, "reportingComponent", str_of(s->component));
    set_time(a, v, "firstTimestamp");
    return v;
}

static struct entry *entry_new(struct kube_events *s, struct str key, struct str object,
                               const struct kube_event *event)
{
    struct entry *x = NEW(struct entry);
    x->events = s;
    x->arena = arena_new(1024);
    x->key = arena_str(x->arena, key);
    x->namespace = arena_str(x->arena, event->namespace.len ? event->namespace : STR("default"));
    struct str name = event->name;
    name.len = name.len > NAME_BYTES ? NAME_BYTES : name.len;
    /* The same event of another replica, or from before a restart, has the same name. */
    x->name =
        arena_printf(x->arena, "%.*s.%016llx", STR_ARG(name), (unsigned long long)hash_str(key));
    x->document = document(s, x, event);
    make_room(&s->entries, entry_free);
    map_put(&s->entries, key, x);
    return x;
}

static void advance(struct entry *x);

static void on_counted(void *arg, int status, struct value *v, const struct err *e)
{
    struct entry *x = arg;
    x->call = NULL;
    if (status == 404) { /* the server forgets events after an hour */
        x->count = 0;
        x->found = false;
        x->due++;
        advance(x);
    } else if (x->due > 0) {
        advance(x);
    }
}

static void on_found(void *arg, int status, struct value *v, const struct err *e)
{
    struct entry *x = arg;
    const struct value *count = value_member(v, "count");
    x->call = NULL;
    x->found = false;
    if (status == 200) {
        x->count = count && count->type == VALUE_INT ? count->integer : 1;
    }
    if (status == 200 || status == 404) {
        advance(x);
    }
}

static void on_created(void *arg, int status, struct value *v, const struct err *e)
{
    struct entry *x = arg;
    x->call = NULL;
    if (status == 409) {
        x->found = true;
        x->count = 0;
        x->due++;
        advance(x);
    } else if (status < 200 || status >= 300) {
        x->count = 0; /* an event isn't worth a second try; the next of its kind is */
    } else if (x->due > 0) {
        advance(x);
    }
}

static void count_up(struct entry *x, struct arena *a, const char *path)
{
    struct value *patch = value_new(a, VALUE_OBJECT);
    x->count += x->due;
    x->due = 0;
    value_set(a, patch, "count", value_new_int(a, x->count));
    set_time(a, patch, "lastTimestamp");
    struct kube_request q = {
        .method = "PATCH", .path = path, .body = patch, .content_type = KUBE_MERGE_PATCH};
    x->call = kube_start(x->events->client, &q, on_counted, x);
}

static void create(struct entry *x, struct arena *a)
{
    struct value *v = value_copy(a, x->document);
    x->count = x->due;
    x->due = 0;
    value_set(a, v, "count", value_new_int(a, x->count));
    set_time(a, v, "lastTimestamp");
    struct kube_request q = kube_create_request(a, "events", v);
    x->call = kube_start(x->events->client, &q, on_created, x);
}

static void advance(struct entry *x)
{
    AUTO(arena_free) struct arena *a = arena_new(2048);
    if (x->tries++ == TRIES) {
        return; /* someone else makes and deletes it all the time */
    }
    const char *path = kube_path_of(a, "v1", "events", x->namespace, x->name, NULL, NULL);
    if (x->found) {
        x->call = kube_start(x->events->client, &(struct kube_request){.path = path}, on_found, x);
    } else if (x->count > 0) {
        count_up(x, a, path);
    } else {
        create(x, a);
    }
}

void kube_events_send(struct kube_events *s, const struct kube_event *event)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct str object = arena_printf(a, "%s %.*s/%.*s %.*s", event->kind, STR_ARG(event->namespace),
                                     STR_ARG(event->name), STR_ARG(event->uid));
    struct str key = arena_printf(a, "%.*s %d %s %s %s", STR_ARG(object), event->warning,
                                  s->component, event->reason, event->message);
    if (!within_budget(s, object)) {
        return;
    }
    struct entry *x = map_find(&s->entries, key);
    if (!x) {
        x = entry_new(s, key, object, event);
    }
    x->due++;
    x->tries = 0;
    if (!x->call) {
        advance(x);
    }
}
