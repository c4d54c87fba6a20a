"""An echo server on the library, with Python's standard library alone: echo.py LIBRARY [ADDR]."""

import ctypes
import sys


class Event(ctypes.Structure):
    _fields_ = [
        ("token", ctypes.c_uint64),
        ("data", ctypes.c_void_p),
        ("kind", ctypes.c_uint32),
        ("ready", ctypes.c_uint32),
    ]


READABLE, LEVEL, FOREVER = 1, 0, -1


def main(library, address="127.0.0.1:7777"):
    epl = ctypes.CDLL(library)
    epl.epl_strerror.restype = ctypes.c_char_p
    epl.epl_recv.restype = epl.epl_send.restype = ctypes.c_ssize_t

    def check(result):
        if result < 0:
            sys.exit(f"echo.py: {epl.epl_strerror(result).decode()}")
        return result

    reactor = ctypes.c_void_p()
    check(epl.epl_reactor_create(ctypes.byref(reactor), 0, 0, epl.epl_version()))

    def register(fd):
        token = ctypes.c_uint64()
        check(epl.epl_register(reactor, fd, READABLE, LEVEL, None, ctypes.byref(token)))
        return token.value

    listener = check(epl.epl_listen(address.encode(), 0))
    listening = register(listener)
    text = ctypes.create_string_buffer(448)
    check(epl.epl_local_address(listener, text, ctypes.c_size_t(len(text))))
    print(f"listening on {text.value.decode()}", flush=True)
    event, buf = Event(), ctypes.create_string_buffer(16384)
    while check(epl.epl_next(reactor, ctypes.c_int64(FOREVER), ctypes.byref(event))):
        token = ctypes.c_uint64(event.token)
        if event.token == listening:
            client = epl.epl_accept(listener, None, ctypes.c_size_t(0))
            if client >= 0:
                register(client)
            continue
        fd = epl.epl_fd(reactor, token)
        length = epl.epl_recv(fd, buf, ctypes.c_size_t(len(buf)))
        if length <= 0 or epl.epl_send(fd, buf, ctypes.c_size_t(length)) != length:
            epl.epl_close(reactor, token)


if __name__ == "__main__":
    main(*sys.argv[1:3])
