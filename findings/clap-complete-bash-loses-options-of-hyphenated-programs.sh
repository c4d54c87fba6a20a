#!/bin/sh
# clap_complete's script for bash, of a program whose name has a hyphen and that has subcommands.
#
# Version: clap_complete 4.6.11, clap 4.6.9; bash 5.
# Guess:   the options of a subcommand are completed whatever the program is called, as they are for
#          `plain`, and as fish and zsh do for both.
# Seen:    for `with-hyphen` nothing is completed behind a subcommand: the script enters the state
#          `with__hyphen__subcmd__run`, and the case that lists its options is that of the
#          state `with__subcmd__hyphen__subcmd__run`.
# Output:  plain: --speed / with-hyphen: nothing
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "completions"
version = "0.0.0"
edition = "2024"

[dependencies]
clap = "=4.6.9"
clap_complete = "=4.6.11"
TOML
cat > "$folder/src/main.rs" <<'RUST'
use clap::{Arg, Command};

fn main() {
    let name = std::env::args().nth(1).expect("a name");
    let name: &'static str = name.leak();
    let run = Command::new("run").arg(Arg::new("speed").long("speed"));
    let mut program = Command::new(name).subcommand(run);
    clap_complete::generate(clap_complete::Shell::Bash, &mut program, name, &mut std::io::stdout());
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"
for name in plain with-hyphen; do
    "$folder/target/debug/completions" "$name" > "$folder/$name.bash"
done
completed() {
    bash -c '
        . "$1"
        COMP_WORDS=("$2" run --sp) COMP_CWORD=2 COMP_LINE="$2 run --sp"
        function_name=$(complete -p "$2" | sed -E "s/.*-F ([^ ]+).*/\1/")
        "$function_name" "$2" --sp run
        echo "$2: ${COMPREPLY[*]:-nothing}"
    ' bash "$folder/$1.bash" "$1" 2>&1
}
seen=$(completed plain; completed with-hyphen)
wanted='plain: --speed
with-hyphen: nothing'
printf '%s\n' "$seen"
[ "$seen" = "$wanted" ] || { echo "changed; wanted:"; printf '%s\n' "$wanted"; exit 1; }
