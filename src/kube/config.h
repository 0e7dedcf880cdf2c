/* Where the API server is, and who we are to it.
 *
 * From kubeconfig files as kubectl reads them (https://kubernetes.io/docs/concepts/configuration/
 * organize-cluster-access-kubeconfig/): the path given, else the list in $KUBECONFIG (merged, the
 * first to set a value wins), else ~/.kube/config; in a pod without any of these, from the service
 * account's files below /var/run/secrets/kubernetes.io/serviceaccount. Client certificates, tokens
 * and token files (read again when they change), basic auth, exec plugins (run again when their
 * credential expires), proxy-url, tls-server-name, insecure-skip-tls-verify, impersonation. */
#ifndef OSM_KUBE_CONFIG_H
#define OSM_KUBE_CONFIG_H

#include "base/err.h"

struct kube_config;

struct kube_config_options {
    const char *kubeconfig; /* one file; NULL: as above */
    const char *context;    /* NULL: current-context */
};

/* Errors name the file and the field, and say what to do: no file at all, a context that isn't
 * there (with those that are), a certificate that can't be read... */
int kube_config_load(const struct kube_config_options *options, struct kube_config **ret,
                     struct err *e);
void kube_config_free(struct kube_config *c);

const char *kube_config_server(const struct kube_config *c);    /* "https://10.96.0.1:443" */
const char *kube_config_context(const struct kube_config *c);   /* "in-cluster" in a pod */
const char *kube_config_namespace(const struct kube_config *c); /* "default" when none is set */

#endif
