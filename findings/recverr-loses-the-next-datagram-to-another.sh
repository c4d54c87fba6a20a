#!/bin/sh
# IP_RECVERR on an unconnected UDP socket that sends to several peers, one of which has gone.
#
# Version: Linux 6.18 (x86-64), Python 3. No package is needed.
# Guess:   the errors of peers go to the error queue, each with the address of its peer, so that
#          sends to other peers are not concerned: that is what the option is for.
# Seen:    the next sendto(2), to a peer that is there, fails with ECONNREFUSED, and its datagram is
#          not sent. The error stays in the queue as well. The send after that succeeds. Without the
#          option nothing fails.
# Output:  off sent,sent 2 received, 0 queued / on ECONNREFUSED,sent 1 received, 1 queued
set -eu
seen=$(python3 - <<'PY'
import errno, select, socket

IP_RECVERR = 11

def udp():
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    return one

def count(receive):
    number = 0
    try:
        while True:
            receive()
            number += 1
    except BlockingIOError:
        return number

for name, option in (("off", 0), ("on", 1)):
    sender, there, gone = udp(), udp(), udp()
    sender.setsockopt(socket.IPPROTO_IP, IP_RECVERR, option)
    address = gone.getsockname()
    gone.close()
    sender.sendto(b"x", address)
    # On loopback the ICMP error has come back when sendto(2) returns.
    results = []
    for _ in range(2):
        try:
            sender.sendto(b"x", there.getsockname())
            results.append("sent")
        except OSError as error:
            results.append(errno.errorcode[error.errno])
    select.select([there], [], [], 5)
    received = count(lambda: there.recv(9, socket.MSG_DONTWAIT))
    queued = count(lambda: sender.recvmsg(9, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT))
    print(name, ",".join(results), f"{received} received, {queued} queued")
PY
)
wanted='off sent,sent 2 received, 0 queued
on ECONNREFUSED,sent 1 received, 1 queued'
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
