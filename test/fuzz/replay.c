/* Runs a fuzz target over files (or all files of folders) named as arguments, so that the corpus is
 * part of the normal test run. Linked with each target where libFuzzer isn't. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FILE_MAX_BYTES (16u << 20)

static int replay_file(const char *path)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        buf_add(&text, chunk, n);
    }
    fclose(f);
    if (buf_full(&text)) {
        fprintf(stderr, "%s: larger than %u bytes\n", path, FILE_MAX_BYTES);
        return -1;
    }
    /* An exact copy, so that AddressSanitizer sees a read past the end. */
    AUTO(free) char *exact = mem_memdup(text.data ? text.data : "", text.len);
    char *input = mem_realloc(TAKE(exact), text.len);
    printf("%s (%zu bytes)\n", path, text.len);
    fflush(stdout);
    LLVMFuzzerTestOneInput((const uint8_t *)input, text.len);
    free(input);
    return 1;
}

/* How many files were replayed, or -1. */
static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode)) {
        return replay_file(path);
    }
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        return -1;
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) && count >= 0;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        AUTO(free) char *inner = mem_printf("%s/%s", path, entry->d_name);
        int n = replay(inner);
        count = n < 0 ? -1 : count + n;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);
        if (n < 0) {
            return 1;
        }
        count += n;
    }
    if (count == 0) {
        fprintf(stderr, "no input: name files or folders\n");
        return 1;
    }
    printf("%d inputs replayed\n", count);
    return 0;
}
