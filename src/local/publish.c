/* A folder of documents that follows a set. */
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"
#include "local/publish.h"
#include "local/state.h"
#include "source/manifest.h"

struct published {
    uint64_t hash, digest;
    unsigned round;
    bool failed;
};

/* File names are at most 255 bytes; longer objects' names are cut and told apart by their hash. */
enum { FILE_NAME_MAX = 200 };

void publisher_init(struct publisher *p, const char *folder)
{
    *p = (struct publisher){.folder = mem_strdup(folder)};
}

void publisher_done(struct publisher *p)
{
    map_done(&p->files, free);
    free(p->folder);
    p->folder = NULL;
}

struct str publisher_file(struct arena *a, const struct value *document)
{
    struct str kind = value_string_at(document, "kind");
    struct str ns = value_string_at(document, "metadata.namespace");
    struct str name = value_string_at(document, "metadata.name");
    struct str full = arena_printf(a, "%.*s_%.*s_%.*s", STR_ARG(kind), STR_ARG(ns), STR_ARG(name));
    if (full.len <= FILE_NAME_MAX) {
        return arena_printf(a, "%s.json", full.ptr);
    }
    return arena_printf(a, "%.*s_%016llx.json", FILE_NAME_MAX, full.ptr,
                        (unsigned long long)hash_str(full));
}

void publisher_begin(struct publisher *p)
{
    p->round++;
}

void publisher_put(struct publisher *p, const struct value *document, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct str file = publisher_file(a, document);
    struct published *known = map_find(&p->files, file);
    uint64_t hash = value_hash(document);
    if (!known) {
        known = NEW(struct published);
        known->failed = true;
        map_put(&p->files, file, known);
    }
    known->round = p->round;
    if (!known->failed && known->hash == hash) {
        return;
    }
    struct buf out;
    buf_init(&out, LIMIT_DOC_BYTES);
    value_write_json(document, &out);
    buf_addc(&out, '\n');
    AUTO(free) char *path = mem_printf("%s/%s", p->folder, file.ptr);
    known->failed = buf_full(&out)
                        ? err_set(e, "%s: expected at most %u bytes", path, LIMIT_DOC_BYTES) < 0
                        : state_write(path, buf_str(&out), 0600, e) < 0;
    known->hash = hash;
    p->digest -= known->digest;
    known->digest = known->failed ? 0 : manifest_digest(path, buf_str(&out));
    p->digest += known->digest;
    buf_done(&out);
}

int publisher_end(struct publisher *p, struct err *e)
{
    int result = 0;
    MAP_EACH(&p->files, it) {
        struct published *f = it.value;
        if (f->round != p->round) {
            AUTO(free) char *path = mem_printf("%s/%.*s", p->folder, STR_ARG(it.key));
            unlink(path);
            p->digest -= f->digest;
            free(map_remove(&p->files, it.key));
        } else if (f->failed) {
            result = -1;
        }
    }
    return result < 0 && e->text[0] == '\0' ? err_set(e, "can't write below %s", p->folder)
                                            : result;
}
