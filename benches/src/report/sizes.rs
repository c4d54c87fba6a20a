//! Memory and sizes, a dot for each server: the axes are logarithmic, so no bar could begin at 0.

use super::chart::{Axis, Chart, Mark, Panel, Series};
use super::format;
use super::scale::Scale;
use super::view::View;
use crate::schema::{ResultFile, Server};
use crate::units;

/// One of these charts.
struct Size {
    name: &'static str,
    title: &'static str,
    caption: &'static str,
    missing: &'static str,
    head: &'static str,
    /// The figure of a server and a note on it.
    figure: fn(&ResultFile, &Server) -> Option<(f64, String)>,
    show: fn(f64) -> String,
}

const SIZES: [Size; 4] = [
    Size {
        name: "memory-idle",
        title: "Memory per idle connection",
        caption: "The server's own bytes for each of the connections that were used once and are \
                  silent since. The kernel's memory for sockets is not included.",
        missing: "Idle memory was not measured in this run.",
        head: "per connection",
        figure: |_, server| {
            let idle = server.idle?;
            let empty = units::size(idle.empty_bytes as f64);
            let note = format!("{empty} without, {} connections", idle.connections);
            Some((idle.bytes_per_connection.max(0.0), note))
        },
        show: units::size,
    },
    Size {
        name: "memory-peak",
        title: "Peak resident memory",
        caption: "The largest in any case, all processes of the server together; pages that they \
                  share count once for each.",
        missing: "No server's resident memory could be read in this run.",
        head: "peak",
        figure: |record, server| {
            let peaks = record.cases.iter().filter_map(|case| {
                let outcome = case.results.iter().find(|it| it.server == server.name)?;
                Some((outcome.measured.as_ref()?.peak_rss_bytes?, &case.name))
            });
            let (bytes, case) = peaks.max_by_key(|peak| peak.0)?;
            Some((bytes as f64, format!("in {case}")))
        },
        show: units::size,
    },
    Size {
        name: "size-binary",
        title: "Size of the binary",
        caption: "Stripped. Servers that run in an interpreter have none; shared libraries are not \
                  included.",
        missing: "No server of this run has a binary of known size.",
        head: "stripped",
        figure: |_, server| Some((server.binary_bytes? as f64, String::new())),
        show: units::size,
    },
    Size {
        name: "size-crates",
        title: "Crates in the dependency tree",
        caption: "Rust packages that a server is made of: the library that it is written with, and \
                  the dependencies of that.",
        missing: "The crates of no server were counted in this run.",
        head: "crates",
        figure: |_, server| Some((server.crates? as f64, String::new())),
        show: format::amount,
    },
];

/// Memory and sizes of a result file.
pub(super) fn charts(view: View<'_>) -> Vec<Chart<'_>> {
    SIZES.iter().map(|size| chart(view, size)).collect()
}

fn chart<'a>(view: View<'a>, size: &Size) -> Chart<'a> {
    let known = |server: &'a Server| Some((server, (size.figure)(view.record, server)?));
    let known: Vec<_> = view.record.servers.iter().filter_map(known).collect();
    let x = Scale::around(known.iter().map(|(_, (figure, _))| *figure));
    let mut x = Axis::new(x, "", size.show);
    x.ticks.iter_mut().for_each(|(_, label)| *label = format::round(label));
    let series = |(server, (figure, note)): &(&'a Server, (f64, String))| Series {
        server: &server.name,
        class: if *figure > 0.0 { "shown" } else { "none" },
        cells: vec![(size.show)(*figure), note.clone()],
        marks: vec![Mark::Stem(*figure), Mark::Dot(*figure)],
    };
    let panel = Panel::new(&[size.head, "note"], x, None, known.iter().map(series).collect());
    let missing = known.is_empty().then_some(size.missing);
    let chart = Chart::new(panel).named(size.name, size.title, size.caption, missing);
    Chart { is_half: true, ..chart }
}
