"""A client that checks every byte: client.py HOST PORT KIND ARGUMENT..., in a network namespace."""

import hashlib
import select
import socket
import sys
import threading
import time

# Longer than any case takes. A case that hangs fails by this.
TIMEOUT = 100


def pattern(seed, size):
    block = hashlib.sha256(str(seed).encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def connect(host, port):
    sock = socket.create_connection((host, port), timeout=TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def recv_exactly(sock, size):
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(65536)
        if not part:
            break
        parts += part
    return bytes(parts)


def whole(sock, data):
    """Sends everything and half-closes while it reads to the end."""

    def send():
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    back = bytearray()
    while part := sock.recv(65536):
        back += part
    sender.join()
    return bytes(back) == data


def streams(host, port, clients, size):
    """Many clients at once; each must get back what it sent."""
    results = []

    def one(seed):
        with connect(host, port) as sock:
            results.append(whole(sock, pattern(seed, size)))

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("streams", results.count(True), "of", clients)


def pings(host, port, rounds):
    """One message after the other."""
    with connect(host, port) as sock:
        for number in range(rounds):
            message = pattern(number, 100)
            sock.sendall(message)
            if recv_exactly(sock, 100) != message:
                sys.exit(f"message {number} is wrong")
    print("pings", rounds)


def held(host, port):
    """A connection that is left alone: says so, waits for a line, and reports how it ended."""
    with connect(host, port) as sock:
        sock.sendall(b"held")
        print(recv_exactly(sock, 4).decode(), flush=True)
        sys.stdin.readline()
        try:
            sock.sendall(b"more")
            print("received", recv_exactly(sock, 4).decode() or "the end")
        except OSError as error:
            print("error", error.errno)


def stuck(host, port):
    """Sends packets too large for the network: says so, and how the connection ended."""
    with connect(host, port) as sock:
        print("connected", flush=True)
        try:
            sock.sendall(bytes(30000))
            print("received", len(recv_exactly(sock, 30000)))
        except OSError as error:
            print("error", error.errno)


def vanish(host, port):
    """A client that disappears without a FIN or a RST, as a machine without power."""
    sock = connect(host, port)
    sock.sendall(b"gone")
    recv_exactly(sock, 4)
    TCP_REPAIR = 19
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()
    print("vanished")


def datagrams(host, port, count):
    """Sends numbered datagrams; what comes back must be one of them, and some must come back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, port))
    sent = {pattern(number, 40 + number): number for number in range(count)}
    back = 0
    for message in sent:
        sock.send(message)
        if select.select([sock], [], [], 0.02)[0]:
            if sock.recv(4096) not in sent:
                sys.exit("a datagram that was not sent")
            back += 1
    while select.select([sock], [], [], 0.5)[0]:
        if sock.recv(4096) not in sent:
            sys.exit("a datagram that was not sent")
        back += 1
    print("datagrams", "some" if 0 < back <= count else back)


def main():
    host, port, kind, *numbers = sys.argv[1:]
    kinds = {
        "streams": streams,
        "pings": pings,
        "held": held,
        "stuck": stuck,
        "vanish": vanish,
        "datagrams": datagrams,
    }
    kinds[kind](host, int(port), *map(int, numbers))


main()
