/* A wall clock that jumps a year forth and back with every look at it, for LD_PRELOAD. The clock of
 * the machine is not touched. With JUMPS=monotonic the other clock jumps too: the tests must notice
 * that. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define YEAR 31557600L

static long jump(void)
{
    static int looks;
    return __atomic_fetch_add(&looks, 1, __ATOMIC_RELAXED) % 2 ? -YEAR : YEAR;
}

/* The tests look for this word: the library was loaded. */
__attribute__((constructor)) static void tell(void)
{
    if (write(2, "wall clock jumps\n", 17) < 0)
        abort();
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    const char *jumps = getenv("JUMPS");
    long result = syscall(SYS_clock_gettime, clock, time);
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
    if (result == 0 && (is_wall || (jumps && strcmp(jumps, "monotonic") == 0)))
        time->tv_sec += is_wall ? jump() : YEAR + jump();
    return (int)result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
