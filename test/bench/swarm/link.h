/* The connection of one proxy: TCP, mutual TLS, HTTP/2, one gRPC call. All on one thread. */
#ifndef BENCH_SWARM_LINK_H
#define BENCH_SWARM_LINK_H

#include <netinet/in.h>

#include "certs.h"
#include "proxy.h"

struct link;

struct link_options {
    struct sockaddr_in address;
    SSL_CTX *tls;
    bool resume; /* with the session of the connection before */
    bool bare;   /* no HTTP/2: counts what comes, for the floor */
    /* Of a bare one: each time that so many bytes have come it says so many. */
    size_t push_bytes, answer_bytes;
    /* Each response, after the proxy took it; and once when the controller has read what a
     * new connection began with. */
    void (*on_response)(void *arg, struct link *l);
    /* Not by link_close; the error says why. */
    void (*on_lost)(void *arg, struct link *l, const char *why);
    void *arg;
};

/* All share the options, which outlive them. */
struct link *link_new(const struct link_options *o, struct proxy *p, struct credential *c,
                      int index);
void link_free(struct link *l);
int link_index(const struct link *l);
uint64_t link_bytes(const struct link *l); /* received on its last connection, after TLS */
uint16_t link_port(const struct link *l);  /* its own; 0: it has no connection */

void link_open(struct link *l);
void link_close(struct link *l);
/* The next connection shakes hands in full: another workload is in its place. */
void link_forget_session(struct link *l);
bool link_is_open(const struct link *l); /* connected, encrypted */
/* All keep their answers back until they may go: what a push costs by itself. */
void link_hold_answers(bool hold);
/* How it takes what comes. */
enum link_manner {
    LINK_READS,
    LINK_LEAVES,    /* asks, then reads nothing; its socket has room for LINK_ROOM bytes */
    LINK_NO_WINDOW, /* reads, and never grants more than the LINK_WINDOW bytes it began with */
};
enum { LINK_ROOM = 2048, LINK_WINDOW = 64 };
/* From its next connection on; that it reads, also on the one that it has. */
void link_set_manner(struct link *l, enum link_manner manner);

/* Handles what is ready; waits at most ms for it. Answers leave after everything was read. */
void link_poll(int64_t ms);
/* Responses' bytes of all links. */
uint64_t link_bytes_total(void);

#endif
