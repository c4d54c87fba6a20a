//! Answers to choose from: what was observed, what people expect, and others that are plausible.
//!
//! The same for one step of one experiment in every run.

use super::timeline::Row;

/// Letters for them, so that a number can be an answer itself.
pub(super) const LETTERS: [&str; 4] = ["a", "b", "c", "d"];

/// At most four different results, in an order that depends on the experiment only.
pub(super) fn choices(name: &str, rows: &[Row], row: &Row) -> Vec<String> {
    let mut list = vec![row.result.clone()];
    let people = row.people.iter().cloned();
    let similar = rows.iter().filter(|other| other.verb() == row.verb());
    let similar = similar.map(|other| other.result.clone());
    for choice in people.chain(similar).chain(plausible(row)) {
        if list.len() < LETTERS.len() && !list.contains(&choice) {
            list.push(choice);
        }
    }
    shuffle(&mut list, name, row.number);
    list
}

/// Results that calls of this kind often have.
fn plausible(row: &Row) -> Vec<String> {
    let target = row.reported.first().or(row.names.last()).map_or("", String::as_str);
    let texts: &[&str] = match row.verb() {
        "wait" => {
            let of = |events: &str| format!("{target} {events}");
            let is_epoll = row.reported.is_empty();
            let mut list = vec!["nothing".to_owned()];
            if !is_epoll {
                list.extend([of("IN"), of("HUP"), of("IN HUP"), of("IN OUT")]);
            }
            return list;
        }
        "join" => &["blocked", "nothing"],
        "recv" | "read" => &["\"\"", "EAGAIN", "ECONNRESET"],
        "send" | "sendto" | "write" => &["EAGAIN", "EPIPE", "0"],
        "getsockopt" => &["0", "1", "error none", "EINVAL"],
        "connect" => &["ok", "EINPROGRESS", "EAGAIN", "ECONNREFUSED"],
        "accept" => &["ok", "EAGAIN", "ECONNABORTED"],
        _ => &["ok", "EINVAL", "EEXIST", "ENOENT"],
    };
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// The shuffle of Fisher and Yates, with numbers from a hash of the name (FNV-1a).
fn shuffle(list: &mut [String], name: &str, step: usize) {
    let bytes = name.bytes().chain(step.to_string().into_bytes());
    let mut state = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    for at in (1..list.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let len = u64::try_from(at + 1).unwrap_or(1);
        list.swap(at, usize::try_from(state % len).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernels::Machine;
    use super::super::script::Script;
    use super::super::timeline::timeline;
    use super::*;

    #[test]
    fn the_observed_result_and_that_of_people_are_among_them_at_changing_places() {
        let mut places = [0; LETTERS.len()];
        for script in Script::course().unwrap() {
            let report = Machine::newest().on_model(&script.experiment);
            let rows = timeline(&script.experiment, &report);
            for row in rows.iter().filter(|row| row.people.is_some()) {
                let list = choices(&script.name, &rows, row);
                let people = row.people.as_ref().unwrap();
                assert!(list.contains(people), "{}: {people} is in {list:?}", script.name);
                let place = list.iter().position(|choice| *choice == row.result).unwrap();
                places[place] += 1;
                assert!((2..=LETTERS.len()).contains(&list.len()), "{}: {list:?}", script.name);
                assert_eq!(list, choices(&script.name, &rows, row), "the same in every run");
            }
        }
        assert!(places.iter().all(|count| *count > 5), "every place is used: {places:?}");
    }
}
