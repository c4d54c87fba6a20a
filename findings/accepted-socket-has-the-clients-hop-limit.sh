#!/bin/sh
# The multicast TTL of a TCP socket that accept(2) has returned.
#
# Version: Linux 6.18 (x86-64), Python 3. No package is needed.
# Guess:   IP_MULTICAST_TTL and IPV6_MULTICAST_HOPS of an accepted connection are the default, 1 (a
#          stream socket may not even set them: EINVAL, ENOPROTOOPT); and the TTL of the client's
#          packets is not to be had from a stream without IP_RECVTTL.
# Seen:    they are the TTL or hop limit of the client's packet that completed the handshake, read
#          by one getsockopt(2). IP_TTL and IPV6_UNICAST_HOPS are the listener's, as guessed.
# Output:  IPv4 ttl 33, multicast 77; IPv6 hops 33, multicast 77
set -eu
seen=$(python3 - <<'PY'
import socket

CASES = (
    ("IPv4 ttl", socket.AF_INET, "127.0.0.1", socket.IPPROTO_IP, socket.IP_TTL,
     socket.IP_MULTICAST_TTL),
    ("IPv6 hops", socket.AF_INET6, "::1", socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS,
     socket.IPV6_MULTICAST_HOPS),
)
texts = []
for name, family, host, level, ttl, multicast in CASES:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(level, ttl, 33)
    listener.bind((host, 0))
    listener.listen()
    client = socket.socket(family, socket.SOCK_STREAM)
    client.setsockopt(level, ttl, 77)
    client.connect(listener.getsockname())
    accepted, _ = listener.accept()
    values = [accepted.getsockopt(level, option) for option in (ttl, multicast)]
    texts.append(f"{name} {values[0]}, multicast {values[1]}")
print("; ".join(texts))
PY
)
wanted='IPv4 ttl 33, multicast 77; IPv6 hops 33, multicast 77'
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
