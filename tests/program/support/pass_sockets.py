"""Executes a command with passed sockets, as a service manager does.

Usage: pass_sockets.py SPEC... -- COMMAND...
SPEC: tcp, udp, unix:PATH, unix-datagram:PATH; not served: connected, idle, seqpacket:PATH, file;
closed (nothing has that number); NAME=VALUE or NAME- for the environment, after the usual one.
"""

import os
import socket
import sys

FIRST = 3


def opened(spec):
    kind, _, path = spec.partition(":")
    if kind == "tcp":
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.bind(("127.0.0.1", 0))
        made.listen(4096)
    elif kind == "idle":
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    elif kind == "connected":
        made = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)[0]
    elif kind == "udp":
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
    elif kind == "file":
        return os.open("/dev/null", os.O_RDONLY)
    else:
        types = {"unix": "SOCK_STREAM", "unix-datagram": "SOCK_DGRAM"}
        made = socket.socket(socket.AF_UNIX, getattr(socket, types.get(kind, "SOCK_SEQPACKET")))
        made.bind(path)
        if kind != "unix-datagram":
            made.listen(128)
    return made.detach()


end = sys.argv.index("--")
words, command = sys.argv[1:end], sys.argv[end + 1 :]
specs = [word for word in words if "=" not in word and not word.endswith("-")]
sockets = [None if spec == "closed" else opened(spec) for spec in specs]
# Out of the way first: a number may be that of another one's place.
high = [fd and os.dup2(fd, 100 + at) for at, fd in enumerate(sockets)]
os.closerange(FIRST, 100)
for at, fd in enumerate(high):
    if fd is not None:
        os.dup2(fd, FIRST + at, inheritable=True)
        os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(specs))
for word in words:
    name, sign, value = word.partition("=")
    if sign:
        os.environ[name] = value
    elif word.endswith("-"):
        os.environ.pop(word[:-1], None)
os.execvp(command[0], command)
