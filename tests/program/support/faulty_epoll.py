# An epoll with one fault of each kind. Prints the descriptors of the epoll, of two ghosts, of a
# socket that is not watched, and of two registrations with bad masks; then waits for the end of its
# input.

import os
import select
import socket
import struct
import sys

epoll = select.epoll()


def add(fd, events, data):
    # The module always stores the number of the descriptor as data.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    event = struct.pack("=IQ", events, data)
    if libc.epoll_ctl(epoll.fileno(), 1, fd, event) != 0:
        raise OSError(ctypes.get_errno(), "epoll_ctl")


ghost, ghost_peer = socket.socketpair()
reused, reused_peer = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
listener.close()
no_interest = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
not_watched = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
not_watched.bind(("127.0.0.1", 0))
add(ghost.fileno(), select.EPOLLIN, 1)
add(reused.fileno(), select.EPOLLIN, 2)
add(no_interest.fileno(), 0, 3)
add(client.fileno(), select.EPOLLIN | select.EPOLLOUT, 4)
others = [ghost_peer, reused_peer, server]
for at, peer in enumerate(others):
    add(peer.fileno(), select.EPOLLIN, 10 + at)
number = ghost.fileno()
kept = [os.dup(ghost.fileno()), os.dup(reused.fileno())]
# The number of the second is that of a file now.
os.dup2(os.open("/dev/null", os.O_RDONLY), reused.fileno())
os.close(ghost.fileno())
print(
    epoll.fileno(), number, reused.fileno(), not_watched.fileno(), no_interest.fileno(),
    client.fileno(), flush=True,
)
sys.stdin.read()
