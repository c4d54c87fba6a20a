#!/bin/sh
# Datagrams that were queued while UDP_GRO was on, and read after it was switched off.
#
# Version: Linux 6.18, Python 3.11 (Debian 12). No package is needed beyond the base system.
# Guess:   without UDP_GRO a receive returns one datagram: 4, 4 and 2 bytes of a message of 10 bytes
#          that was sent in segments of 4.
# Seen:    it returns all 10 bytes as one datagram, without the control message that tells the
#          length of the segments: where the datagrams began is lost. The option decides when a
#          packet is queued whether it stays in one piece, and when it is read whether that is told.
# Output:  on: 10 bytes, segments of 4 / switched off: 10 bytes, not segmented
set -eu
seen=$(python3 - <<'EOF'
import socket, struct
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.settimeout(10)
receiver.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.connect(receiver.getsockname())
for name, is_off in (("on", False), ("switched off", True)):
    receiver.setsockopt(SOL_UDP, UDP_GRO, 1)
    sender.sendmsg([b"0123456789"], [(SOL_UDP, UDP_SEGMENT, struct.pack("H", 4))])
    if is_off:
        receiver.setsockopt(SOL_UDP, UDP_GRO, 0)
    data, control, _, _ = receiver.recvmsg(100, 100)
    sizes = [struct.unpack("i", value)[0] for _, kind, value in control if kind == UDP_GRO]
    how = f"segments of {sizes[0]}" if sizes else "not segmented"
    print(f"{name}: {len(data)} bytes, {how}")
EOF
)
wanted='on: 10 bytes, segments of 4
switched off: 10 bytes, not segmented'
uname -r
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
