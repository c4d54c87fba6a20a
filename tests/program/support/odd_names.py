# A process whose name is not text, and whose first thread ends before another one, which has an
# epoll.

import ctypes
import os
import platform
import select
import socket
import threading

libc = ctypes.CDLL(None)
PR_SET_NAME = 15
SYS_EXIT = 60 if platform.machine() == "x86_64" else 93


def hold():
    near, far = socket.socketpair()
    epoll = select.epoll()
    epoll.register(near, select.EPOLLIN)
    epoll.register(far, select.EPOLLIN)
    # The name of this thread, by which a process without its first one is known.
    libc.prctl(PR_SET_NAME, b"odd\x1b\xff", 0, 0, 0)
    os.write(1, b"ready\n")
    threading.Event().wait()


threading.Thread(target=hold, daemon=True).start()
libc.syscall(SYS_EXIT, 0)
