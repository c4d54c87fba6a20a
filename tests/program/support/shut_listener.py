"""Starts a server, shuts down its listener from outside (a duplicate), and prints how it exits.

    shut_listener.py COMMAND...    prints: ANSWER BEFORE, ANSWER AFTER, EXIT CODE

The server is a child of this script, so that its descriptors may be copied (pidfd_getfd).
"""

import ctypes
import os
import socket
import subprocess
import sys

PIDFD_GETFD = 438

server = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
try:
    port = int(server.stdout.readline().rsplit(":", 1)[1])
    client = socket.create_connection(("127.0.0.1", port), 60)
    client.sendall(b"before")
    before = client.recv(6)

    pidfd = os.pidfd_open(server.pid)
    libc = ctypes.CDLL(None, use_errno=True)
    shut = 0
    for number in map(int, os.listdir(f"/proc/{server.pid}/fd")):
        copy = libc.syscall(PIDFD_GETFD, pidfd, number, 0)
        if copy < 0:
            continue
        try:
            with socket.socket(fileno=copy) as duplicate:
                if duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    duplicate.shutdown(socket.SHUT_RD)
                    shut += 1
        except OSError:
            os.close(copy)
    assert shut == 1, f"{shut} listeners were found"

    try:
        client.sendall(b"after")
        after = client.recv(5)
    except OSError as error:
        after = str(error).encode()
    client.close()
    print(before.decode(), after.decode(), server.wait(60))
finally:
    server.kill()
