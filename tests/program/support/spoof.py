"""Sends one UDP datagram to the first address with the second as its forged source.

Exits with 77 without permission: a raw socket needs root.
"""

import socket
import struct
import sys


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main(target, source):
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError as error:
        print(error, file=sys.stderr)
        sys.exit(77)
    payload = b"echo this to yourself"
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    # Version 4, five words of header, 64 hops, UDP; the kernel fills in length and checksum.
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    raw.sendto(ip + udp, (target[0], 0))


main(address(sys.argv[1]), address(sys.argv[2]))
