#!/usr/bin/env bash
# The server itself, not its tests, with a sanitizer: examined, then loaded. What a sanitizer finds
# ends the server, and then this fails. `make sanitized` builds what it needs.
#
#   tests/sanitized.sh PROGRAM BENCH
set -euo pipefail

program=$1 bench=$2
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -KILL "$server" 2> /dev/null; rm -rf "$folder"' EXIT

# Freed memory is kept for a while: without this limit that would be growth.
export ASAN_OPTIONS=quarantine_size_mb=1:exitcode=99
export TSAN_OPTIONS=exitcode=99:halt_on_error=1:suppressions=$here/tsan.suppressions

# A free port of this machine: the kernel's choice.
port=$(python3 -c 'import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1])')

# The sanitizer may start a process of its own to find names, so that the process is not examined.
for options in '--trigger edge' '--trigger level' '--trigger oneshot' '--bulk splice'; do
    "$program" echo --quiet --threads 2 $options --tcp "127.0.0.1:$port" --udp "127.0.0.1:$port" \
        --unix "$folder/socket" &
    server=$!
    for _ in $(seq 100); do [ -S "$folder/socket" ] && break; sleep 0.1; done
    "$bench" examine --quiet "127.0.0.1:$port"
    "$bench" examine --quiet --udp "127.0.0.1:$port"
    "$bench" examine --quiet --unix "$folder/socket"
    kill -TERM "$server"
    wait "$server"
    server=
done

"$bench" soak --duration 1m --udp --start \
    "$program echo --quiet --threads 2 --tcp 127.0.0.1:{port} --udp 127.0.0.1:{port} --unix {path}"
