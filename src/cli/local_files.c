/* osm local apply and delete: one file an object in the mesh's own folder, which goes before all
 * others. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/local.h"
#include "kinds/object.h"
#include "local/publish.h"

static struct texts files;

const struct flag local_files_flags[] = {
    {"filename", 'f', FLAG_STRINGS, "PATH", "file of manifests, or - for what comes in; repeat",
     &files},
    {0},
};

struct batch {
    struct arena *arena;
    bool gone;                           /* the objects shall go: only their names matter */
    VEC(const struct value *) documents; /* checked, with their namespace */
    struct findings findings;
};

static void drop_object(void *arg, struct object *o)
{
    struct object **last = arg;
    object_unref(*last);
    *last = o;
}

static bool is_list(const struct value *document)
{
    const struct value *items = value_member(document, "items");
    return items && items->type == VALUE_ARRAY &&
           str_ends(value_string_at(document, "kind"), "List");
}

/* The document that says that an object is gone. */
static const struct value *tombstone(struct arena *a, const struct value *document)
{
    struct value *copy = value_new(a, VALUE_OBJECT);
    value_set(a, copy, "apiVersion", value_new_string(a, value_string_at(document, "apiVersion")));
    value_set(a, copy, "kind", value_new_string(a, value_string_at(document, "kind")));
    struct value *meta = value_ensure(a, copy, "metadata", VALUE_OBJECT);
    value_set(a, meta, "name", value_new_string(a, value_string_at(document, "metadata.name")));
    struct str ns = value_string_at(document, "metadata.namespace");
    if (ns.len > 0) {
        value_set(a, meta, "namespace", value_new_string(a, ns));
    }
    struct value *annotations = value_ensure(a, meta, "annotations", VALUE_OBJECT);
    value_set(a, annotations, ANNOTATION_DELETED, value_new_string(a, STR("true")));
    return copy;
}

/* Checks one object and keeps its document with the namespace that it is in. */
static void add_document(struct batch *b, const struct value *document, const char *file)
{
    if (is_list(document)) {
        const struct value *items = value_member(document, "items");
        for (size_t i = 0; i < items->array.len; i++) {
            add_document(b, &items->array.at[i], file);
        }
        return;
    }
    if (b->gone) {
        document = tombstone(b->arena, document);
    }
    __attribute__((cleanup(object_unref_auto))) struct object *o = NULL;
    if (object_decode(document, file, drop_object, &o, &b->findings) < 0 || !o) {
        return;
    }
    struct value *copy = value_copy(b->arena, document);
    if (o->meta.namespace.len > 0) {
        struct value *meta = value_ensure(b->arena, copy, "metadata", VALUE_OBJECT);
        value_set(b->arena, meta, "namespace", value_new_string(b->arena, o->meta.namespace));
    }
    VEC_PUSH(b->documents, copy);
}

static int read_input(const char *path, struct buf *out, struct err *e)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "re");
    struct stat st;
    if (!f) {
        return err_errno(e, "-f %s: expected a file of manifests", path);
    }
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f);
        return err_set(e,
                       "-f %s: expected a file, found a folder; folders are given to: "
                       "osm local up -f",
                       path);
    }
    char block[65536];
    for (size_t n; (n = fread(block, 1, sizeof(block), f)) > 0;) {
        buf_add(out, block, n);
    }
    int failed = ferror(f);
    if (!standard) {
        fclose(f);
    }
    return failed
               ? err_errno(e, "-f %s: can't be read", path)
               : (buf_full(out)
                      ? err_set(e, "-f %s: expected at most %u MiB", path, LIMIT_FILE_BYTES >> 20)
                      : 0);
}

static int read_file(struct batch *b, const char *path, struct err *e)
{
    const char *title = strcmp(path, "-") == 0 ? "standard input" : path;
    struct buf text;
    buf_init(&text, LIMIT_FILE_BYTES);
    int result = read_input(path, &text, e);
    struct str rest = buf_str(&text), document;
    int line = 1, next = 1;
    while (result == 0 && value_next_document(&rest, &document, &line, &next)) {
        struct value *v;
        int bad_line = 0;
        struct err bad = ERR_INIT;
        if (value_read_yaml(b->arena, document, line, &v, &bad_line, &bad) < 0) {
            findings_add(&b->findings, FINDING_ERROR, title, bad_line, NULL, "%s", bad.text);
        } else {
            add_document(b, v, title);
        }
    }
    buf_done(&text);
    return result;
}

/* All files; an error when anything in them is wrong: all is written or nothing. */
static int read_files(struct batch *b, struct err *e)
{
    int result = files.len == 0 ? err_set(e, "expected -f FILE") : 0;
    for (size_t i = 0; result == 0 && i < files.len; i++) {
        result = read_file(b, files.at[i], e);
    }
    VEC_EACH(b->findings.list, f) {
        AUTO(free) char *text = finding_text(f);
        fprintf(stderr, "%s\n", text);
    }
    if (result == 0 && b->findings.errors > 0) {
        return err_set(e, "nothing was changed: %zu error%s", b->findings.errors,
                       b->findings.errors == 1 ? "" : "s");
    }
    if (result == 0 && b->documents.len == 0) {
        return err_set(e, "expected objects, found none");
    }
    return result;
}

static int write_document(const struct state *s, struct arena *a, const struct value *document,
                          struct err *e)
{
    struct str name = publisher_file(a, document);
    AUTO(free) char *path = state_path(s, "applied/%.*s", STR_ARG(name));
    struct buf out;
    buf_init(&out, LIMIT_DOC_BYTES);
    value_write_json(document, &out);
    buf_addc(&out, '\n');
    int result = state_write(path, buf_str(&out), 0600, e);
    buf_done(&out);
    return result;
}

static void print_title(const struct value *document, const char *what)
{
    struct str ns = value_string_at(document, "metadata.namespace");
    printf("%.*s %.*s%s%.*s: %s\n", STR_ARG(value_string_at(document, "kind")), STR_ARG(ns),
           ns.len > 0 ? "/" : "", STR_ARG(value_string_at(document, "metadata.name")), what);
}

static int change(bool gone, struct err *e)
{
    AUTO(state_done) struct state s = {0};
    if (local_open_running(&s, e) < 0) {
        return -1;
    }
    struct batch b = {.arena = arena_new(65536), .gone = gone};
    int result = read_files(&b, e);
    for (size_t i = 0; result == 0 && i < b.documents.len; i++) {
        const struct value *document = b.documents.at[i];
        result = write_document(&s, b.arena, document, e);
        if (result == 0) {
            print_title(document, gone ? "deleted" : "applied");
        }
    }
    VEC_DONE(b.documents);
    findings_done(&b.findings);
    arena_free(b.arena);
    return result;
}

int local_apply_run(const struct args *args, struct err *e)
{
    return change(false, e);
}

int local_delete_run(const struct args *args, struct err *e)
{
    return change(true, e);
}
