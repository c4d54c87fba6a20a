"""A server whose sockets are taken over, and that does something else than epollite.

Usage: false_predecessor.py CONTROL ECHO [MOVED TARGET]
Listens on both paths and passes both sockets as files of its own, never answers, and waits until it
is killed. With MOVED and TARGET, the directory of ECHO is moved and replaced by a link to TARGET,
so that another file is at the path.
"""

import os
import socket
import struct
import sys


def listener(path):
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(path)
    made.listen(128)
    return made


control_path, echo_path, *move = sys.argv[1:]
control, echo = listener(control_path), listener(echo_path)
if move:
    moved, target = move
    os.rename(os.path.dirname(echo_path), moved)
    os.symlink(target, os.path.dirname(echo_path))
print("ready", flush=True)
successor, _ = control.accept()
record = b"epoltko1" + struct.pack("<HHII", 2, 2, 0b11, 0)
socket.send_fds(successor, [record], [control.fileno(), echo.fileno()])
sys.stdin.read()
