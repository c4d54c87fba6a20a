#!/bin/sh
# Sending a UDP datagram from a non-local address (IP_PKTINFO, IPV6_PKTINFO).
#
# Version: Linux 6.18 (x86-64), Python 3. No package is needed.
# Guess:   both families reject the source address, with EADDRNOTAVAIL as bind(2) does for the same
#          address, or at least with one errno.
# Seen:    IPv4 returns ENETUNREACH, as if there were no route to the destination (which is
#          loopback); IPv6 returns EINVAL. bind(2) returns EADDRNOTAVAIL in both.
# Output:  bind EADDRNOTAVAIL EADDRNOTAVAIL / send ENETUNREACH EINVAL
set -eu
seen=$(python3 - <<'PY'
import errno, socket, struct
IP_PKTINFO, IPV6_PKTINFO = 8, 50
def name(call):
    try:
        call()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]
four, six = (socket.socket(f, socket.SOCK_DGRAM) for f in (socket.AF_INET, socket.AF_INET6))
print("bind", name(lambda: four.bind(("192.0.2.7", 0))), name(lambda: six.bind(("2001:db8::7", 0))))
info4 = struct.pack("i4s4s", 0, socket.inet_aton("192.0.2.7"), bytes(4))
info6 = struct.pack("16si", socket.inet_pton(socket.AF_INET6, "2001:db8::7"), 0)
print("send",
      name(lambda: four.sendmsg(
          [b"x"], [(socket.IPPROTO_IP, IP_PKTINFO, info4)], 0, ("127.0.0.1", 9))),
      name(lambda: six.sendmsg(
          [b"x"], [(socket.IPPROTO_IPV6, IPV6_PKTINFO, info6)], 0, ("::1", 9))))
PY
)
wanted='bind EADDRNOTAVAIL EADDRNOTAVAIL
send ENETUNREACH EINVAL'
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
