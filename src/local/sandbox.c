/* A pod's namespaces and the process that holds them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "local/netlink.h"
#include "local/sandbox.h"

/* Making namespaces and mounts takes milliseconds; a machine that needs this long is stuck. */
enum { START_TIMEOUT_MS = 20000 };

void sandbox_init(struct sandbox *s)
{
    s->pid = 0;
    namespaces_init(&s->ns);
}

/* A copy of /etc that the pod may change, without the machine seeing it. */
static int mount_etc(const struct sandbox_options *o, struct err *e)
{
    static const char *const files[] = {"hosts", "resolv.conf", "hostname", "nsswitch.conf"};
    AUTO(free) char *upper = mem_printf("%s/upper", o->scratch);
    AUTO(free) char *work = mem_printf("%s/work", o->scratch);
    AUTO(free) char *data = mem_printf("lowerdir=/etc,upperdir=%s,workdir=%s", upper, work);
    if (mount("tmpfs", o->scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 ||
        mkdir(upper, 0755) < 0 || mkdir(work, 0755) < 0) {
        return err_errno(e, "can't make room for the pod's own /etc at %s", o->scratch);
    }
    if (mount("overlay", "/etc", "overlay", 0, data) < 0) {
        return err_errno(e, "can't lay the pod's own files over /etc (overlay file system)");
    }
    if (mkdir("/etc/pod", 0755) < 0 || mount(o->etc, "/etc/pod", NULL, MS_BIND, NULL) < 0) {
        return err_errno(e, "can't mount %s at /etc/pod in the pod", o->etc);
    }
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char path[64], target[64];
        snprintf(path, sizeof(path), "/etc/%s", files[i]);
        snprintf(target, sizeof(target), "pod/%s", files[i]);
        if ((unlink(path) < 0 && errno != ENOENT) || symlink(target, path) < 0) {
            return err_errno(e, "can't replace %s in the pod", path);
        }
    }
    return 0;
}

static int set_up(const struct sandbox_options *o, struct err *e)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return err_errno(e, "can't make the pod's mounts private");
    }
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        return err_errno(e, "can't mount the pod's own /proc");
    }
    /* Envoys would find each other's shared memory, whose names are the same in all pods. */
    if (mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m,mode=1777") <
        0) {
        return err_errno(e, "can't mount the pod's own /dev/shm");
    }
    if (sethostname(o->hostname, strlen(o->hostname)) < 0) {
        return err_errno(e, "can't name the pod's host %s", o->hostname);
    }
    return mount_etc(o, e);
}

static void reap_for_ever(void) __attribute__((noreturn));
static void reap_for_ever(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        siginfo_t info;
        if (sigwaitinfo(&all, &info) == SIGCHLD) {
            while (waitpid(-1, NULL, WNOHANG) > 0) {
            }
        }
    }
}

/* Process 1 of the pod. Says "" or what went wrong on `report`. */
static void run_init(const struct sandbox_options *o, int report) __attribute__((noreturn));
static void run_init(const struct sandbox_options *o, int report)
{
    struct err e = ERR_INIT;
    int null = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "osm-pod");
    if (null < 0 || dup2(report, 3) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(null, 2) < 0 || close_range(4, ~0U, 0) < 0) {
        _exit(1);
    }
    if (set_up(o, &e) < 0) {
        ssize_t n = write(3, e.text, strlen(e.text));
        _exit(n < 0 ? 2 : 1);
    }
    ssize_t n = write(3, "\n", 1);
    if (n != 1) {
        _exit(1);
    }
    close(3);
    reap_for_ever();
}

/* Waits for init's word. */
static int wait_for_init(int report, struct err *e)
{
    char text[1024];
    struct pollfd p = {.fd = report, .events = POLLIN};
    if (poll(&p, 1, START_TIMEOUT_MS) <= 0) {
        return err_set(e, "a pod's namespaces weren't ready in %d s", START_TIMEOUT_MS / 1000);
    }
    ssize_t n = read(report, text, sizeof(text) - 1);
    if (n == 1 && text[0] == '\n') {
        return 0;
    }
    text[n > 0 ? n : 0] = '\0';
    return err_set(e, "%s", n > 0 ? text : "a pod's first process ended at once");
}

int sandbox_start(struct sandbox *s, const struct sandbox_options *o, struct err *e)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        return err_errno(e, "can't make a pipe");
    }
    unsigned long flags =
        CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | SIGCHLD;
    long pid = syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        run_init(o, report[1]);
    }
    int result = pid < 0 ? err_errno(e, "can't make namespaces for a pod") : 0;
    close(report[1]);
    if (result == 0) {
        result = wait_for_init(report[0], e);
    }
    close(report[0]);
    if (pid > 0) {
        s->pid = (pid_t)pid;
        if (result == 0) {
            result = namespaces_open(&s->ns, s->pid, e);
        }
        if (result < 0) {
            sandbox_kill(s);
        }
    }
    return result;
}

void sandbox_kill(struct sandbox *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
    }
}

void sandbox_done(struct sandbox *s)
{
    sandbox_kill(s);
    namespaces_done(&s->ns);
}

static int connect_inside(int netns_fd, const struct sandbox_network *net, struct err *e)
{
    AUTO(netlink_free) struct netlink *inside = NULL;
    if (netlink_open(netns_fd, &inside, e) < 0) {
        return -1;
    }
    int eth0 = netlink_find(inside, "eth0");
    if (netlink_up(inside, netlink_find(inside, "lo"), e) < 0 ||
        netlink_add_address(inside, eth0, &net->ip4, net->prefix4, e) < 0 ||
        netlink_up(inside, eth0, e) < 0 ||
        netlink_add_default_route(inside, &net->gateway4, e) < 0) {
        return -1;
    }
    if (net->ip6.family == 0) {
        return 0;
    }
    if (netlink_add_address(inside, eth0, &net->ip6, net->prefix6, e) < 0 ||
        netlink_add_default_route(inside, &net->gateway6, e) < 0) {
        return -1;
    }
    return 0;
}

int sandbox_connect(struct sandbox *s, struct netlink *host, const struct sandbox_network *net,
                    struct err *e)
{
    if (netlink_veth(host, net->link, net->alias, net->bridge, s->ns.fd[NS_NET], e) < 0) {
        return -1;
    }
    return connect_inside(s->ns.fd[NS_NET], net, e);
}
