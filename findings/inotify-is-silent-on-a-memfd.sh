#!/bin/sh
# inotify on files without a name, watched through /proc/self/fd.
#
# Version: Linux 6.18, Python 3.11. No package is needed beyond the base system.
# Guess:   what inotify_add_watch(2) accepts, it reports; and a memfd, which is a regular file of
#          tmpfs, is reported like a file of tmpfs that was made with O_TMPFILE. A pipe is not
#          reported, since it is no file of a file system.
# Seen:    the watch is accepted for all of them. A write to the O_TMPFILE and to an unlinked file
#          is reported, and even one to the pipe; a write to the memfd is not.
# Output:  memfd 0, tmpfile 1, unlinked 1, pipe 1
set -eu
seen=$(timeout 60 python3 - <<'PYTHON'
import ctypes, os, tempfile

IN_MODIFY = 2
EVENT_BYTES = 16
libc = ctypes.CDLL(None, use_errno=True)

def events(watched, written):
    notify = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(notify, b"/proc/self/fd/%d" % watched, IN_MODIFY) == 1
    os.write(written, b"x")
    try:
        return len(os.read(notify, 4096)) // EVENT_BYTES
    except BlockingIOError:
        return 0

memfd = os.memfd_create("unnamed")
with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    tmpfile = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    path = os.path.join(folder, "file")
    unlinked = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    os.unlink(path)
    reader, writer = os.pipe()
    print(f"memfd {events(memfd, memfd)}, tmpfile {events(tmpfile, tmpfile)},",
          f"unlinked {events(unlinked, unlinked)}, pipe {events(reader, writer)}")
PYTHON
)
echo "$seen"
[ "$seen" = "memfd 0, tmpfile 1, unlinked 1, pipe 1" ]
