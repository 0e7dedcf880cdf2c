/* A pod sandbox's first process: it holds the pod's namespaces, and reaps what is left to it. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signal = SIGCHLD;
    while (signal == SIGCHLD) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        sigwait(&set, &signal);
    }
    return 0;
}
