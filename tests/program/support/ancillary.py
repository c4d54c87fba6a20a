"""Clients with unusual traffic.

    ancillary.py urgent HOST PORT    sends urgent data between, before and after normal data
    ancillary.py passing PATH        sends descriptors along with its bytes
"""

import array
import os
import socket
import sys


# More than is sent before anything is read, so that the echo fits, whatever the default buffer
# sizes of this machine are.
RECEIVE_BYTES = 1 << 20


def connect(host, port):
    client = socket.socket()
    client.settimeout(60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    client.connect((host, port))
    return client


def expect(client, bytes_due, why):
    back = b""
    while len(back) < len(bytes_due):
        piece = client.recv(65536)
        assert piece, f"{why}: EOF after {back!r}, expected {bytes_due!r}"
        back += piece
    assert back == bytes_due, f"{why}: {back!r} is not {bytes_due!r}"


def one_mark(host, port, before, behind, urgent=b"!"):
    """Normal bytes, an urgent one, normal bytes, all before the first echo is read, then EOF."""
    with connect(host, port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        why = f"{len(before)} bytes, urgent {urgent!r}, {len(behind)} bytes"
        if before:
            client.sendall(before)
        client.send(urgent, socket.MSG_OOB)
        if behind:
            client.sendall(behind)
        # The server reads urgent bytes inline: all are echoed, each in its place.
        expect(client, before + urgent + behind, why)
        client.sendall(b"and on")
        expect(client, b"and on", why + ", and then more")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b"", why + ": a clean EOF"


def mark_then_end(host, port, before):
    """Normal bytes, an urgent one and FIN at once: EOF comes right after the mark."""
    with connect(host, port) as client:
        client.sendall(before)
        client.send(b"!", socket.MSG_OOB)
        client.shutdown(socket.SHUT_WR)
        expect(client, before + b"!", "a mark and FIN")
        assert client.recv(1) == b"", "a mark and FIN: a clean EOF"


def many_marks(host, port):
    """One connection, one mark after the other."""
    with connect(host, port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(200):
            text = b"%d" % number
            client.sendall(text)
            client.send(b"!", socket.MSG_OOB)
            client.sendall(text)
            expect(client, text + b"!" + text, f"mark {number} of one connection")


def urgent(host, port):
    port = int(port)
    for _ in range(10):
        for before in (b"", b"abc", b"x" * 5000, b"y" * 200_000):
            for behind in (b"", b"def", b"z" * 5000):
                one_mark(host, port, before, behind)
            mark_then_end(host, port, before)
        one_mark(host, port, b"abc", b"def", urgent=b"several!")
    many_marks(host, port)


def passing(path):
    """A read stops at bytes that carry descriptors, however many bytes are queued after them."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(path)
        for number in range(100):
            pieces = [b"%d-%d" % (number, piece) for piece in range(5)]
            for piece in pieces:
                reader, writer = os.pipe()
                fds = array.array("i", [reader, writer])
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
                client.sendmsg([piece], rights)
                os.close(reader)
                os.close(writer)
            expect(client, b"".join(pieces), f"round {number} with descriptors")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b"", "a clean EOF"


{"urgent": urgent, "passing": passing}[sys.argv[1]](*sys.argv[2:])
