/* kubeconfig files as they are written; config.c makes of them what a client uses. */
#ifndef OSM_KUBE_KUBECONFIG_H
#define OSM_KUBE_KUBECONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "doc/fields.h"

struct kubeconfig_strs {
    struct str *at;
    size_t len;
};

/* Paths are relative to the file's folder until kubeconfig_read makes them whole. */
struct kubeconfig_cluster {
    struct str server, ca_file, ca_data, server_name, proxy;
    bool insecure;
};

struct kubeconfig_env {
    struct str name, value;
};

struct kubeconfig_exec {
    struct str api_version, command, install_hint, interactive;
    struct kubeconfig_strs args;
    struct {
        struct kubeconfig_env *at;
        size_t len;
    } env;
    bool provide_cluster;
};

struct kubeconfig_user {
    struct str cert_file, cert_data, key_file, key_data;
    struct str token, token_file, username, password;
    struct str as, as_uid;
    struct kubeconfig_strs as_groups;
    const struct value *as_extra;      /* header name -> list of values */
    const struct value *auth_provider; /* of old: refused */
    struct kubeconfig_exec *exec;      /* NULL: none */
};

struct kubeconfig_context {
    struct str cluster, user, namespace;
};

/* An entry of one of the three lists. */
struct kubeconfig_entry {
    struct str name;
    struct kubeconfig_cluster *cluster;
    struct kubeconfig_user *user;
    struct kubeconfig_context *context;
    const char *file; /* where it was found */
};

struct kubeconfig_entries {
    struct kubeconfig_entry *at;
    size_t len;
};

struct kubeconfig {
    struct str current_context;
    const char *current_file; /* which said so */
    struct kubeconfig_entries clusters, users, contexts;
};

/* Reads a file and adds what it has and `k` hasn't: the first to say something wins. 0; 1 when
 * there is no such file; -1 with e. Everything lives in `a`. */
int kubeconfig_read(struct arena *a, const char *path, struct kubeconfig *k, struct err *e);
const struct kubeconfig_entry *kubeconfig_find(const struct kubeconfig_entries *list,
                                               struct str name);

#endif
