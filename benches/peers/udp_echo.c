/*
 * udp_echo PORT: the C baseline for datagrams: recvfrom until EAGAIN, sendto for each, epoll.
 * No batches, no segmentation offload: the usual implementation.
 *
 *   cc -O2 -Wall -Wextra -o udp_echo udp_echo.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static char buffer[64 * 1024];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: udp_echo PORT\n");
        return 2;
    }
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("udp_echo");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll");
    for (;;) {
        if (epoll_wait(epoll, &event, 1, -1) < 0) {
            if (errno != EINTR)
                die("epoll_wait");
            continue; /* interrupted */
        }
        for (;;) {
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
            if (n < 0)
                break; /* empty, or an ICMP error of an earlier datagram */
            sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length);
        }
    }
}
