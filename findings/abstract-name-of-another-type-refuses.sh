#!/bin/sh
# Connecting to a Unix socket of another type, by path and by abstract name.
#
# Version: Linux 6.18, Python 3.11. No package is needed beyond the base system.
# Guess:   a stream socket that connects to the name of a sequenced-packet listener gets
#          EPROTOTYPE, as unix(7) says, whatever kind of name it is.
# Seen:    by path EPROTOTYPE, by abstract name ECONNREFUSED: abstract names are looked up by name
#          and type, so that there is no such name; two sockets of different types may even be
#          bound to the same one. A client that tells "no server" from "wrong type" by the errno
#          can do so with paths only.
# Output:  path EPROTOTYPE, abstract ECONNREFUSED, both bound
set -eu
seen=$(timeout 60 python3 - <<'PYTHON'
import errno, os, socket, tempfile

def connect(name):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(name)
    listener.listen()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(name)
        return "connected"
    except OSError as error:
        return errno.errorcode[error.errno]

with tempfile.TemporaryDirectory() as folder:
    by_path = connect(os.path.join(folder, "s"))
abstract = connect(f"\0finding {os.getpid()}")
name = f"\0finding both {os.getpid()}"
both = [socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
for each in both:
    each.bind(name)
print(f"path {by_path}, abstract {abstract}, both bound")
PYTHON
)
echo "$seen"
[ "$seen" = "path EPROTOTYPE, abstract ECONNREFUSED, both bound" ]
