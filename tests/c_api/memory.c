/*
 * Every allocation fails once: each is an error value, nothing is leaked, and the reactor works
 * after it. Prints how many allocations there were.
 */
#include <epollite.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

/* In place of the C library's: a small send buffer, so that the server has to keep what it sends. */
int accept4(int listener, struct sockaddr *addr, socklen_t *len, int flags)
{
    const int small = 4096;
    int fd = (int)syscall(SYS_accept4, listener, addr, len, flags);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    return fd;
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

enum { CLIENTS = 3, BYTES = 60000, ROUNDS = 4000, SLOW_ROUNDS = 8 };

struct client {
    int fd;
    size_t sent, received;
    int has_ended;
};

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 31 + at / 251);
}

static int connect_client(struct client *client, const char *bound)
{
    const int small = 4096;
    struct sockaddr_in addr = {.sin_family = AF_INET};
    addr.sin_port = htons((uint16_t)atoi(strrchr(bound, ':') + 1));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->sent = client->received = client->has_ended = 0;
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(client->fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        return -errno;
    return fcntl(client->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Sends what it can; reads, too, if it is not slow. What comes back is what was sent. */
static int turn(struct client *client, int is_slow)
{
    unsigned char buf[16384];
    ssize_t count = sizeof buf;
    if (client->sent < BYTES) {
        if ((size_t)count > BYTES - client->sent)
            count = (ssize_t)(BYTES - client->sent);
        for (ssize_t n = 0; n < count; n++)
            buf[n] = pattern(client->sent + (size_t)n);
        count = send(client->fd, buf, (size_t)count, MSG_NOSIGNAL);
        if (count > 0 && (client->sent += (size_t)count) == BYTES)
            shutdown(client->fd, SHUT_WR);
    }
    if (is_slow)
        return 0;
    count = recv(client->fd, buf, sizeof buf, 0);
    client->has_ended |= count == 0 || (count < 0 && errno != EAGAIN);
    for (ssize_t n = 0; n < count; n++)
        if (buf[n] != pattern(client->received + (size_t)n))
            return -EBADMSG;
    client->received += count > 0 ? (size_t)count : 0;
    return 0;
}

static uint32_t trigger;
static uint64_t idle_timeout_ns;
static size_t received;

/* A server, and clients that do not read for a while; a connection may end, the server not. */
static int serve(void)
{
    epl_echo *echo;
    epl_echo_options options;
    struct client clients[CLIENTS];
    char bound[EPL_ADDRESS_BYTES];
    int made = 0, error, is_running = 1;
    epl_echo_options_init(&options);
    options.trigger = trigger;
    options.idle_timeout_ns = idle_timeout_ns;
    error = epl_echo_create(&echo, &options, EPL_VERSION);
    if (error < 0)
        return error;
    error = epl_echo_listen(echo, "127.0.0.1:0", bound, sizeof bound);
    while (error == 0 && made < CLIENTS)
        error = connect_client(&clients[made++], bound);
    for (int round = 0; error == 0 && round < ROUNDS; round++) {
        int open = 0;
        for (int n = 0; n < made && error == 0; n++) {
            if (!clients[n].has_ended)
                error = turn(&clients[n], round < SLOW_ROUNDS);
            open += !clients[n].has_ended;
        }
        if (error == 0 && open == 0)
            break;
        if (error == 0)
            error = epl_echo_run_once(echo, 1000000) < 0 ? -EIO : 0;
    }
    epl_echo_stop(echo);
    for (int n = 0; n < ROUNDS && is_running > 0; n++)
        is_running = epl_echo_run_once(echo, 1000000);
    epl_echo_free(echo);
    received = 0;
    for (int n = 0; n < made; n++) {
        received += clients[n].received;
        close(clients[n].fd);
    }
    return error;
}

/* Runs `scenario` with each allocation failing once; returns how many there are. */
static long fail_each(int (*scenario)(void), int has_to_fail)
{
    for (long n = 0;; n++) {
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
            exit(1);
        }
        if (made <= n) {
            if (error != 0)
                printf("without a fault: %s\n", epl_strerror(error));
            return n;
        }
        if (error != -ENOMEM && (has_to_fail || error != 0)) {
            printf("allocation %ld: %s\n", n, epl_strerror(error));
            exit(1);
        }
    }
}

int main(void)
{
    long made = fail_each(scenario, 1);
    const uint32_t triggers[] = {EPL_LEVEL, EPL_EDGE, EPL_ONESHOT};
    for (int n = 0; n < 6; n++) {
        trigger = triggers[n % 3];
        idle_timeout_ns = n < 3 ? 0 : 60000000000;
        long in_server = fail_each(serve, 0);
        if (in_server < 5 || received != (size_t)CLIENTS * BYTES) {
            printf("trigger %u: %ld allocations, %zu bytes\n", trigger, in_server, received);
            return 1;
        }
        made += in_server;
    }
    printf("%ld allocations\n", made);
    return made < 40;
}
