/* Starting programs inside pods. Between fork and exec only system calls are made. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "local/process.h"

static const char *const capability_names[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

int process_capability(const char *name)
{
    const char *bare = strncmp(name, "CAP_", 4) == 0 ? name + 4 : name;
    for (size_t i = 0; i < COUNT_OF(capability_names); i++) {
        if (strcmp(bare, capability_names[i]) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Below /etc, which is the pod's own, a target that is missing is made. */
static int make_target(const struct process_mount *m, struct err *e)
{
    struct stat source, target;
    if (stat(m->source, &source) < 0) {
        return err_errno(e, "can't find the volume's files at %s", m->source);
    }
    if (stat(m->target, &target) == 0) {
        return 0;
    }
    if (strncmp(m->target, "/etc/", 5) != 0) {
        return err_set(e,
                       "mountPath %s: expected a path that exists on this machine or is below "
                       "/etc, found neither; make it with: mkdir -p %s",
                       m->target, m->target);
    }
    AUTO(free) char *path = mem_strdup(m->target);
    for (char *slash = strchr(path + 5, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
            return err_errno(e, "can't make %s in the pod", path);
        }
        *slash = '/';
    }
    bool folder = S_ISDIR(source.st_mode);
    int made = folder ? mkdir(path, 0755) : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (made < 0 && errno != EEXIST) {
        return err_errno(e, "can't make %s in the pod", path);
    }
    if (made > 0) {
        close(made);
    }
    return 0;
}

static int mount_all(const struct process_options *o, struct err *e)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return err_errno(e, "can't give the container its own mounts");
    }
    for (size_t i = 0; i < o->n_mounts; i++) {
        const struct process_mount *m = &o->mounts[i];
        if (make_target(m, e) < 0) {
            return -1;
        }
        if (mount(m->source, m->target, NULL, MS_BIND, NULL) < 0 ||
            (m->read_only && mount(NULL, m->target, NULL,
                                   MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) < 0)) {
            return err_errno(e, "can't mount %s at %s in the pod", m->source, m->target);
        }
    }
    if (o->hidden && mount("tmpfs", o->hidden, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV,
                           "size=4k,mode=0700") < 0) {
        return err_errno(e, "can't hide %s from the pod", o->hidden);
    }
    return 0;
}

static int enter(const struct process_options *o, struct err *e)
{
    static const int order[] = {NS_NET, NS_UTS, NS_IPC, NS_MNT};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        if (setns(o->ns->fd[order[i]], 0) < 0) {
            return err_errno(e, "can't enter the pod's namespaces");
        }
    }
    return mount_all(o, e);
}

/* Takes all capabilities but o's away, for good, and becomes o's user. */
static int drop(const struct process_options *o, struct err *e)
{
    for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++) {
        if (!(o->capabilities >> i & 1) && prctl(PR_CAPBSET_DROP, i) < 0) {
            return err_errno(e, "can't take capability %d away", i);
        }
    }
    if (setgroups(0, NULL) < 0 || setresgid(o->gid, o->gid, o->gid) < 0 ||
        setresuid(o->uid, o->uid, o->uid) < 0) {
        return err_errno(e, "can't become user %u, group %u", o->uid, o->gid);
    }
    if (o->uid != 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return 0;
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &header, data) < 0) {
        return err_errno(e, "can't read capabilities");
    }
    for (int i = 0; i < 2; i++) {
        uint32_t keep = (uint32_t)(o->capabilities >> (32 * i));
        data[i].permitted &= keep;
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0) {
        return err_errno(e, "can't take capabilities away");
    }
    return 0;
}

static int become(const struct process_options *o, struct err *e)
{
    if (enter(o, e) < 0) {
        return -1;
    }
    const char *dir = o->working_dir ? o->working_dir : "/";
    if (chdir(dir) < 0) {
        return err_errno(e, "workingDir %s: expected a folder of this machine", dir);
    }
    AUTO_FD int program = open(o->argv[0], O_PATH | O_CLOEXEC);
    if (drop(o, e) < 0) {
        return -1;
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < NSIG; sig++) {
        signal(sig, SIG_DFL);
    }
    execve(o->argv[0], o->argv, o->envp);
    /* What an image holds may be run whoever owns the folders on the way there: a checkout in
     * /root, for instance, which the sidecar's user may not enter. */
    if (errno == EACCES && program >= 0) {
        execveat(program, "", o->argv, o->envp, AT_EMPTY_PATH);
    }
    return err_errno(e, "can't run %s", o->argv[0]);
}

static int detach(const struct process_options *o, struct err *e)
{
    setsid();
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(o->out, 1) < 0 || dup2(o->out, 2) < 0) {
        return err_errno(e, "can't redirect the program's input and output");
    }
    return 0;
}

static void run_child(const struct process_options *o, int report) __attribute__((noreturn));
static void run_child(const struct process_options *o, int report)
{
    struct err e = ERR_INIT;
    /* Descriptors of the runtime aren't close-on-exec by accident of a library only. */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (o->attached || detach(o, &e) == 0) {
        become(o, &e);
    }
    ssize_t n = write(report, e.text, strlen(e.text));
    _exit(n < 0 ? 126 : 127);
}

/* fork() into the pod's process namespace; the parent stays in its own. */
static long fork_into(int pid_ns)
{
    AUTO_FD int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (home < 0 || setns(pid_ns, CLONE_NEWPID) < 0) {
        return -1;
    }
    long pid = fork();
    if (pid != 0) {
        int saved = errno;
        ASSERT(setns(home, CLONE_NEWPID) == 0);
        errno = saved;
    }
    return pid;
}

int process_start(const struct process_options *o, pid_t *ret, struct err *e)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        return err_errno(e, "can't make a pipe");
    }
    long pid = fork_into(o->ns->fd[NS_PID]);
    if (pid == 0) {
        run_child(o, report[1]);
    }
    int saved = errno;
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        errno = saved;
        return err_errno(e, "can't start a process");
    }
    char text[sizeof(e->text)];
    ssize_t n;
    do {
        n = read(report[0], text, sizeof(text) - 1);
    } while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n > 0) {
        text[n] = '\0';
        waitpid((pid_t)pid, NULL, 0);
        return err_set(e, "%s", text);
    }
    *ret = (pid_t)pid;
    return 0;
}

static bool executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *process_find(const char *command)
{
    if (strchr(command, '/')) {
        return command[0] == '/' && executable(command) ? mem_strdup(command) : NULL;
    }
    const char *path = getenv("PATH");
    struct str rest = str_of(path ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    while (rest.len > 0) {
        struct str dir;
        struct str tail = STR("");
        str_cut(rest, ':', &dir, &tail);
        rest = tail;
        char *found = mem_printf("%.*s/%s", STR_ARG(dir), command);
        if (dir.len > 0 && dir.ptr[0] == '/' && executable(found)) {
            return found;
        }
        free(found);
    }
    return NULL;
}
