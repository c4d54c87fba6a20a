/* Own storage: a reactor without malloc, here for three ticks of a timer. */
#include <epollite.h>
#include <inttypes.h>
#include <stdio.h>

static uint64_t storage[EPL_STORAGE_WORDS(4, 4)];

int main(void)
{
    const uint64_t millisecond = 1000000;
    epl_reactor *reactor;
    epl_event event;
    uint64_t timer, next = epl_now();
    int error = epl_reactor_init(&reactor, storage, sizeof storage, 4, 4);
    if (error == 0)
        error = epl_add_timer(reactor, next, NULL, &timer);
    if (error < 0) {
        fprintf(stderr, "storage: %s\n", epl_strerror(error));
        return 1;
    }
    for (int tick = 1; tick <= 3 && epl_next(reactor, EPL_FOREVER, &event) == 1; tick++) {
        printf("tick %d\n", tick);
        next += millisecond;
        epl_set_deadline(reactor, event.token, next);
    }
    epl_reactor_free(reactor);
    return 0;
}
