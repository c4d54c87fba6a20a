//! Statistics as the text format of Prometheus, version 0.0.4.
//!
//! Knows figures and their names, and no connection.

use std::fmt::Write as _;

use crate::echo::stats::StatsSnapshot;

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One family of figures: its name without the prefix, its type, and what it counts.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP epollite_{name} {help}\n# TYPE epollite_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: u64) {
        let label = label.map_or_else(String::new, |(label, of)| format!("{{{label}=\"{of}\"}}"));
        let _ = writeln!(self.0, "epollite_{name}{label} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, None, value);
    }

    fn by(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.family(name, "counter", help);
        for &(of, value) in values {
            self.sample(name, Some((label, of)), value);
        }
    }
}

/// The page of these figures. Names and labels are fixed, so that none needs to be escaped.
pub(crate) fn exposition(sum: &StatsSnapshot) -> String {
    let StatsSnapshot { open, slots, deadlines, stream: s, datagram: d, .. } = sum;
    let mut page = Page(String::new());
    page.family("build_info", "gauge", "The version of the program, as a label.");
    page.sample("build_info", Some(("version", env!("CARGO_PKG_VERSION"))), 1);
    page.single("connections_open", "gauge", "Connections that are open.", *open);
    let help = "Slots of the slabs of registrations, free ones included.";
    page.single("slab_slots", "gauge", help, *slots);
    page.single("deadlines", "gauge", "Deadlines that are set.", *deadlines);
    let help = "Bytes kept for peers that do not read.";
    page.single("buffer_bytes", "gauge", help, s.buffer_bytes);
    for (name, help, value) in [
        ("connections_accepted_total", "Connections accepted.", s.accepted),
        ("connections_closed_total", "Connections closed, for any reason.", s.closed),
        ("connections_reset_total", "Connections reset by the peer.", s.reset),
        ("connections_timed_out_total", "Connections closed for inactivity.", s.timed_out),
        ("connections_aborted_total", "Connections aborted before they were served.", s.aborted),
        ("buffer_waits_total", "Connections held for lack of buffers.", s.buffer_waits),
        ("accept_pauses_total", "How often accepting was paused.", s.accept_pauses),
        ("datagrams_received_total", "Datagrams received.", d.received),
        ("datagrams_echoed_total", "Datagrams sent back.", d.echoed),
        ("datagrams_truncated_total", "Datagrams that were too long.", d.truncated),
        ("datagrams_refused_total", "Datagrams from ports that answer the answer.", d.refused),
        ("datagrams_not_allowed_total", "Datagrams from no allowed network.", d.not_allowed),
        ("datagrams_over_rate_total", "Datagrams beyond the rate of an address.", d.over_rate),
        ("datagrams_dropped_total", "Answers that could not be sent.", d.dropped),
        ("datagram_errors_total", "Errors of receiving datagrams.", d.errors),
    ] {
        page.single(name, "counter", help, value);
    }
    let refused = [
        ("not_allowed", s.refused_not_allowed),
        ("connections", s.refused_connections),
        ("rate", s.refused_rate),
    ];
    let help = "Connections closed at once, by the limit of addresses.";
    page.by("connections_refused_total", help, "reason", &refused);
    let by = |stream, datagram| [("stream", stream), ("datagram", datagram)];
    let received = by(s.bytes_in, d.bytes_in);
    page.by("received_bytes_total", "Bytes received.", "transport", &received);
    page.by("sent_bytes_total", "Bytes sent.", "transport", &by(s.bytes_out, d.bytes_out));
    page.by("echoes_total", "Messages sent back.", "transport", &by(s.echoes, d.echoed));
    let (handled, spurious, stale) = sum.events();
    let events = [("handled", handled), ("spurious", spurious), ("stale", stale)];
    page.by("events_total", "Events of epoll.", "result", &events);
    let calls = sum.system_calls();
    let of = |value: fn(&crate::instrument::call::CallCount) -> u64| {
        calls.iter().map(|(name, count)| (*name, value(count))).collect::<Vec<_>>()
    };
    let (name, help) = ("syscalls_total", "System calls of the server.");
    page.by(name, help, "syscall", &of(|count| count.calls));
    let (name, help) = ("syscall_would_block_total", "System calls that returned EAGAIN.");
    page.by(name, help, "syscall", &of(|count| count.eagain));
    let (name, help) = ("syscall_errors_total", "System calls that failed otherwise.");
    page.by(name, help, "syscall", &of(|count| count.errors));
    page.0
}
