"""The reactor inside asyncio's loop: in_asyncio.py LIBRARY."""

import asyncio
import ctypes
import socket
import sys

READABLE, EDGE, FOREVER = 1, 1, -1


class Event(ctypes.Structure):
    _fields_ = [
        ("token", ctypes.c_uint64),
        ("data", ctypes.c_void_p),
        ("kind", ctypes.c_uint32),
        ("ready", ctypes.c_uint32),
    ]


class Reactor:
    """A reactor that asyncio waits for. `on_event` is called with each token."""

    def __init__(self, epl, loop, on_event):
        self.epl, self.loop, self.on_event = epl, loop, on_event
        self.pointer, self.timer = ctypes.c_void_p(), None
        version = epl.epl_version()
        error = epl.epl_reactor_create(ctypes.byref(self.pointer), 0, 0, version)
        if error < 0:
            raise OSError(-error, epl.epl_strerror(error).decode())
        loop.add_reader(epl.epl_reactor_fd(self.pointer), self.serve)

    def serve(self):
        """Serves what is ready, and lets asyncio wait for the rest."""
        event = Event()
        while self.epl.epl_next(self.pointer, ctypes.c_int64(0), ctypes.byref(event)) == 1:
            self.on_event(event.token)
        if self.timer:
            self.timer.cancel()
        timeout_ns = self.epl.epl_timeout(self.pointer)
        if timeout_ns != FOREVER:
            self.timer = self.loop.call_later(timeout_ns / 1e9, self.serve)

    def register(self, sock):
        token = ctypes.c_uint64()
        fd = sock.detach()
        error = self.epl.epl_register(
            self.pointer, fd, READABLE, EDGE, None, ctypes.byref(token)
        )
        if error < 0:
            raise OSError(-error, self.epl.epl_strerror(error).decode())
        return token.value

    def add_timer(self, seconds):
        token = ctypes.c_uint64()
        deadline = self.epl.epl_now() + int(seconds * 1e9)
        self.epl.epl_add_timer(
            self.pointer, ctypes.c_uint64(deadline), None, ctypes.byref(token)
        )
        self.serve()
        return token.value

    def close(self):
        self.loop.remove_reader(self.epl.epl_reactor_fd(self.pointer))
        if self.timer:
            self.timer.cancel()
        self.epl.epl_reactor_free(self.pointer)


async def main(path):
    epl = ctypes.CDLL(path)
    epl.epl_now.restype = ctypes.c_uint64
    epl.epl_timeout.restype = ctypes.c_int64
    epl.epl_strerror.restype = ctypes.c_char_p
    epl.epl_recv.restype = ctypes.c_ssize_t
    ours, theirs = socket.socketpair()
    done, names = asyncio.Event(), {}

    def on_event(token):
        if names[token] == "timer":
            print("the reactor's timer")
            done.set()
            return
        text = ctypes.create_string_buffer(16)
        fd = epl.epl_fd(reactor.pointer, ctypes.c_uint64(token))
        epl.epl_recv(fd, text, ctypes.c_size_t(16))
        print("the reactor received", text.value.decode())

    reactor = Reactor(epl, asyncio.get_running_loop(), on_event)
    names[reactor.register(ours)] = "bytes"
    names[reactor.add_timer(0.05)] = "timer"
    await asyncio.sleep(0.001)
    print("asyncio's timer")
    theirs.send(b"hello")
    await done.wait()
    reactor.close()
    theirs.close()


asyncio.run(main(sys.argv[1]))
