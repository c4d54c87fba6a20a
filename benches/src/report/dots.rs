//! One figure for each server as a dot on a line: memory and sizes. Dots and not bars, for the
//! axes are logarithmic and have no zero to begin a bar at.

use super::plot::{Pictures, Plot, ROW, Table, Width};
use super::rows;
use super::scale::{self, Scale};
use super::svg::{Anchor, Canvas, Picture};
use super::view::{self, RecordView, count, number};
use crate::units;

/// A server, its figure, and what else is to be said.
struct Point {
    server: String,
    figure: f64,
    note: String,
}

/// Names and notes of one plot.
struct Labels {
    name: &'static str,
    title: String,
    lead: String,
    missing: &'static str,
    figure: &'static str,
}

/// Memory and sizes of a record.
pub(super) fn plots(view: RecordView<'_>) -> [Plot; 4] {
    [idle(view), peak(view), binary(view), crates(view)]
}

fn idle(view: RecordView<'_>) -> Plot {
    let servers = view.record.servers.iter();
    let dots = servers.filter_map(|server| {
        let idle = server.idle?;
        let note = format!("{} empty", units::size(number(idle.empty_bytes)));
        Some(Point {
            server: server.name.clone(),
            figure: idle.bytes_per_connection.max(0.0),
            note,
        })
    });
    let words = Labels {
        name: "memory-idle",
        title: "Memory for an idle connection".to_owned(),
        lead: format!(
            "Bytes of the server's own for each of {} connections that were used once and are \
             silent since. The kernel's memory for sockets is not in it.",
            units::grouped(u64::try_from(view.record.run.idle_connections).unwrap_or_default())
        ),
        missing: "Nobody was weighed with idle connections in this run.",
        figure: "bytes a connection",
    };
    plot(view, words, dots.collect(), units::size)
}

fn peak(view: RecordView<'_>) -> Plot {
    let most = |server: &str| {
        let cases = view.record.cases.iter();
        let peaks = cases.filter_map(|case| {
            let outcome = case.results.iter().find(|it| it.server == server)?;
            Some((outcome.measured.as_ref()?.peak_rss_bytes?, case.name.as_str()))
        });
        peaks.max_by_key(|peak| peak.0)
    };
    let servers = view.record.servers.iter();
    let dots = servers.filter_map(|server| {
        let (bytes, case) = most(&server.name)?;
        let (server, note) = (server.name.clone(), format!("in {case}"));
        Some(Point { server, figure: number(bytes), note })
    });
    let words = Labels {
        name: "memory-peak",
        title: "Most memory resident".to_owned(),
        lead: "The most in any case, all processes of the server together; pages that they share \
               count once for each."
            .to_owned(),
        missing: "Nobody's resident memory could be read in this run.",
        figure: "peak",
    };
    plot(view, words, dots.collect(), units::size)
}

fn binary(view: RecordView<'_>) -> Plot {
    let servers = view.record.servers.iter();
    let dots = servers.filter_map(|server| {
        let (figure, note) = (number(server.binary_bytes?), String::new());
        Some(Point { server: server.name.clone(), figure, note })
    });
    let words = Labels {
        name: "size-binary",
        title: "Size of the binary".to_owned(),
        lead: "Stripped. Who runs in an interpreter has none; libraries that are shared are not \
               in it."
            .to_owned(),
        missing: "No server of this run has a binary that could be weighed.",
        figure: "stripped",
    };
    plot(view, words, dots.collect(), units::size)
}

fn crates(view: RecordView<'_>) -> Plot {
    let servers = view.record.servers.iter();
    let dots = servers.filter_map(|server| {
        let (figure, note) = (count(server.crates?), String::new());
        Some(Point { server: server.name.clone(), figure, note })
    });
    let words = Labels {
        name: "size-crates",
        title: "Crates in the tree".to_owned(),
        lead: "Rust packages that a server is made of: the library it is written on, and all \
               that is below that."
            .to_owned(),
        missing: "The crates of no server were counted in this run.",
        figure: "crates",
    };
    plot(view, words, dots.collect(), view::format_amount)
}

fn plot(view: RecordView<'_>, words: Labels, dots: Vec<Point>, show: fn(f64) -> String) -> Plot {
    let mut table = Table::new(&["server", words.figure, "note"]);
    for dot in &dots {
        table.rows.push(vec![dot.server.clone(), show(dot.figure), dot.note.clone()]);
    }
    let drawn = if dots.is_empty() {
        Err(words.missing.to_owned())
    } else {
        Ok(Pictures::half(|room| draw(view, &dots, show, room)))
    };
    Plot { name: words.name.to_owned(), title: words.title, caption: words.lead, drawn, table }
}

/// Letters of a figure.
const VALUE: f64 = 66.0;

fn draw(view: RecordView<'_>, dots: &[Point], show: fn(f64) -> String, room: Width) -> Picture {
    let left = view::names_width(dots.iter().map(|dot| dot.server.as_str()), 112.0);
    let right = room.width() - VALUE;
    let span = scale::extent(dots.iter().map(|dot| dot.figure)).unwrap_or((1.0, 10.0));
    let scale = Scale::log(span, left + 8.0, right - 4.0);
    let mut canvas = Canvas::default();
    let bottom = 6.0 + ROW * count(dots.len());
    rows::ticks(&mut canvas, &scale, (2.0, bottom), |tick| show(tick).replace(".0 ", " "));
    for (index, dot) in dots.iter().enumerate() {
        let y = 6.0 + ROW * (count(index) + 0.5);
        // Nothing at all has no place on such an axis: a hollow dot before its beginning.
        let is_something = dot.figure > 0.0;
        let class = if is_something { "row shown" } else { "row none" };
        view.open(&mut canvas, class, &dot.server);
        let note = if dot.note.is_empty() { String::new() } else { format!(", {}", dot.note) };
        canvas.title(&format!("{}: {}{note}", dot.server, show(dot.figure)));
        canvas.rect("hit", (0.0, y - 9.5), (room.width(), y + 9.5));
        rows::name(&mut canvas, &dot.server, left, y);
        canvas.line("guide", (left, y), (scale.to_px(dot.figure), y));
        let x = if is_something { scale.to_px(dot.figure) } else { left - 3.0 };
        canvas.dot("mark", (x, y), 3.8);
        canvas.text("value", (room.width(), y + 4.0), Anchor::End, &show(dot.figure));
        canvas.close();
    }
    Picture::new(room.width(), bottom + rows::FOOT, canvas)
}
