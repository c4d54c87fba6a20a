//! The flag that was probably meant.
//!
//! Knows flags by the help text that names them, and how far one word is from another.

/// Flags of epollite before its first release, by their present names.
const RENAMED: [(&str, &str); 6] = [
    ("--budget", "--read-budget"),
    ("--count", "--syscall-summary"),
    ("--drain", "--drain-timeout"),
    ("--log", "--log-format"),
    ("--share", "--accept"),
    ("--steer", "--reuseport-select"),
];

/// The flag in `help` that is nearest to `flag`, unless none is near.
pub(super) fn nearest_flag(flag: &str, help: &str) -> Option<String> {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let known = help.split(is_end).filter(|word| word.starts_with("--") && word.len() > 2);
    let known: Vec<&str> = known.collect();
    let renamed = RENAMED.iter().find(|(old, _)| *old == flag).map(|(_, new)| *new);
    // A short flag is one letter: every other is as near.
    let name = flag.strip_prefix("--").filter(|name| !name.is_empty())?;
    let by_distance = || {
        let distances = known.iter().map(|other| (distance(name, &other[2..]), *other));
        let (distance, nearest) = distances.min()?;
        (distance <= 1 + name.len() / 4).then_some(nearest)
    };
    let by_prefix = || known.iter().copied().find(|other| other[2..].starts_with(name));
    let found = renamed.filter(|new| known.contains(new)).or_else(by_prefix).or_else(by_distance);
    found.map(str::to_owned)
}

/// The names that are near to `name` or contain it, the nearest first; at most three.
pub(crate) fn nearest_names<'n>(name: &str, known: &[&'n str]) -> Vec<&'n str> {
    /// More would be a list, which there is a command for.
    const NAMES_MAX: usize = 3;
    let rank = |other: &&'n str| {
        let letters = distance(name, other);
        let contains = !name.is_empty() && other.contains(name);
        let is_near = contains || letters <= 1 + name.len() / 4;
        is_near.then_some((if contains { 0 } else { letters }, *other))
    };
    let mut near: Vec<(usize, &str)> = known.iter().filter_map(rank).collect();
    near.sort_unstable();
    near.into_iter().take(NAMES_MAX).map(|(_, name)| name).collect()
}

/// How many letters must be inserted, removed, replaced or swapped with the next: the restricted
/// Damerau-Levenshtein distance.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for at in 0..one.len() {
        let mut row = vec![at + 1];
        for column in 0..other.len() {
            let replaced = rows[at][column] + usize::from(one[at] != other[column]);
            let mut least = replaced.min(row[column] + 1).min(rows[at][column + 1] + 1);
            let is_swapped = at > 0
                && column > 0
                && (one[at - 1], one[at]) == (other[column], other[column - 1]);
            if is_swapped {
                least = least.min(rows[at - 1][column - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_flag_is_found_and_a_distant_one_is_not() {
        let help = "  --idle-timeout TIME\n  --tcp HOST:PORT\n  --accept HOW, --read-budget=BYTES";
        let nearest = |flag| nearest_flag(flag, help);
        assert_eq!(nearest("--idle-timout").as_deref(), Some("--idle-timeout"));
        assert_eq!(nearest("--idle").as_deref(), Some("--idle-timeout"));
        assert_eq!(nearest("--tpc").as_deref(), Some("--tcp"), "two letters are swapped");
        assert_eq!(nearest("--xyz"), None, "no letter is right");
        assert_eq!(nearest("--tcpp").as_deref(), Some("--tcp"));
        assert_eq!(nearest("--share").as_deref(), Some("--accept"), "its name before");
        assert_eq!(nearest("--budget").as_deref(), Some("--read-budget"));
        assert_eq!(nearest("--frobnicate"), None);
        assert_eq!(nearest("-x"), None);
        assert_eq!(nearest("--"), None);
    }

    #[test]
    fn near_names_are_found_in_the_order_of_their_distance() {
        let known = ["edge-residue", "edge-late", "fresh-socket", "round-robin"];
        assert_eq!(nearest_names("edge-resideu", &known), ["edge-residue"]);
        assert_eq!(nearest_names("edge", &known), ["edge-late", "edge-residue"]);
        assert_eq!(nearest_names("fresh-sokcet", &known), ["fresh-socket"]);
        assert!(nearest_names("frobnicate", &known).is_empty());
        assert!(nearest_names("", &known).is_empty());
    }

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("tpc", "tcp"), 1);
    }
}
