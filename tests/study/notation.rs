//! The notation: each mistake is reported at its line and column, with what was expected.

use epollite::study::{BUILT_IN, parse};
use proptest::prelude::{any, proptest};

const HEADER: &str = "question: q?\nwiring: s0\npeople: p\nbecause: b\nlesson: l\n\n";
/// The first line behind [`HEADER`].
const FIRST: usize = 7;

/// Steps, the line of the mistake counted from the first of them, its column, and a part of the
/// message.
const MISTAKES: [(&str, usize, usize, &str); 46] = [
    ("frobnicate s0", 0, 1, "expected a call: socketpair, tcp"),
    ("  eventf f0 0", 0, 3, "expected a call"),
    ("eventfd", 0, 8, "expected a new name"),
    ("eventfd 7 0", 0, 9, "expected a new name"),
    ("eventfd F0 0", 0, 9, "a small letter"),
    ("eventfd nothing 0", 0, 9, "expected a new name"),
    ("eventfd f0", 0, 11, "expected a number"),
    ("eventfd f0 -1", 0, 12, "expected a number"),
    ("eventfd f0 +1", 0, 12, "expected a number"),
    ("eventfd f0 4294967296", 0, 12, "expected a number"),
    ("eventfd f0 0\neventfd f0 0", 1, 9, "'f0' was used before"),
    ("eventfd f0 0 0", 0, 14, "expected '= RESULT', '; NOTE' or the end"),
    ("close f0", 0, 7, "an open descriptor; there is none yet"),
    ("eventfd f0 0\nclose f1", 1, 7, "the name of an open descriptor: f0"),
    ("eventfd f0 0\nclose f0\nread f0 8", 2, 6, "an open descriptor; there is none yet"),
    ("eventfd f0 0\nsend f0 \"x\"", 1, 6, "the name of an open socket"),
    ("eventfd f0 0\nwait f0", 1, 6, "the name of an open epoll"),
    ("socketpair s0 c0", 0, 17, "expected one of stream, datagram"),
    ("socketpair s0 c0 seqpacket", 0, 18, "expected one of stream, datagram"),
    ("socket s0 sctp", 0, 11, "one of tcp, udp, unix-stream, unix-datagram"),
    ("tcp s0 c0\nshutdown s0 sideways", 1, 13, "one of read, write, both"),
    ("tcp s0 c0\nsetsockopt s0 SO_FROB 1", 1, 15, "expected a socket option"),
    ("tcp s0 c0\nsetsockopt s0 SO_ERROR 1", 1, 15, "an option whose value is a number"),
    ("tcp s0 c0\nsetsockopt s0 SO_RCVLOWAT", 1, 26, "expected a number"),
    ("tcp s0 c0\ngetsockopt s0", 1, 14, "expected a socket option"),
    ("tcp s0 c0\nsend s0", 1, 8, "expected a text in quotes"),
    ("tcp s0 c0\nsend s0 \"x", 1, 11, "expected a closing quote"),
    ("tcp s0 c0\nsend s0 \"a\\q\"", 1, 11, "expected one of \\n"),
    ("tcp s0 c0\nsend s0 \"\\x+1\"", 1, 10, "two hexadecimal digits"),
    ("tcp s0 c0\nsend s0 \"\\x\u{e9}\"", 1, 10, "two hexadecimal digits"),
    ("tcp s0 c0\nsend s0 many*\"x\"", 1, 9, "expected a number of times"),
    ("tcp s0 c0\nsend s0 1048576*\"xy\"", 1, 21, "expected at most 1048576 bytes"),
    ("eventfd f0 0\nwrite f0 u64 x", 1, 14, "expected a number"),
    ("epoll e0\neventfd f0 0\nadd e0 f0", 2, 10, "expected events: IN PRI OUT"),
    ("epoll e0\neventfd f0 0\nadd e0 f0 in", 2, 11, "expected events: IN PRI OUT"),
    ("epoll e0\neventfd f0 0\nadd e0 f0 IN in", 2, 14, "'; NOTE' or the end"),
    ("epoll e0\nwait e0 = ", 1, 11, "expected a result: ok, a number"),
    ("epoll e0\nwait e0 = s0 IN", 1, 11, "expected a result: ok, a number"),
    ("epoll e0\neventfd f0 0\nwait e0 = f0", 2, 13, "expected events: IN PRI OUT"),
    ("eventfd f0 0 = EWHAT", 0, 16, "the name of an errno"),
    ("eventfd f0 0 = 5..3", 0, 16, "a number, or a range"),
    ("eventfd f0 0 = 5..x", 0, 16, "a number, or a range"),
    ("eventfd f0 0 = ok since six", 0, 25, "a kernel version, such as 6.9"),
    ("eventfd f0 0 = ok since 6.9", 0, 28, "', else RESULT' for older kernels"),
    ("eventfd f0 0 = ok, EINVAL", 0, 20, "expected 'people RESULT'"),
    ("eventfd f0 0 = ok or", 0, 21, "expected a result"),
];

#[test]
fn a_mistake_in_a_step_has_its_line_and_column() {
    for (steps, line, column, message) in MISTAKES {
        let error = parse(&format!("{HEADER}{steps}\n")).expect_err(steps);
        assert_eq!((error.line, error.column), (FIRST + line, column), "{steps:?}: {error}");
        assert!(error.message.contains(message), "{steps:?}: {error}");
    }
}

#[test]
fn a_mistake_in_the_header_has_its_line_and_column() {
    for (text, place, message) in [
        ("", "1:1", "'question: ' before the first step"),
        ("question: q?\neventfd f0 0\n", "2:1", "'wiring: ' before the first step"),
        ("question: q?\nquestion: r?\n", "2:1", "'question:' once"),
        ("question:\n", "1:10", "expected a text"),
        ("qeustion: q?\n", "1:1", "expected one of question: wiring:"),
        ("  question: q?\n", "1:3", "expected one of question: wiring:"),
        (HEADER, "7:1", "expected a step"),
        (&format!("since: six\n{HEADER}"), "1:8", "a kernel version, such as 6.9"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.to_string().starts_with(&format!("{place}: ")), "{text:?}: {error}");
        assert!(error.message.contains(message), "{text:?}: {error}");
    }
}

#[test]
fn a_field_goes_on_in_lines_that_begin_with_a_space() {
    let header =
        HEADER.replace("wiring: s0", "wiring: s0\n c0").replace("lesson: l", "lesson: l\n m");
    let experiment = parse(&format!("since: 6.9\n{header}# a comment\neventfd f0 0 ; note\n"));
    let experiment = experiment.expect("it is correct");
    assert_eq!((&*experiment.wiring, &*experiment.lesson), ("s0\nc0", "l m"));
    assert_eq!(experiment.since.map(|since| since.to_string()).as_deref(), Some("6.9"));
    assert_eq!((&*experiment.steps[0].call, &*experiment.steps[0].note), ("eventfd f0 0", "note"));
}

#[test]
fn an_expectation_prints_as_it_was_written() {
    for text in ["ok", "1..9", "2..", "\"ab\" or EAGAIN", "EINVAL since 6.9, else 8", "?"] {
        let experiment = parse(&format!("{HEADER}eventfd f0 0 = {text}\n")).unwrap();
        assert_eq!(experiment.steps[0].expected.as_ref().unwrap().to_string(), text);
    }
}

proptest! {
    /// One character of a built-in experiment is replaced: it is parsed, or the mistake is in it.
    #[test]
    fn any_text_is_parsed_or_rejected_within_it(
        which in any::<usize>(), at in any::<usize>(), with in any::<char>(),
    ) {
        let (_, text) = BUILT_IN[which % BUILT_IN.len()];
        let mut chars: Vec<char> = text.chars().collect();
        let at = at % chars.len();
        chars[at] = with;
        let text: String = chars.into_iter().collect();
        if let Err(error) = parse(&text) {
            let line = text.lines().nth(error.line - 1).unwrap_or_default();
            assert!(error.line <= text.lines().count() + 1, "{error}");
            assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}: {line:?}");
        }
    }
}
