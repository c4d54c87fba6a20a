#!/usr/bin/env bash
# A fuzz target of libFuzzer under AFL++: the same harness, linked with AFL++'s driver instead. Ends
# at the first crash. Crashes and hangs go to fuzz/artifacts/TARGET, other inputs that reached more
# to fuzz/scratch/TARGET: `make fuzz` starts from them too, and `make corpus` minimises them.
#
#   fuzz/afl.sh TARGET SECONDS
set -euo pipefail
cd "$(dirname "$0")"

target=${1:?a target of fuzz_targets} seconds=${2:?how many seconds}
triple=x86_64-unknown-linux-gnu
# Where Debian's package installs the driver and the runtime.
afl=/usr/lib/afl
output=scratch/afl/$target

# AFL++'s own compilers bring plug-ins for one version of LLVM, which is not rustc's. LLVM's own
# pass calls the functions of AFL++'s runtime too. Debug assertions as with cargo-fuzz.
CUSTOM_LIBFUZZER_PATH=$afl/libAFLDriver.a CUSTOM_LIBFUZZER_STD_CXX=none \
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-trace-pc-guard -Ccodegen-units=1 -Cdebug-assertions \
    -Coverflow-checks -Clink-arg=$afl/afl-compiler-rt.o" \
    cargo +nightly build --quiet --release --locked --target "$triple" --target-dir target/afl \
    --bin "$target"

rm -rf "$output"
mkdir -p "$output" "artifacts/$target" "scratch/$target"

# A loaded machine stops a process for longer than the 20 ms and the second of the defaults: an
# input is a hang if it still runs after ten seconds.
export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1
export AFL_BENCH_UNTIL_CRASH=1 AFL_EXIT_ON_SEED_ISSUES=1 AFL_HANG_TMOUT=10000
afl-fuzz -V "$seconds" -t 1000 -G 4096 -i "corpus/$target" -o "$output" -- \
    "target/afl/$triple/release/$target" > "$output/log" 2>&1 \
    || { tail -n 40 "$output/log"; exit 1; }

# By the hash of the contents, as libFuzzer names them.
keep() {
    for input in "$output/default/$1"/id*; do
        [ ! -e "$input" ] || cp "$input" "$2$(sha1sum < "$input" | cut -c 1-40)"
    done
}
keep queue "scratch/$target/"
keep crashes "artifacts/$target/crash-"
keep hangs "artifacts/$target/timeout-"

value() { sed -n "s/^$1 *: //p" "$output/default/fuzzer_stats"; }
crashes=$(value saved_crashes) hangs=$(value saved_hangs) edges=$(value edges_found)
echo "$target: $(value execs_done) executions, $(value execs_per_sec) a second," \
    "edges $edges of $(value total_edges), inputs $(value corpus_count)," \
    "crashes $crashes, hangs $hangs"

[ "$edges" -gt 1 ] || { echo "$target is not instrumented"; exit 1; }
if [ "$crashes" != 0 ] || [ "$hangs" != 0 ]; then
    ls "artifacts/$target"
    echo "to see one of them: cargo +nightly fuzz run $target fuzz/artifacts/$target/NAME"
    exit 1
fi
