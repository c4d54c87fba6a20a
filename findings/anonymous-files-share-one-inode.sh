#!/bin/sh
# Which eventfd an epoll watches, as /proc shows it.
#
# Version: Linux 6.18, Python 3.11. No package is needed beyond the base system.
# Guess:   each eventfd, timerfd and epoll is a file with an inode of its own, so that `ino:` and
#          `sdev:` of the line `tfd:` in /proc/PID/fdinfo, or st_ino, say whether two descriptors
#          are one file, as they do for sockets and pipes.
# Seen:    all of them have one inode, that of anon_inodefs. A tool that compares inodes takes any
#          eventfd for any other; only kcmp(2) with KCMP_FILE or KCMP_EPOLL_TFD can tell.
# Output:  files 5 inodes 1; pipes 2 inodes 2; watched 2 inodes 1
set -eu
seen=$(timeout 60 python3 - <<'PYTHON'
import ctypes, os, re, select

libc = ctypes.CDLL(None)
epoll, other = select.epoll(), select.epoll()
first, second = libc.eventfd(0, 0), libc.eventfd(0, 0)
timer = libc.timerfd_create(1, 0)
epoll.register(first)
epoll.register(second)

def inodes(fds):
    return len({(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in fds})

files = [epoll.fileno(), other.fileno(), first, second, timer]
pipes = [os.pipe()[0], os.pipe()[0]]
with open(f"/proc/self/fdinfo/{epoll.fileno()}") as info:
    watched = re.findall(r"^tfd:.* ino:(\S+) sdev:(\S+)", info.read(), re.M)
print(f"files {len(files)} inodes {inodes(files)}; pipes {len(pipes)} inodes {inodes(pipes)};",
      f"watched {len(watched)} inodes {len(set(watched))}")
PYTHON
)
echo "$seen"
[ "$seen" = "files 5 inodes 1; pipes 2 inodes 2; watched 2 inodes 1" ]
