/* The mesh's root in its Secret: made by the first who needs it, loaded by all others, followed
 * while they run. Controllers and injectors use it alike. */
#ifndef OSM_DAEMON_CA_H
#define OSM_DAEMON_CA_H

#include "cert/cert.h"
#include "daemon/flags.h"
#include "kube/client.h"

/* Loads the root from the Secret that the flags name, or makes both when there is none. Two that do
 * so at once end with the same root: the one whose creation is refused loads the other's. A Secret
 * that is broken or whose root has expired is an error that says what to do, never a reason for a
 * new root, which would lock out every sidecar. Blocks; keeps trying for CA_PATIENCE_MS while the
 * API server can't answer. */
#define CA_PATIENCE_MS 30000
int ca_load_or_create(struct kube_client *client, const struct daemon_flags *flags, int64_t now,
                      struct issuer **ret, struct err *e);

/* Keeps an issuer like the Secret. When somebody changes the Secret, its roots are trusted at once.
 * CA_TRUST_MS later, when sidecars have heard of them (the kubelet takes up to 90 s to put a
 * changed Secret into a pod), its first root signs. After CA_OVERLAP_MS more, when what the old one
 * signed has been replaced, only what is in the Secret is trusted. To rotate so that also restarts
 * in between harm nobody, keep both roots in ca.crt for that time. A Secret that is gone or that
 * can't be used changes nothing. */
#define CA_TRUST_MS 120000
#define CA_OVERLAP_MS 600000
struct ca_follower;

struct ca_follow_options {
    struct loop *loop;
    /* On the loop; NULL: only ca_offer and ca_offer_file tell what the roots are. */
    struct kube_client *client;
    const struct daemon_flags *flags;
    struct issuer *issuer;
    int64_t trust_ms, overlap_ms; /* 0: as above */
    void (*on_change)(void *arg); /* the issuer trusts others or signs with another root now */
    /* What is wrong with the Secret; once for each problem. NULL: it is right again. */
    void (*on_problem)(void *arg, const char *problem);
    void *arg;
};

struct ca_follower *ca_follow(const struct ca_follow_options *options);
void ca_follower_free(struct ca_follower *f);
/* What is in the Secret now; NULL: it is gone. */
void ca_offer(struct ca_follower *f, const struct value *secret);
/* The same of a file, when it isn't the one that it was. */
void ca_offer_file(struct ca_follower *f, const char *path);

#endif
