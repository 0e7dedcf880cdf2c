/* What this program was built from: the only file that is compiled again for each commit. */
#include "observe/build_info.h"

#include "doc/value.h"
#include "observe/commit.h"

const char *build_version(void)
{
    return OSM_VERSION;
}

const char *build_commit(void)
{
    return commit_and_date[0];
}

const char *build_date(void)
{
    return commit_and_date[1];
}

void build_info_write(struct buf *out)
{
    AUTO(arena_free) struct arena *a = arena_new(512);
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "version", value_new_string(a, str_of(build_version())));
    value_set(a, v, "git_commit", value_new_string(a, str_of(build_commit())));
    value_set(a, v, "build_date", value_new_string(a, str_of(build_date())));
    value_write_json(v, out);
}
