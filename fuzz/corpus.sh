#!/usr/bin/env bash
# Adds to the seeds in fuzz/corpus what the fuzzers found (fuzz/scratch), minimised: one input for
# each edge that no smaller one reaches. Seeds with a name of their own stay; those named by a hash
# are chosen again. Without counters: else every number of repetitions would be a file.
#
#   fuzz/corpus.sh TARGET...
set -euo pipefail
cd "$(dirname "$0")"

fuzzer() { cargo +nightly fuzz run "$@" 2>&1; }
# Edges, features (edges by number of repetitions) and files.
reached() { fuzzer "$1" "$2" -- -runs=0 | sed -n 's/.*INITED *\(cov: [0-9]* ft: [0-9]*\).*/\1/p'; }
files() { find "$1" -type f | wc -l; }

for target; do
    corpus=corpus/$target found=scratch/$target chosen=scratch/chosen/$target
    rm -rf "$chosen"
    mkdir -p "$chosen" "$found"
    before="$(reached "$target" "$corpus"), $(files "$corpus") files"
    find "$corpus" -type f | grep -vE '/[0-9a-f]{40}$' | xargs -I {} cp {} "$chosen"
    fuzzer "$target" "$chosen" "$corpus" "$found" -- -merge=1 -use_counters=0 -max_len=4096 \
        > scratch/chosen/log || { tail -n 40 scratch/chosen/log; exit 1; }
    rm -rf "$corpus"
    mv "$chosen" "$corpus"
    echo "$target: $before; found $(files "$found");" \
        "now $(reached "$target" "$corpus"), $(files "$corpus") files"
done
du -sb --apparent-size corpus
