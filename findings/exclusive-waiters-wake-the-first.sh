#!/bin/sh
# EPOLLEXCLUSIVE, and which of several blocked epolls gets the connections.
#
# Version: Linux 6.18, Python 3.11. No package is needed beyond the base system.
# Guess:   the waiter that registered last is woken first, as without the flag, where a new waiter
#          is put at the head of the wait queue; or the waiters take turns.
# Seen:    an exclusive waiter is put at the tail, and the search begins at the head: of four
#          threads, each with an epoll that watches one listener, the one that registered first
#          gets every connection as long as it is back in epoll_wait before the next comes.
# Output:  accepted [40, 0, 0, 0]
set -eu
seen=$(timeout 60 python3 - <<'PYTHON'
import select, socket, threading, time

listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
epolls = [select.epoll() for _ in range(4)]
for epoll in epolls:
    epoll.register(listener, select.EPOLLIN | select.EPOLLET | select.EPOLLEXCLUSIVE)
accepted, ended = [0] * 4, threading.Event()

def serve(index):
    while not ended.is_set():
        for _ in epolls[index].poll(0.2):
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                continue
            accepted[index] += 1
            client.close()

threads = [threading.Thread(target=serve, args=(index,)) for index in range(4)]
for thread in threads:
    thread.start()
time.sleep(0.5)
for _ in range(40):
    with socket.create_connection(listener.getsockname()) as client:
        client.recv(1)
    time.sleep(0.01)
ended.set()
for thread in threads:
    thread.join()
print("accepted", accepted)
PYTHON
)
wanted='accepted [40, 0, 0, 0]'
uname -r
echo "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted: $wanted"; exit 1; }
