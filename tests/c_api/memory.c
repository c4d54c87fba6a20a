/*
 * Every allocation fails once: each is an error value, nothing is leaked, and the reactor works
 * after it. Prints how many allocations there were.
 */
#include <epollite.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static long fails_at = -1, allocations, live;

static int fails(void)
{
    return fails_at >= 0 && allocations++ == fails_at;
}

void *malloc(size_t bytes)
{
    void *memory = fails() ? NULL : __libc_malloc(bytes);
    live += memory != NULL;
    return memory;
}

void *aligned_alloc(size_t align, size_t bytes)
{
    void *memory = fails() ? NULL : __libc_memalign(align, bytes);
    live += memory != NULL;
    return memory;
}

void *realloc(void *old, size_t bytes)
{
    if (fails())
        return NULL;
    live += old == NULL;
    return __libc_realloc(old, bytes);
}

void free(void *memory)
{
    live -= memory != NULL;
    __libc_free(memory);
}

enum { PAIRS = 40 };

/* Everything that allocates; 0, or the first error. */
static int scenario(void)
{
    int pairs[PAIRS][2], made = 0, error;
    epl_reactor *reactor = NULL;
    epl_event event;
    uint64_t tokens[PAIRS];
    error = epl_reactor_new(&reactor);
    if (error == 0)
        error = epl_enable_wake(reactor);
    while (error == 0 && made < PAIRS) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[made]) < 0)
            return -errno;
        error = epl_register(reactor, pairs[made][0], EPL_READABLE, EPL_EDGE, NULL, &tokens[made]);
        if (error == 0) {
            made++;
            continue;
        }
        epl_close_fd(pairs[made][0]); /* still ours */
        epl_close_fd(pairs[made][1]);
    }
    for (int n = 0; n < made && error == 0; n++)
        error = epl_set_deadline(reactor, tokens[n], 0);
    for (int n = 0; n < made && error == 0; n++)
        error = epl_requeue(reactor, tokens[n], EPL_READABLE);
    for (int n = 0; n < made && error == 0; n++)
        error = epl_add_timer(reactor, 0, NULL, &tokens[n]);
    /* After an error, too, the reactor does what it can. */
    if (reactor != NULL)
        while (epl_next(reactor, 0, &event) == 1)
            continue;
    epl_reactor_free(reactor);
    for (int n = 0; n < made; n++)
        epl_close_fd(pairs[n][1]);
    return error;
}

int main(void)
{
    long n = 0;
    for (;; n++) {
        int before = dup(0);
        close(before);
        long live_before = live;
        allocations = 0;
        fails_at = n;
        int error = scenario();
        long made = allocations;
        fails_at = -1;
        int after = dup(0);
        close(after);
        if (live != live_before || after != before) {
            printf("allocation %ld: %ld blocks and %d descriptors are left\n", n,
                   live - live_before, after - before);
            return 1;
        }
        if (made <= n) {
            if (error != 0)
                printf("without a fault: %s\n", epl_strerror(error));
            break;
        }
        if (error != -ENOMEM) {
            printf("allocation %ld: %s\n", n, epl_strerror(error));
            return 1;
        }
    }
    printf("%ld allocations\n", n);
    return n < 10;
}
