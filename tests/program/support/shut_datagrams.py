"""Starts a datagram server, shuts down its socket for reading from outside (a duplicate), and
prints whether it busy-loops and how it exits.

    shut_datagrams.py COMMAND...    prints: ANSWER BEFORE, quiet OR busy, EXIT CODE

The server is a child of this script, so that its descriptors may be copied (pidfd_getfd).
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

PIDFD_GETFD = 438


def cpu_ticks(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


server = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
try:
    port = int(server.stdout.readline().rsplit(":", 1)[1])
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    client.send(b"before")
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
                if duplicate.type == socket.SOCK_DGRAM:
                    shut += 1
                    # Fails with ENOTCONN, but takes effect.
                    duplicate.shutdown(socket.SHUT_RD)
        except OSError:
            pass
    assert shut == 1, f"{shut} datagram sockets were found"

    ticks = cpu_ticks(server.pid)
    time.sleep(1)
    work = "quiet" if cpu_ticks(server.pid) - ticks < 10 else "busy"
    server.send_signal(signal.SIGTERM)
    print(before.decode(), work, server.wait(60))
finally:
    server.kill()
