#!/bin/sh
# A peer that closes with unread data: when is its reset seen, before or behind what it had sent?
#
# Version: Linux 6.18, Python 3.11. No package is needed beyond the base system.
# Guess:   the two connected types of Unix sockets, stream and sequenced packets, differ in the
#          boundaries of messages only: what the peer had sent comes first, then ECONNRESET.
# Seen:    so it is for a stream. With sequenced packets ECONNRESET comes first, and the message
#          afterwards: a program that closes at the first error loses it.
# Output:  stream: data ECONNRESET end; seqpacket: ECONNRESET data end
set -eu
seen=$(timeout 60 python3 - <<'PYTHON'
import errno, socket

def reads(kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    ours.send(b"never read")
    theirs.send(b"data")
    theirs.close()
    for _ in range(3):
        try:
            yield ours.recv(16).decode() or "end"
        except OSError as error:
            yield errno.errorcode[error.errno]

print(f"stream: {' '.join(reads(socket.SOCK_STREAM))};",
      f"seqpacket: {' '.join(reads(socket.SOCK_SEQPACKET))}")
PYTHON
)
echo "$seen"
[ "$seen" = "stream: data ECONNRESET end; seqpacket: ECONNRESET data end" ]
