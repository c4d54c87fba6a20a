//! Where that goes which a step sends: which descriptors refer to one file, which files are the
//! ends of one connection, and which datagrams were dropped.
//!
//! Makes values from rows; it draws nothing.

use std::collections::VecDeque;

use super::timeline::Row;
use crate::small_map::SmallMap;

/// What a step sends from one actor or descriptor to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Transfer {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) fate: Fate,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Delivered,
    /// The call succeeds, and a later step shows that nothing has arrived.
    Dropped,
    /// The call fails.
    Failed,
}

/// The connections of an experiment, as far as its steps have been made.
#[derive(Debug)]
pub(super) struct Transfers {
    /// What keeps a file open, and the file, which has the name of its first descriptor: a
    /// descriptor, a child, or [`IN_FLIGHT`].
    open: Vec<(String, String)>,
    /// The file at the other end of a connection: a listener, until the connection is accepted.
    peers: SmallMap<String, String>,
    /// By listener, the connections that were not accepted yet.
    queued: SmallMap<String, VecDeque<String>>,
    /// The files that have messages: one of 0 bytes is one.
    with_messages: SmallMap<String, ()>,
    /// By the number of the step, the socket that received the datagram. None: it was dropped.
    receivers: SmallMap<usize, Option<String>>,
}

/// A descriptor in a message that was not received yet.
const IN_FLIGHT: &str = "";

impl Transfers {
    pub(super) fn new(rows: &[Row]) -> Self {
        Self {
            open: Vec::new(),
            peers: SmallMap::default(),
            queued: SmallMap::default(),
            with_messages: SmallMap::default(),
            receivers: receivers(rows),
        }
    }

    /// Makes the next step, and returns what it sends.
    pub(super) fn step(&mut self, row: &Row) -> Vec<Transfer> {
        let all = |pairs: Vec<[String; 2]>, fate: Fate| {
            pairs.into_iter().map(|[from, to]| Transfer { from, to, fate }).collect()
        };
        let pair = |one: &String, other: &String| vec![[one.clone(), other.clone()]];
        if row.is_failed() {
            return match (row.verb(), &row.names[..]) {
                ("sendto" | "connect", [from, to]) => all(pair(from, to), Fate::Failed),
                _ => Vec::new(),
            };
        }
        self.open(row);
        self.connect(row);
        let is_empty = row.result == "0";
        let delivered = match (row.verb(), &row.names[..]) {
            ("close", [name, ..]) => self.end(name),
            ("kill", [child, ..]) if row.kills() => self.end(child),
            ("fill" | "fillto", _) if is_empty => Vec::new(),
            ("shutdown", _) if row.call.ends_with(" read") => Vec::new(),
            ("sendto", [from, to]) => match self.receivers.get(&row.number) {
                Some(None) => return all(pair(from, to), Fate::Dropped),
                Some(Some(receiver)) => pair(from, receiver),
                None => pair(from, to),
            },
            (
                "sendmany" | "fillto" | "connect" | "dup" | "accept" | "recvfd" | "ptypeer"
                | "reopen",
                [from, to],
            ) => pair(from, to),
            ("splice", [from, to]) => [pair(from, to), self.sent(to)].concat(),
            ("send" | "write", [name, ..]) if is_empty && !self.has_messages(name) => Vec::new(),
            ("send" | "write" | "fill" | "shutdown" | "sendfd", [name, ..]) => self.sent(name),
            _ => Vec::new(),
        };
        all(delivered, Fate::Delivered)
    }

    /// Notes the new descriptors and copies.
    fn open(&mut self, row: &Row) {
        for name in &row.opened {
            let original = row.names.first().filter(|_| row.verb() == "dup");
            let passed = self.open.iter().position(|(holder, _)| holder == IN_FLIGHT);
            let file = match (original, passed) {
                (Some(original), _) => self.file(original).map(str::to_owned),
                (None, Some(at)) if row.verb() == "recvfd" => Some(self.open.remove(at).1),
                (None, _) => None,
            };
            self.open.push((name.clone(), file.unwrap_or_else(|| name.clone())));
            if ["datagram", "seqpacket", "udp"].iter().any(|kind| row.call.ends_with(kind)) {
                self.with_messages.insert(name.clone(), ());
            }
        }
        match (row.verb(), &row.names[..], &row.opened[..]) {
            ("fork", _, [child]) => {
                let copies = self.open.clone().into_iter();
                self.open.extend(copies.map(|(_, file)| (child.clone(), file)));
            }
            ("sendfd", [_, passed], _) => {
                let file = self.file(passed).map(str::to_owned);
                self.open.extend(file.map(|file| (IN_FLIGHT.to_owned(), file)));
            }
            _ => {}
        }
    }

    /// Notes which files are the ends of one connection.
    fn connect(&mut self, row: &Row) {
        let mut pair = |one: &String, other: &String| {
            self.peers.insert(one.clone(), other.clone());
            self.peers.insert(other.clone(), one.clone());
        };
        match (row.verb(), &row.names[..], &row.opened[..]) {
            (_, _, [one, other]) => pair(one, other),
            ("ptypeer" | "reopen", [one, _], [other]) => pair(one, other),
            ("listen", [listener], _) => {
                self.queued.or_default(listener.clone());
            }
            ("connect", [client, to], _) => {
                self.peers.insert(client.clone(), to.clone());
                if let Some(queue) = self.queued.get_mut(to) {
                    queue.push_back(client.clone());
                }
            }
            ("accept", [listener, _], [new]) => {
                let queue = self.queued.get_mut(listener);
                if let Some(client) = queue.and_then(VecDeque::pop_front) {
                    pair(&client, new);
                }
            }
            _ => {}
        }
    }

    /// A descriptor or a child ends: what the peers learn of the files that nothing else holds.
    fn end(&mut self, name: &str) -> Vec<[String; 2]> {
        let closed: Vec<(String, String)>;
        (closed, self.open) = self.open.drain(..).partition(|(holder, _)| holder == name);
        let mut told = Vec::new();
        for (_, file) in closed {
            if self.holder(&file).is_some() || self.with_messages.contains_key(&file) {
                continue;
            }
            let queue = self.queued.remove(&file).unwrap_or_default();
            let others = self.peers.get(&file).into_iter().chain(&queue);
            let others = others.filter_map(|other| self.holder(other));
            told.extend(others.map(|other| [name.to_owned(), other.to_owned()]));
        }
        told
    }

    /// From one end of a connection to the other.
    fn sent(&self, name: &str) -> Vec<[String; 2]> {
        let peer = self.file(name).and_then(|file| self.peers.get(file));
        let peer = peer.and_then(|peer| self.holder(peer));
        peer.map(|to| [name.to_owned(), to.to_owned()]).into_iter().collect()
    }

    fn has_messages(&self, name: &str) -> bool {
        self.file(name).is_some_and(|file| self.with_messages.contains_key(file))
    }

    fn file(&self, name: &str) -> Option<&str> {
        self.open.iter().find(|(holder, _)| holder == name).map(|(_, file)| file.as_str())
    }

    fn holder(&self, file: &str) -> Option<&str> {
        self.open.iter().find(|(_, open)| open == file).map(|(holder, _)| holder.as_str())
    }
}

/// By step, the socket that received the UDP datagram of a `sendto`. One that no later step shows
/// is missing; none is one that was dropped: its receiver was empty later, or received one that was
/// sent after it.
fn receivers(rows: &[Row]) -> SmallMap<usize, Option<String>> {
    let is_udp = |row: &&Row| row.verb() == "socket" && row.call.ends_with(" udp");
    let udp: Vec<&String> = rows.iter().filter(is_udp).flat_map(|row| &row.opened).collect();
    let of_udp = |row: &&Row| row.names.first().is_some_and(|name| udp.contains(&name));
    let sends = rows.iter().filter(of_udp);
    let sends: Vec<&Row> = sends.filter(|row| row.verb() == "sendto" && !row.is_failed()).collect();
    let reads: Vec<&Row> = rows.iter().filter(of_udp).filter(|row| takes_datagram(row)).collect();
    // By the step that reads it, the step that has sent it.
    let mut sent: SmallMap<usize, usize> = SmallMap::default();
    let mut receivers = SmallMap::default();
    for send in &sends {
        let is_it = |read: &&&Row| {
            read.number > send.number
                && !sent.contains_key(&read.number)
                && is_start(&read.result, bytes(&send.call))
        };
        if let Some(read) = reads.iter().find(is_it) {
            sent.insert(read.number, send.number);
            receivers.insert(send.number, read.names.first().cloned());
        }
    }
    for send in sends {
        let is_dropped = |read: &&Row| {
            let of_it = read.number > send.number && read.names.first() == send.names.get(1);
            let is_later = sent.get(&read.number).is_some_and(|sent| *sent > send.number);
            of_it && (is_later || read.result == "EAGAIN")
        };
        if !receivers.contains_key(&send.number) && reads.iter().any(is_dropped) {
            receivers.insert(send.number, None);
        }
    }
    receivers
}

fn takes_datagram(row: &Row) -> bool {
    ["recv", "recvfrom"].contains(&row.verb()) && !row.call.ends_with(" peek")
}

/// The bytes of a call: `"x"` or `50*"x"`.
fn bytes(call: &str) -> &str {
    let quote = call.find('"').unwrap_or(call.len());
    let start = call[..quote].rfind(' ').map_or(0, |space| space + 1);
    &call[start..]
}

/// Whether a result is these bytes, or their beginning: a datagram may be cut.
fn is_start(result: &str, bytes: &str) -> bool {
    let Some(end) = result.rfind('"') else { return false };
    match &result[..end] {
        "\"" => bytes == "\"\"",
        start => start.contains('"') && bytes.starts_with(start),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::kernels::Machine;
    use super::super::script::Script;
    use super::super::timeline::timeline;
    use super::*;

    /// Each as `5 c0 -> s0`, with the number of its step; not those of connections.
    fn shown(rows: &[Row]) -> Vec<String> {
        let mut transfers = Transfers::new(rows);
        let mut shown = Vec::new();
        for row in rows {
            for Transfer { from, to, fate } in transfers.step(row) {
                let mark = match fate {
                    Fate::Delivered => "->",
                    Fate::Dropped => "-|",
                    Fate::Failed => "-x",
                };
                if !["connect", "accept"].contains(&row.verb()) {
                    shown.push(format!("{} {from} {mark} {to}", row.number));
                }
            }
        }
        shown
    }

    fn of(name: &str) -> Vec<String> {
        let script = Script::find(name).unwrap();
        shown(&timeline(&script.experiment, &Machine::newest().on_model(&script.experiment)))
    }

    /// Rows of calls that the model lacks: `CALL | NAMES | OPENED`.
    fn rows(lines: &[&str]) -> Vec<Row> {
        let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
        let row = |(at, line): (usize, &&str)| {
            let parts: Vec<&str> = line.split('|').collect();
            Row {
                number: at + 1,
                actor: "main".to_owned(),
                time: Duration::ZERO,
                took: Duration::ZERO,
                call: parts[0].trim().to_owned(),
                calls: Vec::new(),
                named_calls: Vec::new(),
                result: "ok".to_owned(),
                expected: String::new(),
                people: None,
                note: String::new(),
                agrees: true,
                names: words(parts[1]),
                opened: words(parts[2]),
                reported: Vec::new(),
            }
        };
        lines.iter().enumerate().map(row).collect()
    }

    #[test]
    fn a_datagram_goes_to_the_socket_that_receives_it_or_is_dropped() {
        // From another address than that to which the receiver is connected.
        assert_eq!(of("udp-wildcard-source"), ["8 c0 -> s0", "10 s0 -| c0"]);
        assert_eq!(of("udp-connected"), ["9 c1 -| s0", "11 c0 -> s0"]);
        assert_eq!(of("udp-port-shared"), ["9 c0 -> s1"]);
        assert_eq!(of("udp-truncated"), ["4 c0 -> s0", "5 c0 -> s0"]);
        assert_eq!(of("udp-zero-length"), ["7 c0 -> s0", "9 c0 -> s0"]);
        assert_eq!(of("udp-broadcast"), ["4 c0 -x s0", "6 c0 -> s0"]);
    }

    #[test]
    fn a_close_is_sent_when_the_last_copy_is_gone() {
        assert_eq!(of("dup-ghost"), ["2 s0 -> d0", "6 c0 -> d0", "9 d0 -> c0"]);
        let pair = "socketpair s0 c0 stream | s0 c0 | s0 c0";
        let child = ["fork p1 | p1 | p1", "close s0 | s0 |", "kill p1 KILL | p1 |"];
        assert_eq!(shown(&rows(&[&[pair][..], &child].concat())), ["4 p1 -> c0"]);
        let passed = [
            "socketpair s1 c1 stream | s1 c1 | s1 c1",
            "sendfd c1 s0 \"x\" | c1 s0 |",
            "close s0 | s0 |",
            "recvfd s1 9 d0 | s1 d0 | d0",
            "close d0 | d0 |",
        ];
        let passed = shown(&rows(&[&[pair][..], &passed].concat()));
        assert_eq!(passed, ["3 c1 -> s1", "5 s1 -> d0", "6 d0 -> c0"]);
    }

    #[test]
    fn a_listener_that_closes_resets_what_it_has_queued() {
        assert_eq!(of("listener-closed"), ["9 l0 -> c0"]);
        assert_eq!(of("reuseport-queue-loss"), ["14 l0 -> c0"]);
    }

    #[test]
    fn an_empty_send_is_one_only_with_messages() {
        assert_eq!(of("zero-bytes"), ["8 c0 -> s0"]);
        assert_eq!(of("own-shutdown-read"), ["7 c0 -> s0"], "nor is SHUT_RD");
    }

    #[test]
    fn a_splice_goes_on_to_the_other_end() {
        let first = ["4 c0 -> s0", "5 s0 -> w0", "5 w0 -> r0", "6 c0 -> s0"];
        assert_eq!(of("splice"), [&first[..], &["9 s0 -> w0", "9 w0 -> r0"]].concat());
    }
}
