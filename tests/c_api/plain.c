/* examples/c/echo.c without the library: what a program has anyway. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    char buf[16384];
    struct epoll_event event = {.events = EPOLLIN};
    struct sockaddr_in address = {.sin_family = AF_INET};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0
        || listen(listener, 4096) < 0) {
        fprintf(stderr, "plain: no listener\n");
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    while (epoll_wait(epoll, &event, 1, -1) == 1) {
        int fd = event.data.fd;
        if (fd == listener) {
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
            if (fd >= 0)
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            continue;
        }
        ssize_t len = recv(fd, buf, sizeof buf, 0);
        if (len <= 0 || send(fd, buf, (size_t)len, MSG_NOSIGNAL) != len)
            close(fd);
    }
    return 1;
}
