//! Where to begin: the first experiments, and which one follows which.

use epollite::study::BUILT_IN;

use super::super::script::Script;
use crate::output::columns::{COLUMNS, columns, labelled};

/// What a reader new to epoll needs before anything else, and what each of them explains.
const FIRST: [(&str, &str); 9] = [
    ("level-until-read", "level: reported as long as it is true"),
    ("edge-residue", "edge (ET): why a reader must drain"),
    ("edge-eof-hidden", "... and why it must watch RDHUP"),
    ("half-close", "RDHUP: the peer sends no more, and still reads"),
    ("both-shut", "HUP: both directions have ended"),
    ("close-unread", "ERR: the connection was reset"),
    ("oneshot-disarmed", "one-shot: silent until a MOD, a call for each event"),
    ("threads-oneshot", "... and what several threads get for it"),
    ("dup-ghost", "a ghost: events of a descriptor that is closed"),
];

/// The page of `epollite study`.
pub(crate) fn start() -> String {
    let mut page = String::from(
        "An experiment is a few system calls. It runs on this kernel and on a model of\n\
         it, and what people expect stands beside what happened.\n\n\
         Begin with these, in this order. Each names the one after it:\n",
    );
    for (name, what) in FIRST {
        page += &columns(&[(&format!("  {name}"), 26), (what, COLUMNS - 26)]);
    }
    page += "\nThen:\n";
    for (call, what) in [
        ("epollite study NAME", "run one and explain it".to_owned()),
        ("epollite study --predict NAME", "... but guess first".to_owned()),
        ("epollite study words", "what IN, RDHUP, HUP, drain, ghost, s0 mean".to_owned()),
        ("epollite study list [WORD]", format!("all {}, or those with a word", BUILT_IN.len())),
        ("epollite study --help", "pictures, and experiments of your own".to_owned()),
    ] {
        page += &columns(&[(&format!("  {call}"), 34), (&what, COLUMNS - 34)]);
    }
    page
}

/// What to run after this one: the next of the first experiments, or else of the course.
pub(crate) fn next(script: &Script) -> String {
    let first = FIRST.iter().map(|(name, _)| *name);
    let course = BUILT_IN.iter().map(|(name, _)| *name);
    match after(&script.name, first).or_else(|| after(&script.name, course)) {
        Some(next) => labelled("Next:     ", &format!("epollite study {next}")),
        None => String::new(),
    }
}

fn after<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names.skip_while(|other| *other != name).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_experiment_names_the_next() {
        let next = |name: &str| next(&Script::find(name).unwrap());
        let mut name = FIRST[0].0;
        for (other, _) in &FIRST[1..] {
            assert_eq!(next(name), format!("Next:     epollite study {other}\n"));
            name = other;
        }
        // The last of the first ones leads into the course, the last of all nowhere.
        assert_eq!(next(name), "Next:     epollite study fd-reuse\n");
        assert_eq!(next(BUILT_IN[BUILT_IN.len() - 1].0), "");
    }
}
