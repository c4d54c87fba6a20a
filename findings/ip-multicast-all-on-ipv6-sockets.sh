#!/bin/sh
# IP_MULTICAST_ALL on an IPv6 socket.
#
# Version: Linux 6.18 (x86-64), Python 3. No package is needed.
# Guess:   ip(7) gives the default of IP_MULTICAST_ALL as 1, and an IPv6 socket takes the option
#          too (it may receive IPv4 datagrams), so that it reads 1 there as well.
# Seen:    a fresh AF_INET socket reads 1, a fresh AF_INET6 socket reads 0, UDP and TCP alike; it
#          can be set to 1 there. IPV6_MULTICAST_ALL of the same socket reads 1.
# Output:  inet 1 1 / inet6 0 0 / inet6 set 1 / inet6 own 1
set -eu
seen=$(python3 - <<'PY'
import socket
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
def multicast_all(family, kind):
    with socket.socket(family, kind) as s:
        return s.getsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL)
kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
print("inet", *(multicast_all(socket.AF_INET, kind) for kind in kinds))
print("inet6", *(multicast_all(socket.AF_INET6, kind) for kind in kinds))
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 1)
    print("inet6 set", s.getsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL))
    print("inet6 own", s.getsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL))
PY
)
wanted='inet 1 1
inet6 0 0
inet6 set 1
inet6 own 1'
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
