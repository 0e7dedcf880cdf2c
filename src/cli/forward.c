/* A port of a pod, through `kubectl port-forward`. */
#include "cli/forward.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "net/http_client.h"

enum { START_MS = 30000, ASK_MS = 30000 };

/* "Forwarding from 127.0.0.1:40123 -> 15000": the local port, or 0. */
static uint16_t forwarded_port(struct str text)
{
    static const char before[] = "Forwarding from 127.0.0.1:";
    struct str line, number, rest = text;
    while (str_cut(rest, '\n', &line, &rest)) {
        int64_t port;
        if (str_starts(line, before)) {
            number = (struct str){line.ptr + sizeof(before) - 1, line.len - sizeof(before) + 1};
            str_cut(number, ' ', &number, &line);
            return str_int(number, 1, 65535, &port) ? (uint16_t)port : 0;
        }
    }
    return 0;
}

/* Reads what kubectl says until it forwards, ends, or takes too long. */
static uint16_t wait_ready(const struct program *p, struct buf *out, struct buf *err)
{
    struct pollfd fds[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
    struct buf *to[2] = {out, err};
    int64_t end = clock_mono_ms() + START_MS, left;
    uint16_t port = 0;
    while (port == 0 && fds[0].fd >= 0 && (left = end - clock_mono_ms()) > 0) {
        if (poll(fds, 2, (int)left) < 0) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            char piece[4096];
            ssize_t n = fds[i].revents ? read(fds[i].fd, piece, sizeof(piece)) : -1;
            if (n > 0) {
                buf_add(to[i], piece, (size_t)n);
            } else if (fds[i].revents) {
                fds[i].fd = -1;
            }
        }
        port = forwarded_port(buf_str(out));
    }
    if (fds[1].fd >= 0 && port == 0) {
        char piece[4096];
        ssize_t n = poll(&fds[1], 1, 1000) > 0 ? read(fds[1].fd, piece, sizeof(piece)) : 0;
        buf_add(err, piece, n > 0 ? (size_t)n : 0);
    }
    return port;
}

static int refused(const char *namespace, const char *target, uint16_t port, struct str said,
                   struct err *e)
{
    struct str line = str_trim(said), rest;
    str_cut(line, '\n', &line, &rest);
    return err_set(e, "can't reach port %u of %s in namespace %s: %.*s", port, target, namespace,
                   STR_ARG(line.len > 0 ? line : STR("kubectl port-forward doesn't answer")));
}

int forward_start(const char *namespace, const char *target, uint16_t port, uint16_t local_port,
                  struct forward *ret, struct err *e)
{
    AUTO(argv_done) struct argv a = {0};
    if (kubectl_argv(&a, e) < 0) {
        return -1;
    }
    argv_add(&a, "--namespace=%s", namespace);
    argv_add(&a, "port-forward");
    argv_add(&a, "--address=127.0.0.1");
    argv_add(&a, "%s", target);
    if (local_port > 0) {
        argv_add(&a, "%u:%u", local_port, port);
    } else {
        argv_add(&a, ":%u", port);
    }
    struct program program;
    if (program_start(&a, &program, e) < 0) {
        return -1;
    }
    struct buf out, err;
    buf_init(&out, 65536);
    buf_init(&err, 65536);
    uint16_t local = wait_ready(&program, &out, &err);
    int result = local > 0 ? 0 : refused(namespace, target, port, buf_str(&err), e);
    buf_done(&out);
    buf_done(&err);
    if (result < 0) {
        program_stop(&program);
        return -1;
    }
    *ret = (struct forward){program, local};
    return 0;
}

void forward_stop(struct forward *f)
{
    program_stop(&f->program);
}

int forward_ask(const struct forward *f, const char *method, const char *page, struct buf *ret,
                struct err *e)
{
    AUTO(free)
    char *url =
        mem_printf("http://127.0.0.1:%u/%s", f->local_port, page[0] == '/' ? page + 1 : page);
    struct http_call call = {
        .method = method, .url = url, .timeout_ms = ASK_MS, .max_bytes = LIMIT_CONTROL_REPLY_BYTES};
    return http_do(&call, ret, e);
}

int pod_page(const char *namespace, const char *pod, uint16_t port, const char *page,
             struct buf *ret, struct err *e)
{
    AUTO(forward_stop) struct forward f = {0};
    AUTO(free) char *target = mem_printf("pod/%s", pod);
    buf_init(ret, 1);
    if (forward_start(namespace, target, port, 0, &f, e) < 0) {
        return -1;
    }
    int status = forward_ask(&f, NULL, page, ret, e);
    if (status < 0) {
        return err_wrap(e, "pod %s/%s, port %u", namespace, pod, port);
    }
    struct str said = str_trim(buf_str(ret));
    return status == 200
               ? 0
               : err_set(e, "pod %s/%s, port %u, %s: answered %d: %.*s", namespace, pod, port, page,
                         status, (int)(said.len < 200 ? said.len : 200), said.ptr ? said.ptr : "");
}
