/*
 * A reactor in storage of the caller's: nothing is allocated, nothing beyond
 * the storage is written to, and what does not fit is an error value.
 */
#include <epollite.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_realloc(void *, size_t);

static int allocations, failures;

void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

void *realloc(void *old, size_t bytes)
{
    allocations++;
    return __libc_realloc(old, bytes);
}

#define EXPECT(expected, call) expect((long)(expected), (long)(call), #call, __LINE__)

static void expect(long expected, long actual, const char *call, int line)
{
    if (expected != actual) {
        printf("line %d: %s is %ld, not %ld\n", line, call, actual, expected);
        failures++;
    }
}

enum { REGISTRATIONS = 5, EVENTS = 3, GUARD = 64 };

static union {
    uint64_t words[EPL_STORAGE_WORDS(REGISTRATIONS, EVENTS) + GUARD];
    unsigned char bytes[1];
} storage;

static void misuse(void)
{
    epl_reactor *reactor = NULL;
    size_t needed = epl_storage_bytes(REGISTRATIONS, EVENTS);
    unsigned char *at = storage.bytes;
    EXPECT(0, epl_storage_bytes(0, 1));
    EXPECT(0, epl_storage_bytes(1, 0));
    EXPECT(0, epl_storage_bytes(UINT32_MAX, 1));
    EXPECT(0, epl_storage_bytes(1, UINT32_MAX));
    EXPECT(-EINVAL, epl_reactor_init(NULL, at, needed, REGISTRATIONS, EVENTS));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, NULL, needed, REGISTRATIONS, EVENTS));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, at, needed - 1, REGISTRATIONS, EVENTS));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, at, 0, REGISTRATIONS, EVENTS));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, at + 4, needed, REGISTRATIONS, EVENTS));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, at, needed, 0, EVENTS));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, at, needed, REGISTRATIONS, 0));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, at, SIZE_MAX, UINT32_MAX, EVENTS));
    EXPECT(-EINVAL, epl_reactor_init(&reactor, at, SIZE_MAX, REGISTRATIONS, UINT32_MAX));
    EXPECT(-ELIBBAD, epl_reactor_create_in(&reactor, at, needed, REGISTRATIONS, EVENTS, 1));
    EXPECT(1, reactor == NULL);
}

static void use(size_t needed)
{
    epl_reactor *reactor;
    epl_event events[EVENTS + 1];
    uint64_t tokens[REGISTRATIONS], more, timers[2];
    int pairs[REGISTRATIONS][2];
    EXPECT(0, epl_reactor_init(&reactor, storage.bytes, needed, REGISTRATIONS, EVENTS));
    EXPECT(0, epl_enable_wake(reactor));
    for (int n = 0; n < REGISTRATIONS; n++) {
        EXPECT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[n]));
        EXPECT(0, epl_register(reactor, pairs[n][0], EPL_READABLE, EPL_EDGE, NULL, &tokens[n]));
        EXPECT(1, write(pairs[n][1], "x", 1));
    }
    EXPECT(REGISTRATIONS, epl_reactor_count(reactor));
    EXPECT(-ENOSPC, epl_register(reactor, pairs[0][1], EPL_READABLE, EPL_EDGE, NULL, &more));
    EXPECT(-ENOSPC, epl_add_timer(reactor, 0, NULL, &more));
    EXPECT(0, epl_wake(reactor));
    for (int n = 0; n < REGISTRATIONS; n++) {
        EXPECT(0, epl_set_deadline(reactor, tokens[n], 0));
        EXPECT(0, epl_requeue(reactor, tokens[n], EPL_READABLE));
        EXPECT(0, epl_requeue(reactor, tokens[n], EPL_READABLE));
    }
    int seen[4] = {0}, count;
    while ((count = epl_next_batch(reactor, 0, events, EVENTS + 1)) > 0)
        for (int n = 0; n < count; n++)
            seen[events[n].kind]++;
    EXPECT(0, count);
    /* More, if a wait came between two reports of one. */
    EXPECT(1, seen[EPL_IO] >= REGISTRATIONS && seen[EPL_IO] <= 2 * REGISTRATIONS);
    EXPECT(REGISTRATIONS, seen[EPL_TIMER]);
    EXPECT(1, seen[EPL_WOKEN]);
    /* The room of what has ended is free again, and its token is not used again. */
    for (int round = 0; round < 100; round++) {
        EXPECT(0, epl_requeue(reactor, tokens[0], EPL_READABLE));
        EXPECT(0, epl_close(reactor, tokens[0]));
        EXPECT(0, epl_add_timer(reactor, 0, NULL, &timers[0]));
        EXPECT(0, timers[0] == tokens[0]);
        EXPECT(-ENOENT, epl_close(reactor, tokens[0]));
        tokens[0] = timers[0];
    }
    epl_reactor_free(reactor);
    for (int n = 0; n < REGISTRATIONS; n++)
        close(pairs[n][1]);
}

int main(void)
{
    size_t needed = epl_storage_bytes(REGISTRATIONS, EVENTS);
    EXPECT(1, needed > 0 && needed <= 8 * EPL_STORAGE_WORDS(REGISTRATIONS, EVENTS));
    for (uint32_t n = 1; n < 100000; n += 1 + n / 3)
        for (uint32_t events = 1; events < 10000; events += 1 + events / 3)
            EXPECT(1, epl_storage_bytes(n, events) <= 8 * (size_t)EPL_STORAGE_WORDS(n, events));
    memset(&storage, 0xa5, sizeof storage);
    misuse();
    int before = dup(0);
    close(before);
    int made = allocations;
    /* Storage is used again, whatever is left in it. */
    use(needed);
    use(needed);
    EXPECT(made, allocations);
    int after = dup(0);
    close(after);
    EXPECT(before, after);
    for (size_t byte = needed; byte < sizeof storage; byte++)
        EXPECT(0xa5, storage.bytes[byte]);
    return failures > 0;
}
