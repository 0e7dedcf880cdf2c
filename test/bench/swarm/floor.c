/* The floor: threads that do nothing but TLS. */
#include "floor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/vec.h"
#include "certs.h"

#define EVENTS 256

enum { MAX_WORKERS = 64 };

struct worker {
    struct floor *floor;
    pthread_t thread;
    int listen_fd, epoll_fd;
    VEC(SSL *) ready;
    sem_t go;
};

/* In memory that both processes see. */
struct floor {
    pid_t pid;
    int n_workers, connections;
    uint16_t port;
    SSL_CTX *tls;
    _Atomic int n_ready;
    size_t bytes; /* to write next */
    bool answers;
    _Atomic int n_unwritten; /* connections that are to get them yet; below 0 in the end */
    _Atomic int n_busy;
    struct worker workers[MAX_WORKERS];
};

static int listen_on(uint16_t *port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    ASSERT(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 4096) == 0 &&
           getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void accept_all(struct worker *w)
{
    int fd, one = 1;
    while ((fd = accept4(w->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        SSL *ssl = SSL_new(w->floor->tls);
        ASSERT(ssl && SSL_set_fd(ssl, fd) == 1);
        SSL_set_accept_state(ssl);
        SSL_set_read_ahead(ssl, 1);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = ssl};
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

static void go_on(struct worker *w, SSL *ssl)
{
    if (SSL_do_handshake(ssl) == 1) {
        VEC_PUSH(w->ready, ssl);
        w->floor->n_ready++;
    }
}

static void accept_and_shake(struct worker *w)
{
    struct epoll_event events[EVENTS];
    while (w->floor->n_ready < w->floor->connections) {
        int n = epoll_wait(w->epoll_fd, events, EVENTS, 20);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                go_on(w, events[i].data.ptr);
            } else {
                accept_all(w);
            }
        }
    }
}

static void write_whole(SSL *ssl, const char *data, size_t len)
{
    size_t n = 0;
    for (size_t sent = 0; sent < len; sent += n) {
        n = 0;
        if (SSL_write_ex(ssl, data + sent, len - sent, &n) != 1) {
            struct pollfd p = {.fd = SSL_get_fd(ssl), .events = POLLOUT};
            poll(&p, 1, 1000);
        }
    }
}

static size_t write_share(struct worker *w, const char *data)
{
    size_t n = 0;
    while (n < w->ready.len && w->floor->n_unwritten-- > 0) {
        write_whole(w->ready.at[n++], data, w->floor->bytes);
    }
    return n;
}

static void take_answers(struct worker *w, size_t missing)
{
    struct epoll_event events[EVENTS];
    while (missing > 0) {
        int n = epoll_wait(w->epoll_fd, events, EVENTS, 1000);
        for (int i = 0; i < n; i++) {
            char bytes[1024];
            size_t len;
            missing -= events[i].data.ptr &&
                       SSL_read_ex(events[i].data.ptr, bytes, sizeof(bytes), &len) == 1;
        }
    }
}

static void *run(void *arg)
{
    struct worker *w = arg;
    accept_and_shake(w);
    AUTO(free) char *data = NULL;
    for (;;) {
        while (sem_wait(&w->go) < 0) {
        }
        free(data);
        data = mem_zalloc(w->floor->bytes);
        size_t n = write_share(w, data);
        if (w->floor->answers) {
            take_answers(w, n);
        }
        w->floor->n_busy--;
    }
    return NULL;
}

static void worker_init(struct floor *f, struct worker *w)
{
    w->floor = f;
    w->listen_fd = listen_on(&f->port);
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sem_init(&w->go, 1, 0);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->listen_fd, &e);
}

static void run_workers(struct floor *f)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < f->n_workers; i++) {
        ASSERT(pthread_create(&f->workers[i].thread, NULL, run, &f->workers[i]) == 0);
    }
    for (;;) {
        pause();
    }
}

struct floor *floor_start(int threads, int connections, uint16_t *ret_port)
{
    struct floor *f =
        mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(f != MAP_FAILED && threads <= MAX_WORKERS);
    f->n_workers = threads;
    f->connections = connections;
    f->tls = certs_server_context();
    for (int i = 0; i < threads; i++) {
        worker_init(f, &f->workers[i]);
    }
    pid_t pid = fork();
    if (pid == 0) {
        run_workers(f);
    }
    f->pid = pid;
    for (int i = 0; i < threads; i++) {
        close(f->workers[i].listen_fd);
        close(f->workers[i].epoll_fd);
    }
    *ret_port = f->port;
    return f;
}

bool floor_connected(const struct floor *f)
{
    return f->n_ready >= f->connections;
}

pid_t floor_pid(const struct floor *f)
{
    return f->pid;
}

bool floor_idle(const struct floor *f)
{
    return f->n_busy == 0;
}

void floor_write(struct floor *f, int connections, size_t bytes, bool answers)
{
    f->n_unwritten = connections;
    f->bytes = bytes;
    f->answers = answers;
    f->n_busy = f->n_workers;
    for (int i = 0; i < f->n_workers; i++) {
        sem_post(&f->workers[i].go);
    }
}

void floor_free(struct floor *f)
{
    kill(f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
    SSL_CTX_free(f->tls);
    munmap(f, sizeof(*f));
}
