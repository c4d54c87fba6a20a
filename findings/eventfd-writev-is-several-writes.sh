#!/bin/sh
# Several buffers for an eventfd: gathered when they are read, not when they are written.
#
# Version: Linux 6.18, Python 3.11. No package is needed beyond the base system.
# Guess:   readv(2) and writev(2) treat an eventfd alike: 4 and 4 bytes are the 8 bytes that it
#          wants, and 8 and 8 bytes are too many, as a write of 16 is (EINVAL).
# Seen:    readv fills 4 and 4 bytes from one counter. writev passes each buffer on as a write of
#          its own: 4 and 4 bytes are EINVAL, 8 and 8 bytes add twice, and 8 and 4 bytes add once.
# Output:  readv 4+4: 8; writev 4+4: EINVAL, 8+8: adds 2, 8+4: adds 1; write 16: EINVAL
set -eu
seen=$(timeout 60 python3 - <<'PYTHON'
import ctypes, errno, os

fd = ctypes.CDLL(None).eventfd(0, os.O_NONBLOCK)
one = (1).to_bytes(8, "little")

def added(parts):
    try:
        os.writev(fd, [one[:part] if part < 16 else one + one for part in parts])
    except OSError as error:
        return errno.errorcode[error.errno]
    return "adds " + str(int.from_bytes(os.read(fd, 8), "little"))

os.write(fd, one)
halves = os.readv(fd, [bytearray(4), bytearray(4)])
print(f"readv 4+4: {halves}; writev 4+4: {added([4, 4])}, 8+8: {added([8, 8])},",
      f"8+4: {added([8, 4])}; write 16: {added([16])}")
PYTHON
)
echo "$seen"
[ "$seen" = "readv 4+4: 8; writev 4+4: EINVAL, 8+8: adds 2, 8+4: adds 1; write 16: EINVAL" ]
