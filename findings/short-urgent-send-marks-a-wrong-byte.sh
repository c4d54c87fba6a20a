#!/bin/sh
# Which byte is urgent when a send with MSG_OOB is cut short.
#
# Version: Linux 6.18, Python 3.11. No package is needed beyond the base system.
# Guess:   the last byte of a send with MSG_OOB is the urgent one (tcp(7)). When a non-blocking
#          send takes a part of the bytes only, none of that part is urgent yet.
# Seen:    the last byte that was taken becomes the urgent one, in the middle of the message: the
#          receiver's read stops there, and without SO_OOBINLINE that byte is cut out of the
#          stream. To send one urgent byte, send one byte.
# Output:  short: mark before the last byte taken, one byte missing
set -eu
seen=$(timeout 60 python3 - <<'PYTHON'
import array, fcntl, socket

SIOCATMARK, MUCH = 0x8905, 32 << 20
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.setblocking(False)
taken = client.send(bytes(MUCH), socket.MSG_OOB)
client.setblocking(True)
client.shutdown(socket.SHUT_WR)
received, marks = 0, []
while data := server.recv(1 << 20):
    received += len(data)
    at_mark = array.array("i", [0])
    fcntl.ioctl(server, SIOCATMARK, at_mark)
    if at_mark[0]:
        marks.append(taken - received)
print("short:" if taken < MUCH else "whole:",
      "mark before the last byte taken," if marks[:1] == [1] else f"marks {marks},",
      "one byte missing" if taken - received == 1 else f"{taken - received} bytes missing")
PYTHON
)
echo "$seen"
[ "$seen" = "short: mark before the last byte taken, one byte missing" ]
