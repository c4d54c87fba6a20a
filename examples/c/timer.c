/* A line every tenth of a second: timer [TIMES]. */
#include <epollite.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { INTERVAL_NS = 100 * 1000 * 1000 };

int main(int argc, char **argv)
{
    int times = argc > 1 ? atoi(argv[1]) : 3;
    int pair[2];
    epl_reactor *reactor;
    uint64_t token, deadline = epl_now();
    if (epl_reactor_new(&reactor) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return 1;
    if (epl_register(reactor, pair[0], EPL_READABLE, EPL_LEVEL, NULL, &token) < 0)
        return 1;
    for (int n = 1; n <= times; n++) {
        epl_event event;
        /* From the last deadline, not from now: delays do not add up. */
        epl_set_deadline(reactor, token, deadline += INTERVAL_NS);
        if (epl_next(reactor, EPL_FOREVER, &event) != 1 || event.kind != EPL_TIMER)
            return 1;
        printf("%d\n", n);
    }
    epl_reactor_free(reactor);
    epl_close_fd(pair[1]);
    return 0;
}
