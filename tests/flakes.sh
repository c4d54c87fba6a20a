#!/usr/bin/env bash
# Runs every test of the library and the program N times while all CPUs are busy, and prints which
# test failed how often. Usage: tests/flakes.sh N [arguments of cargo test]
set -uo pipefail
cd "$(dirname "$0")/.."

runs=${1:?how many runs}
shift
log=target/flakes.log
mkdir -p target
cargo test --locked --no-run "$@" || exit 1

# One busy process per CPU, killed when this script exits for any reason.
busy=()
trap 'kill "${busy[@]}" 2> /dev/null' EXIT
for _ in $(seq "$(nproc)"); do
    ( while :; do :; done ) &
    busy+=($!)
done

: > "$log"
failed=0
for run in $(seq "$runs"); do
    if cargo test --locked --no-fail-fast "$@" > target/flakes.run 2>&1; then
        echo "run $run of $runs: ok"
    else
        failed=$((failed + 1))
        echo "run $run of $runs: FAILED"
        grep -aE '^test .*FAILED$|a test hangs' target/flakes.run | tee -a "$log" | sed 's/^/    /'
        cp target/flakes.run "target/flakes.$run"
    fi
done

if [ "$failed" -gt 0 ]; then
    echo "failures, by test:"
    sort "$log" | uniq -c | sort -rn
fi
echo "$((runs - failed)) runs passed, $failed failed"
[ "$failed" = 0 ]
