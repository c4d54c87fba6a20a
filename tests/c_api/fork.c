/* Forked children and signal handlers beside a reactor. Prints nothing. */
#define _GNU_SOURCE
#include <epollite.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            printf("%d: %s\n", __LINE__, #condition);                          \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

static epl_reactor *reactor;

static void on_signal(int number)
{
    (void)number;
    epl_wake(reactor);
}

static void wait_for(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The reactor still reports what arrives, and only that. */
static void check_parent(int peer, uint64_t token)
{
    epl_event event;
    char text[8];
    CHECK(epl_next(reactor, 0, &event) == 0);
    CHECK(epl_send(peer, "x", 1) == 1);
    CHECK(epl_next(reactor, EPL_FOREVER, &event) == 1);
    CHECK(event.token == token && event.kind == EPL_IO);
    CHECK(epl_recv(epl_fd(reactor, token), text, sizeof text) == 1);
    CHECK(epl_next(reactor, 0, &event) == 0);
}

int main(void)
{
    int pair[2];
    uint64_t token;
    epl_event event;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK(epl_reactor_new(&reactor) == 0);
    CHECK(epl_register(reactor, pair[0], EPL_READABLE, EPL_LEVEL, NULL, &token)
          == 0);
    CHECK(epl_enable_wake(reactor) == 0);
    check_parent(pair[1], token);

    /* A child that ends at once. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(0);
    wait_for(child);
    check_parent(pair[1], token);

    /* A child that closes its numbers: the parent's descriptors stay. */
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        _exit(0);
    }
    wait_for(child);
    check_parent(pair[1], token);

    /* A child that calls exec inherits nothing of the reactor. */
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c",
              "for fd in /proc/self/fd/*; do"
              " case $(readlink $fd) in *eventpoll*|*eventfd*|socket:*) exit 1;;"
              " esac; done",
              (char *)NULL);
        _exit(2);
    }
    wait_for(child);
    check_parent(pair[1], token);

    /* Wake-ups by a signal handler, at any place of epl_next(). */
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int woken = 0; woken < 200; woken++) {
        CHECK(epl_next(reactor, EPL_FOREVER, &event) == 1);
        CHECK(event.kind == EPL_WOKEN);
    }
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(epl_next(reactor, 0, &event) >= 0);
    check_parent(pair[1], token);
    epl_reactor_free(reactor);
    epl_close_fd(pair[1]);
    return 0;
}
