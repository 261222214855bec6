/* Holds a pod's namespaces and waits to be told to end. As process 1 of a pod that shares its
   processes it also takes in those that nobody waits for. */
#include <signal.h>
#include <sys/wait.h>

int main(void)
{
    sigset_t awaited;
    int signal_number;

    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &awaited, 0) != 0)
        return 1;
    for (;;) {
        if (sigwait(&awaited, &signal_number) != 0)
            return 2;
        if (signal_number != SIGCHLD)
            return 0;
        while (waitpid(-1, 0, WNOHANG) > 0) {
        }
    }
}
