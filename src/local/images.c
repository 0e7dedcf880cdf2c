/* Which program of this machine stands for a container's image. */
#include <string.h>

#include "inject/names.h"
#include "local/images.h"
#include "local/process.h"

int images_add(struct images *i, const char *text, struct err *e)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || equals[1] == '\0') {
        return err_set(e,
                       "--image: expected NAME=COMMAND such as example/app:1=/usr/bin/app, found "
                       "\"%s\"",
                       text);
    }
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct strs words;
    if (images_split(a, str_of(equals + 1), &words, e) < 0) {
        return err_wrap(e, "--image %.*s", (int)(equals - text), text);
    }
    struct image_command new = {mem_printf("%.*s", (int)(equals - text), text),
                                mem_strdup(equals + 1)};
    VEC_EACH(i->list, old) {
        if (strcmp(old->image, new.image) == 0) {
            free(old->image);
            free(old->command);
            *old = new;
            return 0;
        }
    }
    VEC_PUSH(i->list, new);
    return 0;
}

void images_done(struct images *i)
{
    VEC_EACH(i->list, c) {
        free(c->image);
        free(c->command);
    }
    VEC_DONE(i->list);
}

int images_split(struct arena *a, struct str command, struct strs *ret, struct err *e)
{
    char *out = arena_alloc(a, command.len * 2 + 2);
    struct str *words = arena_array(a, command.len + 1, sizeof(*words));
    size_t n = 0;
    bool in_word = false;
    char quote = '\0';
    char *start = out;
    for (size_t i = 0; i < command.len; i++) {
        char c = command.ptr[i];
        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? '\0' : c;
            in_word = true;
        } else if (c == '\\' && quote != '\'' && i + 1 < command.len) {
            *out++ = command.ptr[++i];
            in_word = true;
        } else if (!quote && (c == ' ' || c == '\t')) {
            if (in_word) {
                words[n++] = (struct str){start, (size_t)(out - start)};
                *out++ = '\0';
                start = out;
                in_word = false;
            }
        } else {
            *out++ = c;
            in_word = true;
        }
    }
    if (quote) {
        return err_set(e, "expected a closing %c in \"%.*s\"", quote, STR_ARG(command));
    }
    if (in_word) {
        words[n++] = (struct str){start, (size_t)(out - start)};
    }
    ret->at = words;
    ret->len = n;
    return 0;
}

/* "registry:5000/app:1@sha256:..." without digest and tag. */
static struct str image_base(struct str image)
{
    struct str base, rest;
    str_cut(image, '@', &base, &rest);
    for (size_t i = base.len; i-- > 0 && base.ptr[i] != '/';) {
        if (base.ptr[i] == ':') {
            return (struct str){base.ptr, i};
        }
    }
    return base;
}

static const struct image_command *find(const struct images *i, struct str image)
{
    VEC_EACH(i->list, c) {
        if (str_is(image, c->image)) {
            return c;
        }
    }
    VEC_EACH(i->list, c) {
        if (str_is(image_base(image), c->image)) {
            return c;
        }
    }
    return NULL;
}

static struct strs concat(struct arena *a, struct strs x, struct strs y)
{
    struct strs both = {arena_array(a, x.len + y.len, sizeof(struct str)), x.len + y.len};
    for (size_t i = 0; i < both.len; i++) {
        both.at[i] = i < x.len ? x.at[i] : y.at[i - x.len];
    }
    return both;
}

static struct strs rest_of(struct strs s)
{
    return s.len > 0 ? (struct strs){s.at + 1, s.len - 1} : s;
}

static int no_command(const struct container *c, struct err *e)
{
    return err_set(e,
                   "image \"%.*s\" has no command here: give one with --image "
                   "%.*s=/path/to/program",
                   STR_ARG(c->image), STR_ARG(c->image));
}

int images_argv(struct arena *a, const struct images *i, const char *envoy, const struct pod *pod,
                const struct container *c, struct strs *ret, struct err *e)
{
    const struct image_command *given = find(i, c->image);
    bool sidecar = str_is(c->name, SIDECAR_CONTAINER) &&
                   pairs_find(&pod->object.meta.labels, LABEL_PROXY_UUID);
    struct strs argv = {0};
    if (sidecar) {
        argv = (struct strs){arena_array(a, 1, sizeof(struct str)), 1};
        argv.at[0] = arena_strz(a, envoy);
    } else if (given) {
        if (images_split(a, str_of(given->command), &argv, e) < 0) {
            return err_wrap(e, "--image %s", given->image);
        }
    } else if (c->command.len > 0) {
        argv = (struct strs){arena_array(a, 1, sizeof(struct str)), 1};
        argv.at[0] = c->command.at[0];
    }
    AUTO(free) char *command = argv.len > 0 ? mem_printf("%.*s", STR_ARG(argv.at[0])) : NULL;
    AUTO(free) char *path = command ? process_find(command) : NULL;
    if (!path) {
        return given ? err_set(e,
                               "--image %s: expected a program on this machine, found no "
                               "executable file \"%s\"",
                               given->image, command ? command : "")
                     : no_command(c, e);
    }
    argv.at[0] = arena_strz(a, path);
    *ret = concat(a, concat(a, argv, rest_of(c->command)), c->args);
    return 0;
}
