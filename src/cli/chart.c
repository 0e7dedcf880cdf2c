/* The chart that osm carries, in a private folder for as long as helm needs it. */
#include "cli/chart.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "local/state.h"

int chart_open(const char *path, struct chart *ret, struct err *e)
{
    if (path && path[0]) {
        char *absolute = realpath(path, NULL);
        if (!absolute) {
            return err_errno(
                e, "--osm-chart-path: expected a chart's folder or archive, found \"%s\"", path);
        }
        *ret = (struct chart){.path = absolute};
        return 0;
    }
    const char *tmp = getenv("TMPDIR");
    char *folder = mem_printf("%s/osm-chart-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(folder)) {
        err_errno(e, "can't make a folder like %s", folder);
        free(folder);
        return -1;
    }
    *ret = (struct chart){.path = mem_printf("%s/osm.tgz", folder), .folder = folder};
    return state_write(ret->path, (struct str){(const char *)chart_data, chart_data_bytes}, 0600,
                       e);
}

void chart_done(struct chart *c)
{
    if (c->folder) {
        unlink(c->path);
        rmdir(c->folder);
    }
    free(c->path);
    free(c->folder);
    *c = (struct chart){0};
}
