#!/bin/sh
# Runs compiled test programs one after the other, then a smoke test of the program.
# Independent of kernels and settings: run.py starts it under them.
#
#   suites.sh PROGRAM TEST...    PROGRAM is the built epollite, a TEST a compiled test
#   suites.sh --facts PROGRAM    what the experiments show here, as JSON; runs no test
#
# Each prints one line, "suite NAME: ok ...", or its output and "suite NAME: FAILED ...". Exits 1
# when one has failed.

# Runs a command with a deadline; an ok line ends with the counts that the command printed.
suite() {
    name=$1
    shift
    began=$(uptime_seconds)
    timeout "$SUITE_SECONDS" "$@" > "$log" 2>&1 < /dev/null
    code=$?
    took=$(($(uptime_seconds) - began))
    if [ $code = 0 ]; then
        counts=$(grep -Eo '[0-9]+ (programs|too slow|passed)' "$log" | grep -v '^0 ' \
            | tail -n 3 | paste -sd' ')
        echo "suite $name: ok in $took s${counts:+, $counts}"
    else
        failed=1
        cat "$log"
        echo "suite $name: FAILED with code $code after $took s"
    fi
}

uptime_seconds() { cut -d. -f1 /proc/uptime; }

# With each trigger: a server of every transport answers `echo --check` and ends on SIGTERM.
smoke() {
    for trigger in level edge oneshot; do
        : > "$log"
        "$program" echo --trigger $trigger --tcp 127.0.0.1:0 --udp 127.0.0.1:0 \
            --unix @epollite-smoke-$$ > "$log" 2>&1 &
        server=$!
        until [ "$(grep -c '^listening' "$log")" = 3 ]; do
            kill -0 $server || { cat "$log"; return 1; }
            sleep 0.05
        done
        for target in $(sed -n 's/^listening on \([a-z]*\) /\1:/p' "$log"); do
            "$program" echo --check $target || { kill $server; return 1; }
        done
        kill $server
        wait $server || { cat "$log"; return 1; }
    done
    "$program" sim --quiet --seed 1 --steps 20000
}

program=$1
if [ "$program" = --facts ]; then
    # A result that is not as expected is a fact too.
    "$2" study --on linux --all --json < /dev/null || [ $? = 1 ]
    exit
fi
log=/tmp/suite-$$
failed=0
shift
if [ "$program" = --smoke ]; then
    program=$1
    smoke
    code=$?
    rm -f "$log"
    exit $code
fi
for test in "$@"; do
    name=$(basename "$test" | sed 's/-[0-9a-f]*$//')
    case $name in
        conformance_random) suite $name "$test" --nocapture ;;
        servers) suite $name "$test" api:: ;;
        program) suite $name "$test" machine:: ;;
        *) suite $name "$test" ;;
    esac
done
suite smoke sh "$0" --smoke "$program"
rm -f "$log"
exit $failed
