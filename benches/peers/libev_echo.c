/*
 * libev_echo PORT: an echo server on libev: one watcher per client, level-triggered; it waits for
 * writability instead of readability while data is pending.
 *
 *   cc -O2 -o libev_echo libev_echo.c -lev
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024 };

struct client {
    ev_io io; /* first, so that a pointer to it is one to the client */
    char *pending;
    size_t length, sent;
};

static char buffer[BUFFER_BYTES];

static void close_connection(struct ev_loop *loop, struct client *client)
{
    ev_io_stop(loop, &client->io);
    close(client->io.fd);
    free(client->pending);
    free(client);
}

static void wait_for(struct ev_loop *loop, struct client *client, int what)
{
    ev_io_stop(loop, &client->io);
    ev_io_set(&client->io, client->io.fd, what);
    ev_io_start(loop, &client->io);
}

static int is_for_later(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static void on_client(struct ev_loop *loop, ev_io *io, int what)
{
    struct client *client = (struct client *)io;
    if (what & EV_WRITE) {
        ssize_t n = send(io->fd, client->pending + client->sent, client->length - client->sent,
                         MSG_NOSIGNAL);
        if (n < 0 && !is_for_later()) {
            close_connection(loop, client);
            return;
        }
        client->sent += n > 0 ? (size_t)n : 0;
        if (client->sent == client->length) {
            free(client->pending);
            client->pending = NULL;
            wait_for(loop, client, EV_READ);
        }
        return;
    }
    ssize_t n = recv(io->fd, buffer, sizeof buffer, 0);
    if (n == 0 || (n < 0 && !is_for_later())) {
        close_connection(loop, client);
        return;
    }
    if (n < 0)
        return;
    ssize_t taken = send(io->fd, buffer, (size_t)n, MSG_NOSIGNAL);
    if (taken < 0 && !is_for_later()) {
        close_connection(loop, client);
        return;
    }
    if (taken < 0)
        taken = 0;
    if (taken == n)
        return;
    client->length = (size_t)(n - taken);
    client->sent = 0;
    client->pending = malloc(client->length);
    memcpy(client->pending, buffer + taken, client->length);
    wait_for(loop, client, EV_WRITE);
}

static void on_connection(struct ev_loop *loop, ev_io *io, int what)
{
    (void)what;
    int fd;
    while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        ev_io_init(&client->io, on_client, fd, EV_READ);
        ev_io_start(loop, &client->io);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: libev_echo PORT\n");
        return 2;
    }
    int on = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited on accept */
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, SOMAXCONN) < 0) {
        perror("libev_echo");
        return 1;
    }
    struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
    ev_io watch;
    ev_io_init(&watch, on_connection, listener, EV_READ);
    ev_io_start(loop, &watch);
    ev_run(loop, 0);
    return 0;
}
