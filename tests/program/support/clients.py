"""Many clients in one process.

    clients.py hold HOST PORT COUNT    connects all, prints "holding COUNT", closes at end of input
    clients.py busy HOST PORT COUNT    connects all, echoes 20 messages on each
    clients.py churn HOST PORT COUNT   connects and closes, one after the other
    clients.py reset HOST PORT COUNT   connects, sends, and resets without reading
    clients.py vanish HOST PORT COUNT  echoes once, vanishes without FIN or RST; 77 if not allowed
"""

import resource
import socket
import struct
import sys

# One address has 28,000 ephemeral ports, each in TIME_WAIT for a minute: several addresses suffice.
ADDRESSES = 20
TCP_REPAIR = 19


def connect(host, port, number):
    client = socket.socket()
    client.settimeout(60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the connect picks it
    client.bind((f"127.0.1.{1 + number % ADDRESSES}", 0))
    client.connect((host, port))
    return client


def hold(host, port, count):
    clients = [connect(host, port, number) for number in range(count)]
    print("holding", len(clients), flush=True)
    sys.stdin.read()


def busy(host, port, count):
    clients = [connect(host, port, number) for number in range(count)]
    for number in range(20):
        message = b"message %5d" % number
        for client in clients:
            client.sendall(message)
        for client in clients:
            assert client.recv(len(message), socket.MSG_WAITALL) == message
    print("echoed", len(clients), flush=True)
    sys.stdin.read()


def churn(host, port, count):
    for number in range(count):
        connect(host, port, number).close()


def reset(host, port, count):
    at_once = struct.pack("ii", 1, 0)  # SO_LINGER, zero seconds: close sends RST
    for number in range(count):
        client = connect(host, port, number)
        client.sendall(b"r" * (number * 997 % 65536))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        client.close()


def vanish(host, port, count):
    for number in range(count):
        client = connect(host, port, number)
        client.sendall(b"before vanishing")
        assert client.recv(16, socket.MSG_WAITALL) == b"before vanishing"
        try:
            client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError as error:
            print(error, file=sys.stderr)
            sys.exit(77)
        client.close()


def main(what, host, port, count):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    what(host, int(port), int(count))


COMMANDS = {"hold": hold, "busy": busy, "churn": churn, "reset": reset, "vanish": vanish}
main(COMMANDS[sys.argv[1]], *sys.argv[2:])
