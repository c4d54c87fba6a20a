#!/bin/sh
# A signal that is ignored and blocked, and a signalfd for it.
#
# Version: Linux 6.18 (x86-64), Python 3 and the C library. No package is needed.
# Guess:   signal(7): an ignored signal is discarded when it is sent, so that a signalfd has nothing
#          to read, however the signal is blocked.
# Seen:    blocked, it is queued although it is ignored, and the signalfd reads it; not blocked, it
#          is discarded. So a server that was started with SIGINT ignored (a script's background
#          job) and reads signals from a signalfd still receives the terminal's Ctrl-C.
# Output:  ignored read nothing / ignored and blocked read 2
set -eu
seen=$(python3 - <<'PY'
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
mask = (ctypes.c_ulong * 16)(1 << (signal.SIGINT - 1))
fd = libc.signalfd(-1, mask, os.O_NONBLOCK)
signal.signal(signal.SIGINT, signal.SIG_IGN)
def read():
    os.kill(os.getpid(), signal.SIGINT)
    try:
        return int.from_bytes(os.read(fd, 128)[:4], "little")
    except BlockingIOError:
        return "nothing"
print("ignored read", read())
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ignored and blocked read", read())
PY
)
wanted='ignored read nothing
ignored and blocked read 2'
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
