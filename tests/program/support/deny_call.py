"""Executes a command in a sandbox where one system call fails.

Usage: deny_call.py NUMBER ERRNO COMMAND...
The number is that of x86_64.
"""

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000

number, errno, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
lines = [
    (LOAD, 0, 0, 0),
    (IF_EQUAL, 0, 1, number),
    (RETURN, 0, 0, FAIL | errno),
    (RETURN, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in lines))
program = ctypes.create_string_buffer(
    struct.pack("<HxxxxxxQ", len(lines), ctypes.addressof(code))
)
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
    sys.exit("no_new_privs")
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0) != 0:
    sys.exit("seccomp")
os.execvp(command[0], command)
