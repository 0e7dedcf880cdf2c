/* The directory source on temporary folders: whatever is done to files, the store ends with what
 * they say. Waits are for the outcome, with a limit that only a hang reaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "run_until.h"
#include "source/manifest.h"
#include "source/source.h"

enum { ROOTS_MAX = 2 };

struct fixture {
    char folder[32];
    const char *roots[ROOTS_MAX];
    struct loop *loop;
    struct store *store;
    struct dir_source *source;
    unsigned changes; /* calls of on_change */
};

/* --- files --- */

static char *in(const struct fixture *f, const char *name)
{
    return mem_printf("%s/%s", f->folder, name);
}

static void write_text(const struct fixture *f, const char *name, const char *text)
{
    AUTO(free) char *path = in(f, name);
    FILE *out = fopen(path, "w");
    if (!out) {
        fail_msg("%s: %s", path, strerror(errno));
        return;
    }
    fputs(text, out);
    fclose(out);
}

/* A service account whose label v has this value. */
#define ACCOUNT(name, v)                                                                           \
    "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " name ", labels: {v: \"" v       \
    "\"}}\n"
#define TOMBSTONE(name)                                                                            \
    "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " name                            \
    ", annotations: {openservicemesh.io/deleted: \"true\"}}\n"

static void make_folder(const struct fixture *f, const char *name)
{
    AUTO(free) char *path = in(f, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void move(const struct fixture *f, const char *from, const char *to)
{
    AUTO(free) char *a = in(f, from);
    AUTO(free) char *b = in(f, to);
    assert_int_equal(rename(a, b), 0);
}

static void make_link(const struct fixture *f, const char *target, const char *name)
{
    AUTO(free) char *path = in(f, name);
    assert_int_equal(symlink(target, path), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    return remove(path);
}

static void remove_all(const struct fixture *f, const char *name)
{
    AUTO(free) char *path = in(f, name);
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- source and loop --- */

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    strcpy(f->folder, "/tmp/test_source.XXXXXX");
    if (!mkdtemp(f->folder)) {
        return -1;
    }
    f->loop = loop_new();
    f->store = store_new();
    *state = f;
    return 0;
}

static void stop(struct fixture *f)
{
    dir_source_free(f->source);
    f->source = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    stop(f);
    remove_all(f, "");
    store_free(f->store);
    loop_free(f->loop);
    for (int i = 0; i < ROOTS_MAX; i++) {
        free((char *)f->roots[i]);
    }
    free(f);
    return 0;
}

static void on_change(void *arg)
{
    struct fixture *f = arg;
    struct changes changes;
    store_take_changes(f->store, &changes);
    changes_done(&changes);
    f->changes++;
}

static int try_start(struct fixture *f, const char *first, const char *second, struct err *e)
{
    f->roots[0] = first ? in(f, first) : mem_strdup(f->folder);
    f->roots[1] = second ? in(f, second) : NULL;
    struct dir_source_options o = {.loop = f->loop,
                                   .store = f->store,
                                   .roots = f->roots,
                                   .n_roots = second ? 2 : 1,
                                   .on_change = on_change,
                                   .arg = f};
    return dir_source_start(&o, &f->source, e);
}

static void start(struct fixture *f, const char *first, const char *second)
{
    struct err e = ERR_INIT;
    if (try_start(f, first, second, &e) < 0) {
        fail_msg("%s", e.text);
    }
    struct changes changes;
    store_take_changes(f->store, &changes);
    changes_done(&changes);
}

struct wanted {
    struct fixture *f;
    bool (*met)(struct fixture *f, const char *a, const char *b);
    const char *a, *b;
};

static bool is_met(void *arg)
{
    const struct wanted *w = arg;
    return w->met(w->f, w->a, w->b);
}

static void until(struct fixture *f, bool (*met)(struct fixture *, const char *, const char *),
                  const char *a, const char *b)
{
    run_until(f->loop, is_met, &(struct wanted){f, met, a, b});
}

/* --- conditions --- */

/* "1" is a label's value, NULL stands for no such object. */
static bool account_is(struct fixture *f, const char *name, const char *value)
{
    struct object *o = store_find(f->store, KIND_SERVICE_ACCOUNT, STR("default"), str_of(name));
    const struct str *v = o ? pairs_find(&o->meta.labels, "v") : NULL;
    return value ? v && str_is(*v, value) : !o;
}

static bool finding_is(struct fixture *f, const char *text, const char *none)
{
    const struct findings *found = dir_source_findings(f->source);
    VEC_EACH(found->list, at) {
        AUTO(free) char *line = finding_text(at);
        if (!text || strstr(line, text)) {
            return text != NULL;
        }
    }
    return text == NULL;
}

static void expect(struct fixture *f, const char *name, const char *value)
{
    if (!account_is(f, name, value)) {
        fail_msg("account %s isn't \"%s\"", name, value ? value : "absent");
    }
}

static void await(struct fixture *f, const char *name, const char *value)
{
    until(f, account_is, name, value);
    expect(f, name, value);
}

static void print_findings(struct fixture *f)
{
    VEC_EACH(dir_source_findings(f->source)->list, at) {
        AUTO(free) char *line = finding_text(at);
        print_message("%s\n", line);
    }
}

/* NULL: that there are none. */
static void expect_finding(struct fixture *f, const char *text)
{
    if (!finding_is(f, text, NULL)) {
        print_findings(f);
        fail_msg("not found: %s", text ? text : "silence");
    }
}

static void await_finding(struct fixture *f, const char *text)
{
    until(f, finding_is, text, NULL);
    expect_finding(f, text);
}

/* Events come in order: once this one is through, those before it are, too. */
static void pass(struct fixture *f, const char *name)
{
    static unsigned n;
    char value[16];
    snprintf(value, sizeof(value), "%u", ++n);
    AUTO(free)
    char *text = mem_printf("apiVersion: v1\nkind: ServiceAccount\n"
                            "metadata: {name: pass, labels: {v: \"%s\"}}\n",
                            value);
    write_text(f, name, text);
    await(f, "pass", value);
}

/* --- tests --- */

static void all_is_read_before_start_returns(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "sub");
    make_folder(f, "sub/deep");
    write_text(f, "a.yaml", ACCOUNT("a", "1") ACCOUNT("b", "1"));
    write_text(f, "sub/c.yml", ACCOUNT("c", "1"));
    write_text(f, "sub/deep/d.json",
               "{\"apiVersion\": \"v1\", \"kind\": \"ServiceAccount\", \"metadata\": {\"name\": "
               "\"d\", \"labels\": {\"v\": \"1\"}}}");
    start(f, NULL, NULL);
    expect(f, "a", "1");
    expect(f, "b", "1");
    expect(f, "c", "1");
    expect(f, "d", "1");
    expect_finding(f, NULL);
    assert_int_equal(f->changes, 0);
}

static void other_names_are_passed_over(void **state)
{
    static const char *const names[] = {".a.yaml", "#a.yaml", "#a.yaml#",  "a.yaml~",
                                        "a.txt",   "a",       "a.yaml.swp"};
    struct fixture *f = *state;
    make_folder(f, ".git");
    write_text(f, ".git/a.yaml", ACCOUNT("a", "1"));
    write_text(f, names[0], "{{{");
    start(f, NULL, NULL);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        write_text(f, names[i], i % 2 ? "{{{" : ACCOUNT("a", "1"));
    }
    pass(f, "z.yaml");
    expect(f, "a", NULL);
    expect_finding(f, NULL);
}

static void a_missing_root_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(try_start(f, "none", NULL, &e), -1);
    assert_non_null(strstr(e.text, "none: can't be read: No such file"));
    assert_null(f->source);
}

static void a_fifo_is_no_root(void **state)
{
    struct fixture *f = *state;
    AUTO(free) char *path = in(f, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    struct err e = ERR_INIT;
    assert_int_equal(try_start(f, "fifo", NULL, &e), -1);
    assert_non_null(strstr(e.text, "expected a file or a folder"));
}

/* A FIFO with a manifest's name must not stop the reader. */
static void what_isnt_a_file_is_passed_over(void **state)
{
    struct fixture *f = *state;
    AUTO(free) char *path = in(f, "fifo.yaml");
    assert_int_equal(mkfifo(path, 0600), 0);
    make_folder(f, "folder.yaml");
    write_text(f, "folder.yaml/a.yaml", ACCOUNT("a", "1"));
    start(f, NULL, NULL);
    expect(f, "a", "1");
    expect_finding(f, NULL);
}

static void files_appear_change_and_go(void **state)
{
    struct fixture *f = *state;
    start(f, NULL, NULL);
    write_text(f, "a.yaml", ACCOUNT("a", "1"));
    await(f, "a", "1");
    write_text(f, "a.yaml", ACCOUNT("a", "2") ACCOUNT("b", "1"));
    await(f, "a", "2");
    await(f, "b", "1");
    write_text(f, "a.yaml", ACCOUNT("b", "1"));
    await(f, "a", NULL);
    expect(f, "b", "1");
    remove_all(f, "a.yaml");
    await(f, "b", NULL);
    assert_true(f->changes >= 4);
    expect_finding(f, NULL);
}

static void an_emptied_file_defines_nothing(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", ACCOUNT("a", "1"));
    start(f, NULL, NULL);
    write_text(f, "a.yaml", "");
    await(f, "a", NULL);
    write_text(f, "a.yaml", "# only words\n---\n");
    pass(f, "z.yaml");
    expect_finding(f, NULL);
}

/* As most editors save. */
static void a_file_that_is_renamed_over_another_replaces_it(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", ACCOUNT("a", "1"));
    start(f, NULL, NULL);
    for (int i = 0; i < 20; i++) {
        const char *text = i % 2 ? ACCOUNT("a", "1") : ACCOUNT("a", "2");
        write_text(f, ".a.yaml.tmp", text);
        move(f, ".a.yaml.tmp", "a.yaml");
        await(f, "a", i % 2 ? "1" : "2");
    }
    move(f, "a.yaml", "b.yaml");
    pass(f, "z.yaml");
    expect(f, "a", "1");
    move(f, "b.yaml", "b.off");
    await(f, "a", NULL);
}

static void folders_come_and_go(void **state)
{
    struct fixture *f = *state;
    start(f, NULL, NULL);
    make_folder(f, "sub");
    make_folder(f, "sub/deep");
    write_text(f, "sub/deep/a.yaml", ACCOUNT("a", "1"));
    await(f, "a", "1");
    write_text(f, "sub/deep/a.yaml", ACCOUNT("a", "2"));
    await(f, "a", "2");
    remove_all(f, "sub");
    await(f, "a", NULL);
    make_folder(f, "sub");
    write_text(f, "sub/a.yaml", ACCOUNT("a", "3"));
    await(f, "a", "3");
}

static void a_folder_that_moves_takes_its_files_along(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "root");
    make_folder(f, "root/one");
    write_text(f, "root/one/a.yaml", ACCOUNT("a", "1"));
    start(f, "root", NULL);
    move(f, "root/one", "root/two");
    pass(f, "root/z.yaml");
    expect(f, "a", "1");
    write_text(f, "root/two/a.yaml", ACCOUNT("a", "2"));
    await(f, "a", "2");
    move(f, "root/two", "out");
    await(f, "a", NULL);
    write_text(f, "out/a.yaml", ACCOUNT("a", "3"));
    pass(f, "root/z.yaml");
    expect(f, "a", NULL);
    move(f, "out", "root/one");
    await(f, "a", "3");
    write_text(f, "root/one/a.yaml", ACCOUNT("a", "4"));
    await(f, "a", "4");
    expect_finding(f, NULL);
}

static void folders_too_deep_are_reported(void **state)
{
    struct fixture *f = *state;
    AUTO(free) char *path = mem_strdup("d");
    for (int i = 0; i <= LIMIT_SOURCE_DEPTH; i++) {
        make_folder(f, path);
        char *longer = mem_printf("%s/d", path);
        free(path);
        path = longer;
    }
    start(f, NULL, NULL);
    expect_finding(f, "folders deep");
    remove_all(f, "d");
    await_finding(f, NULL);
}

static void a_root_that_goes_is_reported_until_it_is_back(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "root");
    write_text(f, "root/a.yaml", ACCOUNT("a", "1"));
    start(f, "root", NULL);
    remove_all(f, "root");
    await(f, "a", NULL);
    await_finding(f, "is gone, and with it the objects that it defined; put it back");
    make_folder(f, "root");
    write_text(f, "root/a.yaml", ACCOUNT("a", "2"));
    await(f, "a", "2");
    await_finding(f, NULL);
    write_text(f, "root/a.yaml", ACCOUNT("a", "3"));
    await(f, "a", "3");
}

static void a_root_may_be_one_file(void **state)
{
    struct fixture *f = *state;
    write_text(f, "one", ACCOUNT("a", "1")); /* of any name */
    start(f, "one", NULL);
    expect(f, "a", "1");
    write_text(f, "b.yaml", ACCOUNT("b", "1"));
    write_text(f, "one", ACCOUNT("a", "2"));
    await(f, "a", "2");
    expect(f, "b", NULL);
    write_text(f, "other", ACCOUNT("a", "3"));
    move(f, "other", "one");
    await(f, "a", "3");
    remove_all(f, "one");
    await(f, "a", NULL);
    await_finding(f, "is gone");
    write_text(f, "one", ACCOUNT("a", "4"));
    await(f, "a", "4");
    await_finding(f, NULL);
}

/* --- symbolic links --- */

static void links_are_followed_to_files(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "root");
    make_folder(f, "else");
    write_text(f, "else/a", ACCOUNT("a", "1"));
    make_link(f, "../else/a", "root/a.yaml");
    start(f, "root", NULL);
    expect(f, "a", "1");
    write_text(f, "else/a", ACCOUNT("a", "2"));
    await(f, "a", "2");
    write_text(f, "else/new", ACCOUNT("a", "3"));
    move(f, "else/new", "else/a");
    await(f, "a", "3");
    write_text(f, "else/a", ACCOUNT("a", "4"));
    await(f, "a", "4");
    remove_all(f, "root/a.yaml");
    await(f, "a", NULL);
    expect_finding(f, NULL);
}

static void a_link_whose_file_comes_back_is_read_again(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "root");
    make_folder(f, "else");
    write_text(f, "else/a", ACCOUNT("a", "1"));
    make_link(f, "../else/a", "root/a.yaml");
    start(f, "root", NULL);
    remove_all(f, "else/a");
    await(f, "a", NULL);
    write_text(f, "else/a", ACCOUNT("a", "2"));
    await(f, "a", "2");
}

/* As Kubernetes mounts a ConfigMap: all files change at once when ..data is swapped. */
static void a_mounted_config_map_is_swapped_whole(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "root");
    make_folder(f, "root/..one");
    write_text(f, "root/..one/a.yaml", ACCOUNT("a", "1"));
    make_link(f, "..one", "root/..data");
    make_link(f, "..data/a.yaml", "root/a.yaml");
    start(f, "root", NULL);
    expect(f, "a", "1");
    make_folder(f, "root/..two");
    write_text(f, "root/..two/a.yaml", ACCOUNT("a", "2"));
    make_link(f, "..two", "root/..data_tmp");
    move(f, "root/..data_tmp", "root/..data");
    remove_all(f, "root/..one");
    await(f, "a", "2");
    expect_finding(f, NULL);
}

/* A link to a folder could lead out of the root or into a circle. */
static void links_to_folders_arent_followed(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "root");
    make_folder(f, "else");
    write_text(f, "else/a.yaml", ACCOUNT("a", "1"));
    make_link(f, "../else", "root/else");
    make_link(f, ".", "root/self");
    make_link(f, "../else", "root/else.yaml");
    make_link(f, "loop.yaml", "root/loop.yaml");
    make_link(f, "nowhere", "root/dangling.yaml");
    write_text(f, "root/b.yaml", ACCOUNT("b", "1"));
    start(f, "root", NULL);
    expect(f, "a", NULL);
    expect(f, "b", "1");
}

/* --- files that turn bad --- */

static void a_broken_file_keeps_its_last_good_objects(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", ACCOUNT("a", "1") ACCOUNT("b", "1"));
    write_text(f, "c.yaml", ACCOUNT("c", "1"));
    start(f, NULL, NULL);
    write_text(f, "a.yaml", "metadata: {{{\n");
    await_finding(f, "/a.yaml:1");
    expect(f, "a", "1");
    expect(f, "b", "1");
    /* What is good in a file with errors counts; what it lost may have been in the bad part. */
    write_text(f, "a.yaml", ACCOUNT("a", "2") "---\nkind: Nonsense\n");
    await(f, "a", "2");
    expect_finding(f, "a.yaml:6");
    expect(f, "b", "1");
    write_text(f, "c.yaml", ACCOUNT("c", "2"));
    await(f, "c", "2");
    expect_finding(f, "a.yaml:6");
    write_text(f, "a.yaml", ACCOUNT("a", "2"));
    await(f, "b", NULL);
    expect(f, "a", "2");
    await_finding(f, NULL);
}

static void a_broken_file_that_is_deleted_is_forgotten(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", ACCOUNT("a", "1"));
    start(f, NULL, NULL);
    write_text(f, "a.yaml", "{{{");
    await_finding(f, "a.yaml");
    expect(f, "a", "1");
    remove_all(f, "a.yaml");
    await(f, "a", NULL);
    await_finding(f, NULL);
}

static void a_file_that_is_broken_at_the_start_is_a_finding(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", "kind: [\n");
    write_text(f, "b.yaml", ACCOUNT("b", "1"));
    start(f, NULL, NULL);
    expect(f, "b", "1");
    expect_finding(f, "error: ");
    expect_finding(f, "a.yaml:");
    write_text(f, "a.yaml", ACCOUNT("a", "1"));
    await(f, "a", "1");
    await_finding(f, NULL);
}

static void only_new_findings_are_told(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", "{{{");
    start(f, NULL, NULL);
    pass(f, "z.yaml");
    unsigned before = f->changes;
    write_text(f, "a.yaml", "{{{");
    write_text(f, "y.txt", "");
    pass(f, "z.yaml");
    /* One for the file that was passed, which may have been seen empty first. */
    assert_true(f->changes > before && f->changes <= before + 2);
}

static struct object *account(struct fixture *f, const char *name)
{
    return store_find(f->store, KIND_SERVICE_ACCOUNT, STR("default"), str_of(name));
}

static void what_stays_as_it_was_is_kept_once(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", ACCOUNT("one", "1") ACCOUNT("two", "1"));
    start(f, NULL, NULL);
    struct object *one = account(f, "one");
    write_text(f, "a.yaml", ACCOUNT("one", "1") ACCOUNT("two", "2"));
    await(f, "two", "2");
    assert_ptr_equal(account(f, "one"), one);
    assert_int_equal(atomic_load(&one->ref.n), 2); /* the store's and the file's */
    /* The same objects further down say where they are now. */
    int line = one->line;
    write_text(f, "a.yaml", "# new\n" ACCOUNT("one", "1") ACCOUNT("two", "3"));
    await(f, "two", "3");
    assert_int_equal(account(f, "one")->line, line + 1);
}

/* --- several definitions --- */

static void the_earlier_root_counts(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "first");
    make_folder(f, "second");
    write_text(f, "first/a.yaml", ACCOUNT("a", "first"));
    write_text(f, "second/a.yaml", ACCOUNT("a", "second") ACCOUNT("b", "second"));
    start(f, "first", "second");
    expect(f, "a", "first");
    expect(f, "b", "second");
    write_text(f, "first/b.yaml", ACCOUNT("b", "first"));
    await(f, "b", "first");
    remove_all(f, "first/a.yaml");
    await(f, "a", "second");
    write_text(f, "first/a.yaml", ACCOUNT("a", "again"));
    await(f, "a", "again");
    write_text(f, "second/a.yaml", ACCOUNT("a", "changed") ACCOUNT("c", "1"));
    await(f, "c", "1");
    expect(f, "a", "again");
    expect_finding(f, NULL); /* silently */
}

static void in_one_root_the_first_path_counts(void **state)
{
    struct fixture *f = *state;
    write_text(f, "b.yaml", ACCOUNT("a", "b"));
    start(f, NULL, NULL);
    expect(f, "a", "b");
    write_text(f, "c.yaml", "\n" ACCOUNT("a", "c"));
    await_finding(f, "c.yaml:3: ServiceAccount default/a: is defined before, at ");
    expect_finding(f, "b.yaml:2, and that one counts");
    expect(f, "a", "b");
    write_text(f, "a.yaml", ACCOUNT("a", "a"));
    await(f, "a", "a");
    expect_finding(f, "b.yaml:2: ServiceAccount default/a: is defined before, at ");
    remove_all(f, "a.yaml");
    await(f, "a", "b");
    remove_all(f, "b.yaml");
    await(f, "a", "c");
    await_finding(f, NULL);
}

static void in_one_file_the_first_place_counts(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", ACCOUNT("a", "1") ACCOUNT("a", "2"));
    start(f, NULL, NULL);
    expect(f, "a", "1");
    expect_finding(f, "a.yaml:6");
    write_text(f, "a.yaml", ACCOUNT("a", "2"));
    await(f, "a", "2");
    await_finding(f, NULL);
}

static void a_tombstone_hides_what_later_roots_have(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "first");
    make_folder(f, "second");
    write_text(f, "second/a.yaml", ACCOUNT("a", "1") ACCOUNT("b", "1"));
    write_text(f, "first/a.yaml", TOMBSTONE("a"));
    start(f, "first", "second");
    expect(f, "a", NULL);
    expect(f, "b", "1");
    write_text(f, "second/a.yaml", ACCOUNT("a", "2") ACCOUNT("b", "2"));
    await(f, "b", "2");
    expect(f, "a", NULL);
    write_text(f, "first/b.yaml", TOMBSTONE("b"));
    await(f, "b", NULL);
    remove_all(f, "first/a.yaml");
    await(f, "a", "2");
    write_text(f, "first/b.yaml", ACCOUNT("b", "3"));
    await(f, "b", "3");
    expect_finding(f, NULL);
}

/* --- digests --- */

static uint64_t digest_of(const struct fixture *f, const char *name, const char *text)
{
    AUTO(free) char *path = in(f, name);
    return manifest_digest(path, str_of(text));
}

static void digests_tell_what_was_read(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "first");
    make_folder(f, "second");
    write_text(f, "first/a.yaml", ACCOUNT("a", "1"));
    write_text(f, "first/b.yaml", "{{{"); /* broken ones are read, too */
    start(f, "first", "second");
    uint64_t a = digest_of(f, "first/a.yaml", ACCOUNT("a", "1"));
    uint64_t b = digest_of(f, "first/b.yaml", "{{{");
    assert_int_equal(dir_source_digest(f->source, 0), a + b);
    assert_int_equal(dir_source_digest(f->source, 1), 0);

    write_text(f, "first/a.yaml", ACCOUNT("a", "2"));
    await(f, "a", "2");
    assert_int_equal(dir_source_digest(f->source, 0),
                     digest_of(f, "first/a.yaml", ACCOUNT("a", "2")) + b);
    remove_all(f, "first/b.yaml");
    await_finding(f, NULL);
    assert_int_equal(dir_source_digest(f->source, 0),
                     digest_of(f, "first/a.yaml", ACCOUNT("a", "2")));
    remove_all(f, "first/a.yaml");
    await(f, "a", NULL);
    assert_int_equal(dir_source_digest(f->source, 0), 0);
    assert_int_equal(dir_source_digest(f->source, 1), 0);
}

static bool digest_is_from(struct fixture *f, const char *name, const char *text)
{
    return dir_source_digest(f->source, 0) == digest_of(f, name, text);
}

/* Whoever waits until a file was seen must not wait for ever when it says nothing new. */
static void a_file_that_says_the_same_in_other_words_has_another_digest(void **state)
{
    struct fixture *f = *state;
    write_text(f, "a.yaml", ACCOUNT("a", "1"));
    start(f, NULL, NULL);
    write_text(f, "a.yaml", "# the same\n" ACCOUNT("a", "1"));
    until(f, digest_is_from, "a.yaml", "# the same\n" ACCOUNT("a", "1"));
    assert_true(digest_is_from(f, "a.yaml", "# the same\n" ACCOUNT("a", "1")));
    expect(f, "a", "1");
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(all_is_read_before_start_returns),
        WITH_FOLDER(other_names_are_passed_over),
        WITH_FOLDER(a_missing_root_is_an_error),
        WITH_FOLDER(a_fifo_is_no_root),
        WITH_FOLDER(what_isnt_a_file_is_passed_over),
        WITH_FOLDER(files_appear_change_and_go),
        WITH_FOLDER(an_emptied_file_defines_nothing),
        WITH_FOLDER(a_file_that_is_renamed_over_another_replaces_it),
        WITH_FOLDER(folders_come_and_go),
        WITH_FOLDER(a_folder_that_moves_takes_its_files_along),
        WITH_FOLDER(folders_too_deep_are_reported),
        WITH_FOLDER(a_root_that_goes_is_reported_until_it_is_back),
        WITH_FOLDER(a_root_may_be_one_file),
        WITH_FOLDER(links_are_followed_to_files),
        WITH_FOLDER(a_link_whose_file_comes_back_is_read_again),
        WITH_FOLDER(a_mounted_config_map_is_swapped_whole),
        WITH_FOLDER(links_to_folders_arent_followed),
        WITH_FOLDER(a_broken_file_keeps_its_last_good_objects),
        WITH_FOLDER(a_broken_file_that_is_deleted_is_forgotten),
        WITH_FOLDER(a_file_that_is_broken_at_the_start_is_a_finding),
        WITH_FOLDER(only_new_findings_are_told),
        WITH_FOLDER(what_stays_as_it_was_is_kept_once),
        WITH_FOLDER(the_earlier_root_counts),
        WITH_FOLDER(in_one_root_the_first_path_counts),
        WITH_FOLDER(in_one_file_the_first_place_counts),
        WITH_FOLDER(a_tombstone_hides_what_later_roots_have),
        WITH_FOLDER(digests_tell_what_was_read),
        WITH_FOLDER(a_file_that_says_the_same_in_other_words_has_another_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
