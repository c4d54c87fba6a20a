/*
 * epoll_echo PORT|/PATH level|edge: the C twin, the YARDSTICK every server here is measured against.
 *
 * A TCP echo server on 127.0.0.1, or one on a Unix stream socket: one thread, one epoll, the fewest system calls we know of and
 * no layer between them and the reader. What a reactor costs is what it adds to this file.
 *
 *   a message, both modes       recv, send, and a share of one epoll_wait; never an epoll_ctl
 *   a connection, both modes    accept4, epoll_ctl(ADD), ..., recv = 0, close; never a DEL
 *
 * It does NOT do what a server for strangers must: bound how long one connection is served in
 * edge mode, pause accepting when descriptors run out, or drain when it is told to stop. SIGTERM
 * simply ends it. PORT 0 asks the kernel for a free port; the line on stdout says which.
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

/* One buffer for everybody: between two events no byte stays in it, so an idle connection needs
 * none. 64 KiB is what a loopback segment holds at most, and still fits the second-level cache. */
enum { BUFFER_BYTES = 64 * 1024 };

/* Events taken from the kernel at a time. More than this saves nothing that can be measured. */
enum { EVENTS_MAX = 256 };

/* Descriptors are small numbers, so a table indexed by them needs no search and no allocation per
 * connection. Pages of it that nobody touches cost nothing. */
enum { FDS_MAX = 1 << 20 };

/* The peer has said its last word (FIN), or the connection is dead (RST, error). */
#define ENDED (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/* What one connection could not take yet. While it exists we do not read from that connection:
 * the rest waits in the peer's send buffer, and ours stays bounded at one BUFFER_BYTES. */
struct owed {
    size_t length;
    size_t sent;
    char bytes[];
};

static struct owed *owed_to[FDS_MAX];
static char buffer[BUFFER_BYTES];
static bool edge;
static int epoll;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Closing the only descriptor of a socket takes it out of every epoll: a DEL would be one system
 * call more for nothing. No other event for it can be in the batch at hand, because a batch holds
 * at most one event for each descriptor and we are in the middle of handling that one. */
static void hang_up(int fd)
{
    free(owed_to[fd]);
    owed_to[fd] = NULL;
    close(fd);
}

/* Level mode only, and only around a short send: interest in OUT while nothing is owed, or in IN
 * while we refuse to read, would be reported again and again. */
static void watch_only(int fd, uint32_t interest)
{
    struct epoll_event event = { .events = interest, .data.fd = fd };
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0)
        die("epoll_ctl MOD");
}

/* Returns how many bytes the socket took: 0 when it is full, -1 when the connection is dead. */
static ssize_t give(int fd, const char *bytes, size_t length)
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

/* Keeps what a short send left over. */
static bool owe(int fd, const char *bytes, size_t length)
{
    struct owed *owed = malloc(sizeof *owed + length);
    if (owed == NULL)
        return false;
    owed->length = length;
    owed->sent = 0;
    memcpy(owed->bytes, bytes, length);
    owed_to[fd] = owed;
    if (!edge)
        watch_only(fd, EPOLLOUT);
    return true;
}

/* Pays as much of the debt as the socket takes. True when it is settled and reading may go on. */
static bool pay(int fd)
{
    struct owed *owed = owed_to[fd];
    ssize_t n = give(fd, owed->bytes + owed->sent, owed->length - owed->sent);
    if (n < 0) {
        hang_up(fd);
        return false;
    }
    owed->sent += (size_t)n;
    if (owed->sent < owed->length)
        return false; /* the next OUT brings us back */
    free(owed);
    owed_to[fd] = NULL;
    if (!edge)
        watch_only(fd, EPOLLIN);
    return true;
}

/* Echoes what has arrived on one connection. */
static void serve(int fd, uint32_t events)
{
    if (owed_to[fd] != NULL) {
        /* More data is an edge as well, but it makes no room. */
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) || !pay(fd))
            return;
        /* Paid. Read on even if this event does not say IN: the edge for data that came while we
         * were not reading is long gone. */
    }
    for (;;) {
        ssize_t n = recv(fd, buffer, BUFFER_BYTES, 0);
        if (n > 0) {
            ssize_t taken = give(fd, buffer, (size_t)n);
            if (taken < 0)
                break;
            if (taken < n && !owe(fd, buffer + taken, (size_t)(n - taken)))
                break;
            if (taken < n)
                return;
            /* Level mode: if there is more, the next epoll_wait says so. */
            if (!edge)
                return;
            /* Edge mode: nobody will remind us, so the socket must be left empty. A short read
             * from TCP (or from a Unix socket that no descriptors are passed through) means that
             * it is, and saves the recv that would only say EAGAIN. But a FIN may stand behind the
             * data, and its edge is the very event we are handling: when the event carries it, read
             * on until the end. If it comes later, so does an edge. */
            if (n < BUFFER_BYTES && !(events & ENDED))
                return;
            continue;
        }
        /* End of stream, and everything read before it has been sent (we never read while we owe),
         * so closing now sends the peer the last bytes and our own FIN after them. */
        if (n == 0)
            break;
        if (errno == EAGAIN)
            return;
        if (errno != EINTR)
            break;
    }
    hang_up(fd);
}

/* Takes everybody who is waiting at the listener. The sockets inherit TCP_NODELAY from the listener,
 * so a connection pays for accept4 and one ADD. Edge mode asks for everything once and never
 * again; OUT, RDHUP and all: an edge nobody needs costs next to nothing, a MOD costs a call. */
static void welcome(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) /* that client gave up; the next */
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
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, SOMAXCONN) < 0)
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
    struct epoll_event event = { .events = edge ? EPOLLIN | EPOLLET : EPOLLIN, .data.fd = listener };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll_ctl ADD");
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                welcome(listener);
            else
                serve(events[i].data.fd, events[i].events);
        }
    }
}
