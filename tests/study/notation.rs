//! The notation: each mistake is reported at its line and column, with what was expected.

use epollite::study::{BUILT_IN, parse};
use proptest::prelude::{any, proptest};

const HEADER: &str = "question: q?\nwiring: s0\npeople: p\nbecause: b\nlesson: l\n\n";
/// The first line behind [`HEADER`].
const FIRST: usize = 7;

/// Steps, the line of the mistake counted from the first of them, its column, and a part of the
/// message.
const MISTAKES: [(&str, usize, usize, &str); 101] = [
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
    ("socketpair s0 c0 raw", 0, 18, "expected one of stream, datagram, seqpacket"),
    ("tcp s0 c0\nconnect c0 s1", 1, 12, "the name of a socket, open or closed: s0, c0"),
    ("tcp s0 c0\nconnect c0 s0 at home", 1, 18, "expected an IPv4 address"),
    ("tcp s0 c0\nsend s0 \"x\" soon", 1, 13, "'; NOTE' or the end"),
    ("tcp s0 c0\nsendmany s0 c0 x", 1, 16, "expected a number"),
    ("tcp s0 c0\nsendmany s0 c0 1 \"x\" segments", 1, 30, "expected a number"),
    ("tcp s0 c0\nclients s0", 1, 11, "expected a number"),
    ("tcp s0 c0\nacceptall e0", 1, 11, "the name of an open socket: s0, c0"),
    ("tcp s0 c0\nsplice s0", 1, 10, "the name of an open descriptor: s0, c0"),
    ("eventfd f0 0\nsetpipe f0 1", 1, 9, "the name of an open pipe; there is none yet"),
    ("epoll e0\nfastest e0 5", 1, 12, "a timeout up to 100ms, such as 50us or 1ms"),
    ("epoll e0\nfastest e0 +5ms", 1, 12, "a timeout up to 100ms, such as 50us or 1ms"),
    ("epoll e0\nfastest e0 101ms", 1, 12, "a timeout up to 100ms, such as 50us or 1ms"),
    ("tcp s0 c0\nsendmany s0 c0 1 65536*\"x\"", 1, 27, "expected at most 65535 bytes"),
    ("block USR3", 0, 7, "a signal, such as USR1 or URG"),
    ("block USR1 KILL", 0, 7, "signals that can be blocked: not KILL, not STOP"),
    ("block STOP", 0, 7, "signals that can be blocked: not KILL, not STOP"),
    ("signalfd f0", 0, 12, "a signal, such as USR1 or URG"),
    ("raise USR1", 0, 7, "a signal that was blocked before, URG or WINCH"),
    ("raise KILL", 0, 7, "a signal that was blocked before, URG or WINCH"),
    ("eventfd f0 0\nsettime f0 1", 1, 9, "the name of an open timerfd; there is none"),
    ("timerfd f0\nsettime f0", 1, 11, "expected a number"),
    ("open f0 /dev/null", 0, 9, "expected a text in quotes"),
    ("open f0 \"dev\"", 0, 9, "a path that begins with /"),
    ("fifo r0\nreopen r0 w0 both", 1, 14, "one of read, write"),
    ("file f0\nptypeer f0 s0", 1, 9, "the name of an open pty"),
    ("file f0\nwatch f0 f0", 1, 7, "the name of an open inotify"),
    ("tcp s0 c0\nsendfd s0 c1 \"x\"", 1, 11, "the name of an open descriptor: s0, c0"),
    ("tcp s0 c0\nrecvfd s0 9 s0", 1, 13, "'s0' was used before"),
    ("handle USR1", 0, 8, "expected URG or WINCH"),
    ("epoll e0\nioctl e0 TCGETS", 1, 10, "one of EPIOCGPARAMS, EPIOCSPARAMS, SECCOMP"),
    ("tcp s0 c0\nsetfl s0 fast", 1, 10, "one of blocking, nonblocking"),
    ("tcp s0 c0\noptlen s0 SO_ERROR", 1, 11, "a socket option, such as TCP_INFO"),
    ("tcp s0 c0\nsetsockopt s0 IP_ADD_MEMBERSHIP 1", 1, 33, "such as 239.1.2.3"),
    ("socket s0 tcp6\nbind s0 at home", 1, 12, "expected an IP address"),
    ("epoll e0\nwaitat e0 here 1", 1, 11, "one of null, kernel"),
    ("epoll e0\npwait e0 5us", 1, 10, "a timeout up to 100ms"),
    ("tcp s0 c0\n@w1 recvmmsg s0 2", 1, 18, "a timeout up to 100ms"),
    ("file f0\nqueue f0", 1, 7, "the name of an open io_uring; there is none"),
    ("file f0\noutput f0", 1, 8, "the name of an open BPF ring; there is none"),
    ("open f0 \"/proc/self/mounts\"\nbindmount f0", 1, 11, "an open list of mounts"),
    ("fork p1\nfork p1", 1, 6, "'p1' was used before"),
    ("fork p1\nkill p1 USR1", 1, 9, "one of STOP, CONT, KILL"),
    ("kill p1 KILL", 0, 6, "the name of a thread or process; there is none yet"),
    ("epoll e0\n@w1 wait e0\nkill w1 STOP", 2, 9, "one of URG, WINCH"),
    ("epoll e0\n@w1 wait e0\npidfd f0 w1", 2, 10, "the name of a process; there is none"),
    ("epoll e0\n@w1 wait e0\nclose w1", 2, 7, "the name of an open descriptor: e0"),
    ("epoll e0\n@w1 send e0", 1, 5, "one of wait, poll, recvmmsg, join"),
    ("epoll e0\n@w1 join", 1, 2, "the name of a thread or process; there is none yet"),
    ("epoll e0\n@e0 wait e0", 1, 2, "'e0' was used before"),
    ("epoll e0\n@ wait e0", 1, 8, "one of wait, poll, recvmmsg, join"),
    ("epoll e0\n@w1 wait w1", 1, 10, "the name of an open epoll: e0"),
    ("epoll e0\nwait e0 = signal X", 1, 18, "a signal, such as USR1 or URG"),
    ("epoll e0\nwait e0 = peer s0", 1, 16, "expected a result"),
    ("epoll e0\nwait e0 = \"x\" from s0", 1, 20, "expected a result"),
    ("eventfd blocked 0", 0, 9, "expected a new name"),
    ("socket s0 sctp", 0, 11, "one of tcp, tcp6, udp, unix-stream, unix-datagram"),
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
        ("depends:\n", "1:9", "expected a text"),
        ("unmodelled: a\nunmodelled: b\n", "2:1", "'unmodelled:' once"),
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
    for text in [
        "ok",
        "blocked",
        "signal USR1",
        "error EPIPE",
        "1..9",
        "2..",
        "\"ab\" or EAGAIN",
        "EINVAL since 6.9, else 8",
        "?",
    ] {
        let experiment = parse(&format!("{HEADER}eventfd f0 0 = {text}\n")).unwrap();
        assert_eq!(experiment.steps[0].expected.as_ref().unwrap().to_string(), text);
    }
}

#[test]
fn the_optional_fields_may_be_missing() {
    let experiment = parse(&format!("{HEADER}epoll e0\n")).unwrap();
    assert_eq!((experiment.depends, experiment.unmodelled, experiment.since), (None, None, None));
    let text = format!("depends: src/a.rs: f\nunmodelled: u\n v\n{HEADER}epoll e0\n");
    let experiment = parse(&text).unwrap();
    assert_eq!(experiment.depends.as_deref(), Some("src/a.rs: f"));
    assert_eq!(experiment.unmodelled.as_deref(), Some("u v"));
}

/// Every word of a call, with good arguments.
#[test]
fn every_call_is_parsed() {
    let steps = "tcp s0 c0\nsocketpair a b seqpacket\nsocket u0 udp\nbind u0 at 0.0.0.0\n\
                 socket u1 udp\nbind u1 as u0\nsendto u1 u0 at 127.0.0.2 \"x\"\n\
                 connect u1 u0 at 127.0.0.1\nsendmany u1 u0 8 \"x\" segments 4\n\
                 sendmany u1 u0 8 \"x\"\nfillto u1 u0\nrecvfrom u0 9 = \"x\" from u1\n\
                 recvfrom u0 9 = \"x\" from unknown\nrecvmany u0 8\nclients s0 4\n\
                 acceptall s0 = 4\ngetpeername s0 = peer c0\nsend s0 \"x\" oob\n\
                 recv s0 1 oob\nrecv s0 1 peek\natmark s0\noutq s0\ninq s0\nerrqueue s0\n\
                 pipe r0 w0\nsetpipe r0 1\nsplice r0 s0 9\nnofile 0\nnofile\n\
                 block USR1 PIPE\nsignalfd f0 USR1 PIPE\nraise USR1\nraise URG\n\
                 read f0 128 = signal USR1\ntimerfd t0\nsettime t0 1\nsettime t0 1 1\n\
                 file g0\nopen g1 \"/dev/null\"\nfifo r1\nreopen r1 z1 write\npty m0\n\
                 ptypeer m0 m1\ninotify i0\nwatch i0 g0\nsendfd s0 g0 \"x\"\n\
                 recvfd s0 9 g2\nsetsockopt s0 TCP_CORK 1\ngetsockopt s0 TCP_CORK\nptrace\n\
                 epoll e0\nfastest e0 1ms\nfastest e0 50us\n@w1 wait e0 4\n@w1 join = blocked\n\
                 kill w1 URG\nfork p1\n@p1 poll e0\n@p1 join\nkill p1 STOP\npidfd d0 p1\n\
                 reap p1\nsocket v0 tcp6\nbind v0 at ::1\nsocket v1 tcp6\n\
                 bind v1 as v0 at ::ffff:0.0.0.0\nsend s0 \"x\" zerocopy\nerrcode s0\n\
                 setsockopt u0 IP_ADD_MEMBERSHIP 239.1.2.3\n\
                 setsockopt u0 IP_MULTICAST_IF 127.0.0.1\nsetsockopt u0 IP_MULTICAST_ALL 0\n\
                 optlen s0 TCP_INFO\nsetfl s0 blocking\nsetfl s0 nonblocking\nreadnow s0 9\n\
                 ioctl e0 EPIOCGPARAMS\nioctl e0 EPIOCSPARAMS 8\nwaitat e0 null 8\n\
                 waitat e0 kernel 8\npwait e0 1ms\nhandle URG\n@w2 recvmmsg u0 2 1ms\n\
                 fanotify n0\nwatch n0 g0\nuring k0\nqueue k0\nenter k0\nbpfring k1\n\
                 output k1\nperf k2\nmounts k3\nbindmount k3\npeer p2 s2\npeerpid s2 d1\n\
                 seccomp p3 l0\nioctl l0 SECCOMP_IOCTL_NOTIF_RECV";
    let experiment = parse(&format!("{HEADER}{steps}\n")).unwrap();
    for (step, line) in experiment.steps.iter().zip(steps.lines()) {
        let call = line.split(" = ").next().unwrap();
        assert_eq!(step.call, call, "the call is kept as it is written");
        let actor = line.strip_prefix('@').and_then(|line| line.split(' ').next());
        assert_eq!(step.actor.as_deref(), actor, "{line}");
    }
    assert_eq!(experiment.steps.len(), steps.lines().count());
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
