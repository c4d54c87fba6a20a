/* The reactor inside another loop, here poll(2): nested. */
#include <epollite.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    int pair[2];
    epl_reactor *reactor;
    uint64_t token;
    if (epl_reactor_new(&reactor) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0
        || epl_register(reactor, pair[0], EPL_READABLE, EPL_LEVEL, NULL, &token) < 0)
        return 1;
    struct pollfd outer = {.fd = epl_reactor_fd(reactor), .events = POLLIN};
    printf("before: %d\n", poll(&outer, 1, 0));
    if (write(pair[1], "hello", 5) != 5)
        return 1;
    printf("after: %d\n", poll(&outer, 1, -1));
    epl_event event;
    while (epl_next(reactor, 0, &event) == 1) {
        char buf[16];
        printf("%zd bytes\n", epl_recv(epl_fd(reactor, event.token), buf, sizeof buf));
    }
    epl_reactor_free(reactor);
    epl_close_fd(pair[1]);
    return 0;
}
