/*
 * libevent_echo PORT: an echo server on libevent's bufferevents, as in its book.
 *
 *   cc -O2 -o libevent_echo libevent_echo.c -levent
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above this much unsent data, reading stops until all of it is sent. */
enum { PENDING_MAX = 256 * 1024 };

static void on_read(struct bufferevent *client, void *unused)
{
    (void)unused;
    struct evbuffer *out = bufferevent_get_output(client);
    evbuffer_add_buffer(out, bufferevent_get_input(client));
    if (evbuffer_get_length(out) > PENDING_MAX)
        bufferevent_disable(client, EV_READ);
}

/* The output buffer is empty: closes after EOF. */
static void on_written(struct bufferevent *client, void *unused)
{
    (void)unused;
    bufferevent_enable(client, EV_READ);
}

static void on_last(struct bufferevent *client, void *unused)
{
    (void)unused;
    bufferevent_free(client);
}

static void on_event(struct bufferevent *client, short what, void *unused)
{
    (void)unused;
    if ((what & BEV_EVENT_EOF) && evbuffer_get_length(bufferevent_get_output(client)) > 0)
        bufferevent_setcb(client, NULL, on_last, on_event, NULL);
    else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        bufferevent_free(client);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int length, void *unused)
{
    (void)from;
    (void)length;
    (void)unused;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(client, on_read, on_written, on_event, NULL);
    bufferevent_enable(client, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: libevent_echo PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct event_base *base = event_base_new();
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, SOMAXCONN,
        (struct sockaddr *)&address, sizeof address);
    if (listener == NULL) {
        perror("libevent_echo");
        return 1;
    }
    return event_base_dispatch(base);
}
