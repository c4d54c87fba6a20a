/* Another thread hands over numbers, and wakes the loop: wake. */
#include <epollite.h>
#include <pthread.h>
#include <stdio.h>

enum { NUMBERS = 5 };

static epl_reactor *reactor;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int queue[NUMBERS], queued;

static void *produce(void *unused)
{
    for (int n = 1; n <= NUMBERS; n++) {
        pthread_mutex_lock(&lock);
        queue[queued++] = n;
        pthread_mutex_unlock(&lock);
        epl_wake(reactor); /* after the number is in the queue */
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    int taken = 0, sum = 0;
    if (epl_reactor_new(&reactor) < 0 || epl_enable_wake(reactor) < 0
        || pthread_create(&thread, NULL, produce, NULL) != 0)
        return 1;
    while (taken < NUMBERS) {
        epl_event event;
        if (epl_next(reactor, EPL_FOREVER, &event) != 1
            || event.kind != EPL_WOKEN)
            return 1;
        pthread_mutex_lock(&lock);
        while (taken < queued)
            sum += queue[taken++];
        pthread_mutex_unlock(&lock);
    }
    printf("sum %d\n", sum);
    pthread_join(thread, NULL);
    epl_reactor_free(reactor);
    return 0;
}
