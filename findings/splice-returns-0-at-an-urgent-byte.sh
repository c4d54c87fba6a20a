#!/bin/sh
# splice(2) from a TCP socket whose next byte is urgent.
#
# Version: Linux 6.18, Python 3.11 (Debian 12). No package is needed beyond the base system.
# Guess:   splice(2) returns 0 at the end of input only, as its page says; before that it moves
#          bytes, or fails with EAGAIN.
# Seen:    with an urgent byte at the front, and bytes behind it that are not urgent, it returns 0
#          as if the peer had closed, again and again. recv(2) passes over the urgent byte and
#          returns the rest, and after that splice works. A proxy that takes 0 for the end
#          cuts the stream.
# Output:  splice 2 / splice 0 / splice 0 / recv b'cd' / splice 1
set -eu
seen=$(python3 - <<'EOF'
import os, select, socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
reader, writer = os.pipe()

def move():
    count = os.splice(server.fileno(), writer, 100)
    if count:
        os.read(reader, count)
    print("splice", count)

client.send(b"ab")
client.send(b"!", socket.MSG_OOB)
client.send(b"cd")
poll = select.poll()
poll.register(server, select.POLLPRI)
poll.poll(10_000)
while len(server.recv(100, socket.MSG_PEEK)) < 2:
    pass
move()
move()
move()
print("recv", server.recv(100))
client.send(b"e")
select.select([server], [], [], 10)
move()
EOF
)
wanted="splice 2
splice 0
splice 0
recv b'cd'
splice 1"
uname -r
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
