/* The manifests of test/data: good ones are read without an error, bad ones not; exactly what the
 * text beside them says is found. The folder is the first argument. */
#include "kinds_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static const char *data_dir;

static char *read_whole(const char *path)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    FILE *f = fopen(path, "rb");
    if (!f) {
        fail_msg("%s: can't be opened", path);
    }
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        buf_add(&b, chunk, n);
    }
    fclose(f);
    buf_addz(&b, "");
    return b.data ? buf_take(&b) : mem_strdup("");
}

static int is_manifest(const struct dirent *e)
{
    return str_ends(str_of(e->d_name), ".yaml");
}

static void each_manifest(const char *folder, void (*fn)(const char *dir, const char *name))
{
    char *dir = mem_printf("%s/%s", data_dir, folder);
    struct dirent **list;
    int n = scandir(dir, &list, is_manifest, alphasort);
    assert_true(n >= 4);
    for (int i = 0; i < n; i++) {
        fn(dir, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    free(dir);
}

static struct reading_result read_file(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name), *text = read_whole(path);
    struct reading_result r = read_text(text, name);
    free(text);
    free(path);
    return r;
}

/* What the text beside the manifest says; a good one without any is read without a word. */
static char *expected_findings(const char *dir, const char *name, int optional)
{
    char *path = mem_printf("%s/%.*s.txt", dir, (int)(strlen(name) - 5), name);
    char *text = optional && access(path, F_OK) < 0 ? mem_strdup("") : read_whole(path);
    free(path);
    return text;
}

static void check_good(const char *dir, const char *name)
{
    struct reading_result r = read_file(dir, name);
    char *expected = expected_findings(dir, name, 1);
    assert_string_equal(r.findings, expected);
    free(expected);
    assert_int_equal(r.status, 0);
    assert_true(r.objects.len > 0);
    for (size_t i = 0; i < r.objects.len; i++) {
        assert_true(r.objects.at[i]->line > 0);
        assert_true(str_is(r.objects.at[i]->file, name));
    }
    reading_done(&r);
}

static void good_manifests(void **state)
{
    each_manifest("good", check_good);
}

static void check_bad(const char *dir, const char *name)
{
    struct reading_result r = read_file(dir, name);
    char *expected = expected_findings(dir, name, 0);
    assert_string_equal(r.findings, expected);
    assert_int_equal(r.status, -1);
    free(expected);
    reading_done(&r);
}

static void bad_manifests(void **state)
{
    each_manifest("bad", check_bad);
}

int main(int argc, char **argv)
{
    data_dir = argc > 1 ? argv[1] : "test/data";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_manifests),
        cmocka_unit_test(bad_manifests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
