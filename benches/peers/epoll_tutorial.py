"""epoll_tutorial.py PORT: the usual tutorial loop on select.epoll, level-triggered."""

import select
import socket
import sys


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    clients, pending = {}, {}
    while True:
        for fd, event in epoll.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                epoll.register(client.fileno(), select.EPOLLIN)
                continue
            client = clients[fd]
            data = pending.pop(fd, None)
            try:
                data = data or client.recv(65536)
                taken = client.send(data) if data else 0
            except BlockingIOError:
                taken = 0
            except OSError:
                data = b""
            if data is None:
                continue
            if not data:
                epoll.unregister(fd)
                clients.pop(fd).close()
            elif taken < len(data):
                pending[fd] = data[taken:]
                epoll.modify(fd, select.EPOLLOUT)
            elif event & select.EPOLLOUT:
                epoll.modify(fd, select.EPOLLIN)


main()
