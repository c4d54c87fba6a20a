/*
 * Every mistake that the library can detect is an error, and the reactor works after it.
 * Prints the lines that are wrong; exits with their number.
 */
#include <epollite.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int wrong;

#define EXPECT(result, call)                                                      \
    do {                                                                          \
        long long got = (long long)(call), want = (result);                       \
        if (got != want) {                                                        \
            printf("line %d: %s is %lld, not %lld\n", __LINE__, #call, got, want); \
            wrong++;                                                              \
        }                                                                         \
    } while (0)

static void texts(void)
{
    EXPECT(EPL_VERSION, epl_version());
    EXPECT(0, strcmp(epl_strerror(0), strerror(0)));
    EXPECT(0, strcmp(epl_strerror(-EAGAIN), strerror(EAGAIN)));
    EXPECT(0, strcmp(epl_strerror(EAGAIN), strerror(EAGAIN)));
    EXPECT(1, strlen(epl_strerror(-12345)) > 0);
    EXPECT(1, strlen(epl_strerror(-2147483647 - 1)) > 0);
    EXPECT(0, strcmp(epl_errno_name(-ECONNRESET), "ECONNRESET"));
    EXPECT(0, strcmp(epl_errno_name(4000), "?"));
}

static void without_a_reactor(void)
{
    epl_event event;
    uint64_t token;
    void *data;
    epl_reactor *reactor = NULL;
    EXPECT(-EINVAL, epl_reactor_new(NULL));
    EXPECT(-ELIBBAD, epl_reactor_create(&reactor, 0, 0, EPL_VERSION + 1));
    EXPECT(-EINVAL, epl_reactor_create(&reactor, 0, UINT32_MAX, EPL_VERSION));
    EXPECT(1, reactor == NULL);
    epl_reactor_free(NULL);
    EXPECT(-EINVAL, epl_reactor_fd(NULL));
    EXPECT(0, epl_reactor_count(NULL));
    EXPECT(0, epl_reactor_stale_events(NULL));
    EXPECT(-EINVAL, epl_register(NULL, 0, EPL_READABLE, EPL_LEVEL, NULL, &token));
    EXPECT(-EINVAL, epl_modify(NULL, 0, EPL_READABLE, EPL_LEVEL));
    EXPECT(-EINVAL, epl_deregister(NULL, 0));
    EXPECT(-EINVAL, epl_close(NULL, 0));
    EXPECT(-EINVAL, epl_fd(NULL, 0));
    EXPECT(-EINVAL, epl_data(NULL, 0, &data));
    EXPECT(-EINVAL, epl_set_data(NULL, 0, NULL));
    EXPECT(-EINVAL, epl_requeue(NULL, 0, EPL_READABLE));
    EXPECT(-EINVAL, epl_next(NULL, 0, &event));
    EXPECT(-EINVAL, epl_next_batch(NULL, 0, &event, 1));
    EXPECT(-EINVAL, epl_set_deadline(NULL, 0, 0));
    EXPECT(-EINVAL, epl_cancel_deadline(NULL, 0));
    EXPECT(-EINVAL, epl_timeout(NULL));
    EXPECT(-EINVAL, epl_enable_wake(NULL));
    EXPECT(-EINVAL, epl_wake(NULL));
}

static void with_a_reactor(void)
{
    int pair[2];
    epl_reactor *reactor;
    epl_event event;
    uint64_t token, other;
    void *data;
    EXPECT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    EXPECT(0, epl_reactor_create(&reactor, 1, 4, EPL_VERSION));
    EXPECT(-EBADF, epl_register(reactor, -1, EPL_READABLE, EPL_LEVEL, NULL, &token));
    EXPECT(-EBADF, epl_register(reactor, 12345, EPL_READABLE, EPL_LEVEL, NULL, &token));
    EXPECT(-EINVAL, epl_register(reactor, pair[0], EPL_ERROR, EPL_LEVEL, NULL, &token));
    EXPECT(-EINVAL, epl_register(reactor, pair[0], 1u << 31, EPL_LEVEL, NULL, &token));
    EXPECT(-EINVAL, epl_register(reactor, pair[0], EPL_READABLE, 6, NULL, &token));
    EXPECT(-EINVAL, epl_register(reactor, pair[0], EPL_READABLE, EPL_LEVEL, NULL, NULL));
    EXPECT(-EINVAL, epl_register(reactor, pair[0], EPL_READ_CLOSED, EPL_EXCLUSIVE, NULL, &token));
    EXPECT(0, epl_reactor_count(reactor));
    EXPECT(0, epl_register(reactor, pair[0], EPL_READABLE, EPL_LEVEL, &wrong, &token));
    EXPECT(-ENOSPC, epl_register(reactor, pair[1], EPL_READABLE, EPL_LEVEL, NULL, &other));
    EXPECT(1, epl_reactor_count(reactor));
    EXPECT(pair[0], epl_fd(reactor, token));
    EXPECT(0, epl_data(reactor, token, &data));
    EXPECT(1, data == &wrong);
    EXPECT(-EINVAL, epl_data(reactor, token, NULL));
    EXPECT(-ENOENT, epl_data(reactor, token + 1, &data));
    EXPECT(-ENOENT, epl_data(reactor, UINT64_MAX, &data));
    EXPECT(-EINVAL, epl_modify(reactor, token, EPL_HUP, EPL_LEVEL));
    EXPECT(-EINVAL, epl_modify(reactor, token, EPL_READABLE, EPL_EXCLUSIVE));
    EXPECT(-EINVAL, epl_next(reactor, 0, NULL));
    EXPECT(-EINVAL, epl_next_batch(reactor, 0, NULL, 1));
    EXPECT(-EINVAL, epl_next_batch(reactor, 0, &event, 0));
    EXPECT(-EINVAL, epl_next_batch(reactor, 0, &event, -1));
    EXPECT(0, epl_next(reactor, 0, &event));
    /* Only EPL_FOREVER waits without limit: a difference may have become negative. */
    EXPECT(-EINVAL, epl_next(reactor, -2, &event));
    EXPECT(-EINVAL, epl_next(reactor, INT64_MIN, &event));
    EXPECT(-EINVAL, epl_next_batch(reactor, -2, &event, 1));
    EXPECT(-EINVAL, epl_next_batch(reactor, -1000000000, &event, 1));
    EXPECT(-ENOENT, epl_wake(reactor));
    EXPECT(0, epl_cancel_deadline(reactor, token));
    EXPECT(0, epl_set_deadline(reactor, token, 0));
    EXPECT(1, epl_next(reactor, EPL_FOREVER, &event));
    EXPECT(EPL_TIMER, event.kind);
    EXPECT(-EINVAL, epl_requeue(reactor, token, 1u << 31));
    EXPECT(0, epl_requeue(reactor, token, EPL_READABLE));
    EXPECT(1, epl_next(reactor, EPL_FOREVER, &event));
    EXPECT(EPL_IO, event.kind);
    EXPECT(EPL_READABLE, event.ready);
    EXPECT(1, event.data == &wrong);

    /* A blocking descriptor was given: the library has made it non-blocking. */
    EXPECT(-EAGAIN, epl_recv(epl_fd(reactor, token), &event, sizeof event));

    /* A token names one registration, and no later one. */
    EXPECT(pair[0], epl_deregister(reactor, token));
    EXPECT(-ENOENT, epl_deregister(reactor, token));
    EXPECT(-ENOENT, epl_close(reactor, token));
    EXPECT(-ENOENT, epl_fd(reactor, token));
    EXPECT(-ENOENT, epl_modify(reactor, token, EPL_READABLE, EPL_LEVEL));
    EXPECT(-ENOENT, epl_set_data(reactor, token, NULL));
    EXPECT(-ENOENT, epl_requeue(reactor, token, EPL_READABLE));
    EXPECT(-ENOENT, epl_set_deadline(reactor, token, 0));
    EXPECT(-ENOENT, epl_cancel_deadline(reactor, token));
    EXPECT(0, epl_register(reactor, pair[0], EPL_READABLE, EPL_LEVEL, NULL, &other));
    EXPECT(1, token != other);
    EXPECT(-ENOENT, epl_fd(reactor, token));
    EXPECT(0, epl_close(reactor, other));
    EXPECT(-EBADF, epl_close_fd(pair[0]));
    EXPECT(0, epl_close_fd(pair[1]));
    epl_reactor_free(reactor);
}

static void timers(void)
{
    epl_reactor *reactor;
    epl_event event;
    uint64_t token, other;
    void *data;
    EXPECT(-EINVAL, epl_add_timer(NULL, 0, NULL, &token));
    EXPECT(0, epl_reactor_create(&reactor, 1, 0, EPL_VERSION));
    EXPECT(-EINVAL, epl_add_timer(reactor, 0, NULL, NULL));
    EXPECT(0, epl_add_timer(reactor, 0, &wrong, &token));
    EXPECT(-ENOSPC, epl_add_timer(reactor, 0, NULL, &other));
    EXPECT(1, epl_next(reactor, EPL_FOREVER, &event));
    EXPECT(1, event.kind == EPL_TIMER && event.token == token && event.data == &wrong);
    EXPECT(0, epl_next(reactor, 0, &event));
    EXPECT(0, epl_set_deadline(reactor, token, UINT64_MAX));
    EXPECT(1, epl_cancel_deadline(reactor, token));
    EXPECT(-EBADF, epl_fd(reactor, token));
    EXPECT(-EBADF, epl_deregister(reactor, token));
    EXPECT(-EBADF, epl_modify(reactor, token, EPL_READABLE, EPL_LEVEL));
    EXPECT(0, epl_data(reactor, token, &data));
    EXPECT(0, epl_close(reactor, token));
    EXPECT(-ENOENT, epl_close(reactor, token));
    EXPECT(-ENOENT, epl_deregister(reactor, token));
    EXPECT(0, epl_add_timer(reactor, UINT64_MAX, NULL, &other));
    EXPECT(1, token != other);
    epl_reactor_free(reactor);
}

static void wake_ups(void)
{
    int pair[2];
    epl_reactor *reactor;
    epl_event event;
    uint64_t token;
    EXPECT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    EXPECT(0, epl_reactor_new(&reactor));
    EXPECT(0, epl_enable_wake(reactor));
    EXPECT(0, epl_enable_wake(reactor));
    EXPECT(0, epl_reactor_count(reactor));
    /* The registration for wake-ups is in slot 0, and no token of C's. */
    EXPECT(-ENOENT, epl_close(reactor, 0));
    EXPECT(0, epl_register(reactor, pair[0], EPL_READABLE, EPL_EDGE, NULL, &token));
    EXPECT(0, epl_wake(reactor));
    EXPECT(0, epl_wake(reactor));
    EXPECT(1, epl_next(reactor, EPL_FOREVER, &event));
    EXPECT(EPL_WOKEN, event.kind);
    EXPECT(1, event.token == UINT64_MAX && event.data == NULL);
    EXPECT(0, epl_next(reactor, 0, &event));
    EXPECT(0, epl_wake(reactor));
    EXPECT(1, epl_next_batch(reactor, EPL_FOREVER, &event, 1));
    EXPECT(EPL_WOKEN, event.kind);
    epl_reactor_free(reactor);
    /* The registration for wake-ups takes no place of C's, before or after. */
    for (int is_first = 0; is_first < 2; is_first++) {
        int fd = dup(pair[1]);
        EXPECT(0, epl_reactor_create(&reactor, 1, 0, EPL_VERSION));
        EXPECT(0, is_first ? epl_enable_wake(reactor) : 0);
        EXPECT(0, epl_register(reactor, fd, EPL_READABLE, EPL_LEVEL, NULL, &token));
        EXPECT(0, epl_enable_wake(reactor));
        EXPECT(-ENOSPC, epl_register(reactor, pair[1], EPL_READABLE, EPL_LEVEL, NULL, &token));
        epl_reactor_free(reactor);
    }
    EXPECT(0, epl_close_fd(pair[1]));
}

static void batches(void)
{
    int pairs[3][2];
    epl_reactor *reactor;
    epl_event events[8];
    uint64_t tokens[3];
    void *data;
    EXPECT(0, epl_reactor_create(&reactor, 0, 2, EPL_VERSION));
    for (int n = 0; n < 3; n++) {
        EXPECT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[n]));
        EXPECT(0, epl_register(reactor, pairs[n][0], EPL_READABLE, EPL_LEVEL, pairs, &tokens[n]));
        EXPECT(1, write(pairs[n][1], "x", 1));
    }
    EXPECT(1, epl_next_batch(reactor, EPL_FOREVER, events, 1));
    EXPECT(1, epl_next_batch(reactor, EPL_FOREVER, events + 1, 8 - 1));
    EXPECT(1, events[0].token != events[1].token && events[1].data == NULL);
    /* The second event of a batch is stale once its registration has ended. */
    EXPECT(2, epl_next_batch(reactor, EPL_FOREVER, events, 2));
    EXPECT(0, epl_close(reactor, events[1].token));
    EXPECT(-ENOENT, epl_data(reactor, events[1].token, &data));
    for (int n = 0; n < 3; n++)
        EXPECT(0, epl_close_fd(pairs[n][1]));
    epl_reactor_free(reactor);
}

static void sockets(void)
{
    char text[EPL_ADDRESS_BYTES], small[4], buf[8];
    int listener, client, accepted;
    EXPECT(-EINVAL, epl_listen(NULL, 0));
    EXPECT(-EINVAL, epl_listen("nowhere", 0));
    EXPECT(-EINVAL, epl_listen("127.0.0.1:0", 2));
    EXPECT(-EINVAL, epl_listen("\xff:1", 0));
    EXPECT(-EINVAL, epl_connect(""));
    EXPECT(-EINVAL, epl_connect("unspec"));
    EXPECT(-EINVAL, epl_bind_datagram("127.0.0.1:70000", 0));
    EXPECT(-EBADF, epl_socket_error(-1));
    EXPECT(-EBADF, epl_accept(-1, NULL, 0));
    EXPECT(-EBADF, epl_recv(-1, buf, sizeof buf));
    EXPECT(-EBADF, epl_send(-1, "x", 1));
    EXPECT(-EBADF, epl_close_fd(-1));
    EXPECT(-EINVAL, epl_shutdown(0, 3));
    EXPECT(-EINVAL, epl_recv(0, NULL, 1));
    EXPECT(-EINVAL, epl_send(0, NULL, 1));
    EXPECT(-EINVAL, epl_recv(0, buf, (size_t)-1));
    EXPECT(-ENOTSOCK, epl_send(0, "x", 1));
    listener = epl_listen("127.0.0.1:0", 0);
    EXPECT(1, listener >= 0);
    EXPECT((int)strlen(text), epl_local_address(listener, text, sizeof text));
    EXPECT(-ERANGE, epl_local_address(listener, small, sizeof small));
    EXPECT(0, strcmp(small, "127"));
    EXPECT(-ERANGE, epl_local_address(listener, small, 0));
    EXPECT(-EINVAL, epl_local_address(listener, NULL, 8));
    EXPECT(-ENOTCONN, epl_peer_address(listener, text + 200, sizeof text - 200));
    EXPECT(-EAGAIN, epl_accept(listener, NULL, 0));
    EXPECT(-EADDRINUSE, epl_listen(text, 0));
    client = epl_connect(text);
    EXPECT(1, client >= 0);
    accepted = -EAGAIN;
    while (accepted == -EAGAIN)
        accepted = epl_accept(listener, text, sizeof text);
    EXPECT(1, accepted >= 0);
    EXPECT(0, strncmp(text, "127.0.0.1:", 10));
    EXPECT(0, epl_socket_error(client));
    EXPECT(0, epl_set_nodelay(client, 1));
    EXPECT(0, epl_shutdown(client, SHUT_WR));
    while (epl_recv(accepted, buf, sizeof buf) == -EAGAIN)
        continue;
    EXPECT(0, epl_recv(accepted, buf, sizeof buf));
    EXPECT(0, epl_recv(accepted, NULL, 0));
    EXPECT(0, epl_close_fd(client));
    EXPECT(0, epl_close_fd(accepted));
    EXPECT(0, epl_close_fd(listener));
}

/* A datagram that does not fit, and a descriptor that is not registered. */
static void what_stays_as_it_was(void)
{
    char text[EPL_ADDRESS_BYTES], buf[4];
    epl_reactor *reactor;
    uint64_t token;
    int datagrams = epl_bind_datagram("127.0.0.1:0", 0), pair[2];
    EXPECT(1, epl_local_address(datagrams, text, sizeof text) > 0);
    EXPECT(10, epl_sendto(datagrams, "0123456789", 10, text));
    EXPECT(4, epl_recvfrom(datagrams, buf, sizeof buf, NULL, 0));
    EXPECT(0, memcmp(buf, "0123", 4));
    EXPECT(0, epl_close_fd(datagrams));
    EXPECT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    EXPECT(0, epl_reactor_new(&reactor));
    EXPECT(-EINVAL, epl_register(reactor, pair[0], EPL_READABLE, 6, NULL, &token));
    EXPECT(-EINVAL, epl_register(reactor, pair[0], 0x8000, EPL_LEVEL, NULL, &token));
    EXPECT(0, fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    epl_reactor_free(reactor);
    EXPECT(0, epl_close_fd(pair[0]));
    EXPECT(0, epl_close_fd(pair[1]));
}

static void servers(void)
{
    char bound[EPL_ADDRESS_BYTES];
    epl_echo *echo = NULL;
    epl_echo_options options, untouched;
    epl_echo_stats stats;
    EXPECT(-EINVAL, epl_echo_options_init(NULL));
    /* Options of another header: a smaller struct is not written over. */
    memset(&options, 0x5a, sizeof options);
    untouched = options;
    EXPECT(-ELIBBAD, epl_echo_options_defaults(&options, sizeof options, EPL_VERSION + 1));
    EXPECT(-ELIBBAD, epl_echo_options_defaults(&options, sizeof options - 8, EPL_VERSION));
    EXPECT(-ELIBBAD, epl_echo_options_defaults(&options, sizeof options + 8, EPL_VERSION));
    EXPECT(0, memcmp(&options, &untouched, sizeof options));
    EXPECT(-EINVAL, epl_echo_new(NULL, NULL));
    EXPECT(-ELIBBAD, epl_echo_create(&echo, NULL, 0));
    EXPECT(0, epl_echo_options_init(&options));
    options.trigger = EPL_EXCLUSIVE;
    EXPECT(-EINVAL, epl_echo_new(&echo, &options));
    EXPECT(0, epl_echo_options_init(&options));
    options.buffer_bytes = 0;
    EXPECT(-EINVAL, epl_echo_new(&echo, &options));
    options.buffer_bytes = UINT64_MAX;
    EXPECT(-EINVAL, epl_echo_new(&echo, &options));
    EXPECT(0, epl_echo_options_init(&options));
    options.connections_max = 0;
    EXPECT(-EINVAL, epl_echo_new(&echo, &options));
    EXPECT(0, epl_echo_options_init(&options));
    options.idle_timeout_ns = UINT64_MAX;
    EXPECT(-EINVAL, epl_echo_new(&echo, &options));
    EXPECT(1, echo == NULL);
    epl_echo_free(NULL);
    EXPECT(-EINVAL, epl_echo_listen(NULL, "127.0.0.1:0", NULL, 0));
    EXPECT(-EINVAL, epl_echo_run(NULL));
    EXPECT(-EINVAL, epl_echo_run_once(NULL, 0));
    EXPECT(-EINVAL, epl_echo_stop(NULL));
    EXPECT(-EINVAL, epl_echo_read_stats(NULL, &stats));
    EXPECT(0, epl_echo_options_init(&options));
    EXPECT(0, epl_echo_new(&echo, &options));
    EXPECT(-EINVAL, epl_echo_listen(echo, NULL, NULL, 0));
    EXPECT(-EINVAL, epl_echo_listen(echo, "here", NULL, 0));
    EXPECT(-EINVAL, epl_echo_read_stats(echo, NULL));
    EXPECT(0, epl_echo_listen(echo, "127.0.0.1:0", bound, sizeof bound));
    EXPECT(-EINVAL, epl_echo_run_once(echo, -2));
    EXPECT(-EINVAL, epl_echo_run_once(echo, INT64_MIN));
    EXPECT(1, epl_echo_run_once(echo, 0));
    EXPECT(0, epl_echo_stop(echo));
    EXPECT(0, epl_echo_run(echo));
    /* It stays stopped. */
    EXPECT(0, epl_echo_run(echo));
    EXPECT(0, epl_echo_run_once(echo, EPL_FOREVER));
    EXPECT(-ESHUTDOWN, epl_echo_listen(echo, "127.0.0.1:0", NULL, 0));
    EXPECT(0, epl_echo_read_stats(echo, &stats));
    EXPECT(0, stats.accepted + stats.connections);
    epl_echo_free(echo);
}

int main(void)
{
    int before = dup(0);
    texts();
    without_a_reactor();
    with_a_reactor();
    timers();
    wake_ups();
    batches();
    sockets();
    what_stays_as_it_was();
    servers();
    close(before);
    EXPECT(before, dup(0)); /* no descriptor was leaked */
    return wrong > 99 ? 99 : wrong;
}
