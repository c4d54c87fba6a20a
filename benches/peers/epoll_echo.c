/*
 * epoll_echo PORT|/PATH level|edge: the C baseline that every server here is compared with.
 *
 * An echo server for TCP on 127.0.0.1, or for a Unix stream socket: one thread, one epoll, the
 * fewest system calls known to us, without any abstraction layer. What a reactor costs is what it
 * adds to this file.
 *
 *   a message, both modes       recv, send, and a share of one epoll_wait; never an epoll_ctl
 *   a connection, both modes    accept4, epoll_ctl(ADD), ..., recv = 0, close; never a DEL
 *
 * It does NOT do what a public server must: bound how long one connection is served in edge mode,
 * pause accepting when descriptors run out, or drain connections on shutdown. SIGTERM ends it at
 * once. PORT 0 lets the kernel choose a free port, which is printed on stdout.
 *
 *   cc -O2 -Wall -Wextra -o epoll_echo epoll_echo.c
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One buffer for all connections: it is empty between two events, so an idle connection needs
 * none. As large as epollite's, and like that one it begins in the middle of a page: a few bytes
 * after the start of a page the kernel copies at half the speed (docs/performance.md). */
enum { BUFFER_BYTES = 256 * 1024, PAGE_BYTES = 4096 };

/* Maximum number of events per epoll_wait. A larger number has no measurable effect. */
enum { EVENTS_MAX = 256 };

/* Descriptors are small integers, so a table indexed by them needs no search and no allocation per
 * connection. Its untouched pages use no memory. */
enum { FDS_MAX = 1 << 20 };

/* The peer has closed its side (FIN), or the connection is dead (RST, error). */
#define ENDED (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/* Unsent data of one connection. While it exists the connection is not read: further data stays in
 * the peer's send buffer, and this buffer is bounded by BUFFER_BYTES. */
struct pending {
    size_t length;
    size_t sent;
    char bytes[];
};

static struct pending *pending_of[FDS_MAX];
static _Alignas(PAGE_BYTES) char memory[PAGE_BYTES / 2 + BUFFER_BYTES];
static char *const buffer = memory + PAGE_BYTES / 2;
static bool edge;
static int epoll;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Closing the only descriptor of a socket removes it from every epoll: a DEL would be a needless
 * system call. No other event for it can be in the current batch, because a batch holds at most one
 * event per descriptor, and that one is being handled. */
static void close_connection(int fd)
{
    free(pending_of[fd]);
    pending_of[fd] = NULL;
    close(fd);
}

/* Level mode only, and only around a short send: interest in OUT while nothing is pending, or in IN
 * while the connection is not read, would be reported repeatedly. */
static void watch_only(int fd, uint32_t interest)
{
    struct epoll_event event = { .events = interest, .data.fd = fd };
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0)
        die("epoll_ctl MOD");
}

/* Returns how many bytes were sent: 0 if the socket is full, -1 if the connection is dead. */
static ssize_t send_some(int fd, const char *bytes, size_t length)
{
    for (;;) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n >= 0)
            return n;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

/* Keeps the rest of a short send. */
static bool save_pending(int fd, const char *bytes, size_t length)
{
    struct pending *pending = malloc(sizeof *pending + length);
    if (pending == NULL)
        return false;
    pending->length = length;
    pending->sent = 0;
    memcpy(pending->bytes, bytes, length);
    pending_of[fd] = pending;
    if (!edge)
        watch_only(fd, EPOLLOUT);
    return true;
}

/* Sends pending data. Returns true if none is left and reading may continue. */
static bool flush_pending(int fd)
{
    struct pending *pending = pending_of[fd];
    ssize_t n = send_some(fd, pending->bytes + pending->sent, pending->length - pending->sent);
    if (n < 0) {
        close_connection(fd);
        return false;
    }
    pending->sent += (size_t)n;
    if (pending->sent < pending->length)
        return false; /* resumed by the next OUT */
    free(pending);
    pending_of[fd] = NULL;
    if (!edge)
        watch_only(fd, EPOLLIN);
    return true;
}

/* Echoes what has arrived on one connection. */
static void serve(int fd, uint32_t events)
{
    if (pending_of[fd] != NULL) {
        /* New data is an edge as well, but the socket is still full. */
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) || !flush_pending(fd))
            return;
        /* Flushed. Read even if this event has no IN: the edge for data that arrived while the
         * connection was not read has already been reported. */
    }
    for (;;) {
        ssize_t n = recv(fd, buffer, BUFFER_BYTES, 0);
        if (n > 0) {
            ssize_t taken = send_some(fd, buffer, (size_t)n);
            if (taken < 0)
                break;
            if (taken < n && !save_pending(fd, buffer + taken, (size_t)(n - taken)))
                break;
            if (taken < n)
                return;
            /* Level mode: the next epoll_wait reports remaining data. */
            if (!edge)
                return;
            /* Edge mode: there is no further event, so the socket must be emptied. A short read
             * from TCP (or from a Unix socket without passed descriptors) means that
             * it is, and saves the recv that would return EAGAIN. But a FIN may follow the
             * data, and its edge is the very event we are handling: when the event carries it, read
             * on until the end. If it comes later, so does an edge. */
            if (n < BUFFER_BYTES && !(events & ENDED))
                return;
            continue;
        }
        /* End of stream. Everything read before has been sent (nothing is read while data is
         * pending), so close sends the remaining bytes and a FIN. */
        if (n == 0)
            break;
        if (errno == EAGAIN)
            return;
        if (errno != EINTR)
            break;
    }
    close_connection(fd);
}

/* Accepts all connections in the backlog. They inherit TCP_NODELAY from the listener, so a
 * connection costs accept4 and one ADD. Edge mode registers all events once, including OUT and
 * RDHUP: an unneeded edge costs next to nothing, a MOD costs a system call. */
static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) /* aborted by the client */
                continue;
            if (errno != EAGAIN)
                perror("accept4");
            return;
        }
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
        if (edge)
            event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        if (fd >= FDS_MAX || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            close(fd);
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        die("cannot listen");
    }
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0)
        die("socket");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, SOMAXCONN) < 0)
        die("cannot listen");
    return listener;
}

static int listen_on(uint16_t port)
{
    int on = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0)
        die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, SOMAXCONN) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        die("cannot listen");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    bool unix_socket = argc == 3 && argv[1][0] == '/';
    long port = argc != 3 ? -1 : unix_socket ? 0 : strtol(argv[1], &end, 10);
    edge = argc == 3 && strcmp(argv[2], "edge") == 0;
    if (port < 0 || port > 65535 || (end != NULL && *end != '\0') ||
        (!edge && strcmp(argv[2], "level") != 0)) {
        fprintf(stderr, "usage: epoll_echo PORT|/PATH level|edge\n");
        return 2;
    }
    struct rlimit files; /* thousands of clients are the point; the soft limit is often 1024 */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("epoll_create1");
    int listener = unix_socket ? listen_at(argv[1]) : listen_on((uint16_t)port);
    struct epoll_event event = { .events = edge ? EPOLLIN | EPOLLET : EPOLLIN,
                                 .data.fd = listener };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll_ctl ADD");
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener);
            else
                serve(events[i].data.fd, events[i].events);
        }
    }
}
