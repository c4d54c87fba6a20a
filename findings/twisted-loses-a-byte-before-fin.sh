#!/usr/bin/env bash
# An echo protocol of Twisted whose client half-closes right behind its message.
#
# Version: Twisted 26.10.0 (PyPI), its epoll reactor, Python 3.11, Linux 6.18.
# Guess:   transport.write() of one byte puts it into the empty send buffer of the socket; at the
#          latest, what was written before the end of the input is sent before the close.
# Seen:    the whole answer is lost, of one byte too: write() only queues, the next turn finds the
#          socket readable (the FIN) and writable, reads first, and the end of the input closes the
#          connection with its queue. With IHalfCloseableProtocol and a close that waits for the
#          queue every answer comes back. The server is stopped while the client sends, so that
#          byte and FIN are there together; a busy machine does that by itself.
# Output:  plain: 0 of 20 answers came back; half-closeable: 20 of 20 (1 and 1000 bytes)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check twisted==26.10.0

cat > "$folder/experiment.py" << 'PYTHON'
import os
import signal
import socket
import subprocess
import sys

SERVER = """
import sys
from twisted.internet import interfaces, protocol, reactor
from zope.interface import implementer


class Plain(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)


@implementer(interfaces.IHalfCloseableProtocol)
class HalfCloseable(Plain):
    def readConnectionLost(self):
        self.transport.loseConnection()

    def writeConnectionLost(self):
        pass


kind = {"plain": Plain, "half-closeable": HalfCloseable}[sys.argv[1]]
port = reactor.listenTCP(0, protocol.Factory.forProtocol(kind), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
"""

ROUNDS = 20


def answered(kind, count):
    server = subprocess.Popen([sys.executable, "-c", SERVER, kind], stdout=subprocess.PIPE)
    port = int(server.stdout.readline())
    full = 0
    for _ in range(ROUNDS):
        client = socket.create_connection(("127.0.0.1", port))
        client.settimeout(10)
        # The connection is accepted before the server stops: it answers once.
        client.sendall(b"?")
        assert client.recv(1) == b"?"
        os.kill(server.pid, signal.SIGSTOP)
        client.sendall(b"x" * count)
        client.shutdown(socket.SHUT_WR)
        os.kill(server.pid, signal.SIGCONT)
        got = b""
        while part := client.recv(65536):
            got += part
        full += len(got) == count
        client.close()
    server.kill()
    server.wait()
    return full


for kind in "plain", "half-closeable":
    for count in 1, 1000:
        print(f"{kind}, {count}: {answered(kind, count)} of {ROUNDS} answers came back")
PYTHON

"$folder/venv/bin/python" "$folder/experiment.py" > "$folder/seen"
cat "$folder/seen"
cat > "$folder/expected" << 'TEXT'
plain, 1: 0 of 20 answers came back
plain, 1000: 0 of 20 answers came back
half-closeable, 1: 20 of 20 answers came back
half-closeable, 1000: 20 of 20 answers came back
TEXT
diff "$folder/expected" "$folder/seen"
