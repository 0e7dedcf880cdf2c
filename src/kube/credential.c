/* Who we are, request by request: files that rotate, plugins whose credentials expire. */
#include <string.h>

#include "base/limits.h"
#include "kube/internal.h"

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file that is gone or broken leaves what was read before: a rotation may be under way. */
static int refresh(struct kube_text *t, struct err *e)
{
    struct stat now;
    char *text;
    size_t len;
    struct err why = ERR_INIT;
    if (!t->path || (t->text && (stat(t->path, &now) < 0 || same_file(&now, &t->seen)))) {
        return 0;
    }
    if (kube_read_file(t->path, LIMIT_CREDENTIAL_BYTES, &text, &len, &now, &why) < 0) {
        return t->text ? 0 : err_set(e, "%s: %s", t->what, why.text);
    }
    if (t->text) {
        explicit_bzero(t->text, t->len);
    }
    free(t->text);
    t->text = text;
    t->len = len;
    t->seen = now;
    return 0;
}

bool kube_config_needs_plugin(const struct kube_config *c, int64_t now)
{
    bool expired = c->plugin.expires_at > 0 && now >= c->plugin.expires_at;
    return c->user.exec && (!c->plugin_ran || expired);
}

void kube_config_take_plugin(struct kube_config *c, struct kube_plugin_credential fresh)
{
    kube_plugin_done(&c->plugin);
    c->plugin = fresh;
    c->plugin_ran = true;
}

int kube_config_renew(struct kube_config *c, int64_t now, struct err *e)
{
    struct kube_plugin_credential fresh = {0};
    if (!kube_config_needs_plugin(c, now)) {
        return 0;
    }
    if (kube_plugin_run(c, &fresh, e) < 0) {
        return -1;
    }
    kube_config_take_plugin(c, fresh);
    return 0;
}

static void add_header(struct kube_config *c, const char *name, struct str value)
{
    VEC_PUSH(c->headers, mem_printf("%s: %.*s", name, STR_ARG(value)));
}

/* A header holds one line; what a token file has after that would be another header. */
static bool one_line(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) {
            return false;
        }
    }
    return s.len > 0;
}

static int add_authorization(struct kube_config *c, struct err *e)
{
    struct str token = str_trim((struct str){c->token.text, c->token.len});
    const char *where = c->token.path ? c->token.path : "token";
    if (c->plugin.token) {
        token = str_trim(str_of(c->plugin.token));
        where = c->user.exec->command.ptr;
    }
    if (c->token.path || token.len > 0) {
        if (!one_line(token)) {
            return err_set(e, "%s: expected a token on one line, found %s", where,
                           token.len ? "several" : "nothing");
        }
        VEC_PUSH(c->headers, mem_printf("Authorization: Bearer %.*s", STR_ARG(token)));
    } else if (c->basic) {
        VEC_PUSH(c->headers, mem_strdup(c->basic));
    }
    return 0;
}

static int check_impersonation(const struct kubeconfig_user *u, struct err *e)
{
    bool clean = u->as.len == 0 || one_line(u->as);
    for (size_t i = 0; i < u->as_groups.len; i++) {
        clean = clean && one_line(u->as_groups.at[i]);
    }
    clean = clean && (u->as_uid.len == 0 || one_line(u->as_uid));
    return clean ? 0 : err_set(e, "as, as-uid, as-groups: expected names on one line");
}

static void add_extra(struct kube_config *c, const struct member *m)
{
    AUTO(free) char *key = mem_memdup(m->key.ptr, m->key.len);
    AUTO(free) char *encoded = http_encode(key);
    AUTO(free) char *name = mem_printf("Impersonate-Extra-%s", encoded);
    for (size_t i = 0; i < value_len(&m->value); i++) {
        const struct value *v = &m->value.array.at[i];
        if (v->type == VALUE_STRING && one_line(v->string)) {
            add_header(c, name, v->string);
        }
    }
}

static int add_impersonation(struct kube_config *c, struct err *e)
{
    const struct kubeconfig_user *u = &c->user;
    if (check_impersonation(u, e) < 0) {
        return -1;
    }
    if (u->as.len > 0) {
        add_header(c, "Impersonate-User", u->as);
    }
    if (u->as_uid.len > 0) {
        add_header(c, "Impersonate-Uid", u->as_uid);
    }
    for (size_t i = 0; i < u->as_groups.len; i++) {
        add_header(c, "Impersonate-Group", u->as_groups.at[i]);
    }
    for (size_t i = 0; u->as_extra && i < u->as_extra->object.len; i++) {
        add_extra(c, &u->as_extra->object.at[i]);
    }
    return 0;
}

static void clear_headers(struct kube_config *c)
{
    VEC_EACH(c->headers, h) {
        if (*h) {
            explicit_bzero(*h, strlen(*h));
        }
        free(*h);
    }
    c->headers.len = 0;
}

static struct str text_of(const struct kube_text *t)
{
    return (struct str){t->text, t->len};
}

int kube_config_credentials(struct kube_config *c, struct kube_credentials *ret, struct err *e)
{
    if (refresh(&c->ca, e) < 0 || refresh(&c->cert, e) < 0 || refresh(&c->key, e) < 0 ||
        refresh(&c->token, e) < 0) {
        return -1;
    }
    clear_headers(c);
    if (add_authorization(c, e) < 0 || add_impersonation(c, e) < 0) {
        return -1;
    }
    VEC_PUSH(c->headers, NULL);
    bool plugin_cert = c->plugin.cert && c->plugin.key;
    *ret = (struct kube_credentials){
        .tls = {.ca = text_of(&c->ca),
                .cert = plugin_cert ? str_of(c->plugin.cert) : text_of(&c->cert),
                .key = plugin_cert ? str_of(c->plugin.key) : text_of(&c->key),
                .server_name = c->cluster.server_name.ptr,
                .insecure = c->cluster.insecure},
        .headers = (const char *const *)c->headers.at};
    return 0;
}

bool kube_config_refused(struct kube_config *c)
{
    struct stat now;
    bool other =
        c->token.path && stat(c->token.path, &now) == 0 && !same_file(&now, &c->token.seen);
    bool plugin = c->user.exec && c->plugin_ran;
    c->plugin_ran = false;
    return other || plugin;
}
