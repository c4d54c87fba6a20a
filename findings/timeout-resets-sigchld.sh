#!/bin/sh
# An ignored SIGCHLD, inherited through timeout(1).
#
# Version: GNU coreutils 9.1 (Debian 12), Linux 6.18. No package is needed beyond the base system.
# Guess:   a disposition of "ignore" is inherited through exec, so that a command under timeout has
#          SIGCHLD ignored when its caller had.
# Seen:    timeout sets SIGCHLD back to the default for itself and thereby for its child: a server
#          whose fault is an ignored SIGCHLD cannot be tested under timeout. env and nice keep it.
# Output:  plain ignored / nice ignored / timeout default
set -eu
script='import signal
ignored = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
print("ignored" if ignored else "default")'
# A child of dash does not inherit an ignored SIGCHLD; one of bash does.
seen=$(script=$script bash -c '
trap "" CHLD
printf "plain "; (exec python3 -c "$script")
printf "nice "; (exec nice -n 0 python3 -c "$script")
printf "timeout "; (exec timeout 9 python3 -c "$script")')
wanted='plain ignored
nice ignored
timeout default'
timeout --version | head -n 1
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
