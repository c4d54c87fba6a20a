/* An echo server: echo [ADDRESS]. A client that does not read is closed. */
#include <epollite.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    epl_reactor *reactor;
    uint64_t listener, client;
    epl_event event;
    char buf[16384], text[EPL_ADDRESS_BYTES];
    int fd = epl_listen(argc > 1 ? argv[1] : "127.0.0.1:7777", 0);
    int error = fd < 0 ? fd : epl_reactor_new(&reactor);
    if (error == 0)
        error = epl_register(reactor, fd, EPL_READABLE, EPL_LEVEL, NULL,
                             &listener);
    if (error < 0) {
        fprintf(stderr, "echo: %s\n", epl_strerror(error));
        return 1;
    }
    epl_local_address(fd, text, sizeof text);
    printf("listening on %s\n", text);
    fflush(stdout);
    while (epl_next(reactor, EPL_FOREVER, &event) == 1) {
        if (event.token == listener) {
            if ((fd = epl_accept(epl_fd(reactor, listener), NULL, 0)) >= 0
                && epl_register(reactor, fd, EPL_READABLE, EPL_LEVEL, NULL,
                                &client) < 0)
                epl_close_fd(fd);
            continue;
        }
        fd = epl_fd(reactor, event.token);
        ssize_t len = epl_recv(fd, buf, sizeof buf);
        if (len <= 0 || epl_send(fd, buf, (size_t)len) != len)
            epl_close(reactor, event.token);
    }
    return 1;
}
