/* Echoes a message N times, with four calls of the library each: calls N. */
#include <epollite.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char buf[64];
    int pair[2], rounds = argc > 1 ? atoi(argv[1]) : 1;
    epl_reactor *reactor;
    epl_event event;
    uint64_t token;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || epl_reactor_new(&reactor) < 0
        || epl_register(reactor, pair[0], EPL_READABLE, EPL_EDGE, NULL, &token) < 0)
        return 1;
    for (int round = 0; round < rounds; round++) {
        if (write(pair[1], "0123456789abcdef", 16) != 16)
            return 2;
        if (epl_next(reactor, EPL_FOREVER, &event) != 1)
            return 3;
        int fd = epl_fd(reactor, event.token);
        ssize_t len = epl_recv(fd, buf, sizeof buf);
        if (epl_send(fd, buf, (size_t)len) != 16 || read(pair[1], buf, sizeof buf) != 16)
            return 4;
    }
    epl_reactor_free(reactor);
    return 0;
}
