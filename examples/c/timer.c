/* A line every tenth of a second: timer [TIMES]. */
#include <epollite.h>
#include <stdio.h>
#include <stdlib.h>

enum { INTERVAL_NS = 100 * 1000 * 1000 };

int main(int argc, char **argv)
{
    int times = argc > 1 ? atoi(argv[1]) : 3;
    epl_reactor *reactor;
    epl_event event;
    uint64_t token, deadline = epl_now() + INTERVAL_NS;
    if (epl_reactor_new(&reactor) < 0
        || epl_add_timer(reactor, deadline, NULL, &token) < 0)
        return 1;
    for (int n = 1; n <= times; n++) {
        if (epl_next(reactor, EPL_FOREVER, &event) != 1
            || event.kind != EPL_TIMER)
            return 1;
        printf("%d\n", n);
        /* From the last deadline, not from now: delays do not add up. */
        epl_set_deadline(reactor, token, deadline += INTERVAL_NS);
    }
    epl_reactor_free(reactor);
    return 0;
}
