//! Which system calls a message costs a server, and how many of each: a bar for each server, by
//! kind. It knows no kind by name; which has which colour is decided by how frequent they are.

use std::collections::HashMap;

use super::labels;
use super::plot::{Pictures, Plot, ROW, TEXT, Table, Width, slug};
use super::rows;
use super::scale::{self, Scale};
use super::svg::{Anchor, Canvas, Picture};
use super::view::{self, RecordView, count};
use crate::schema::{Case, Syscalls};

/// System calls a message, in one case. `kinds` are those of the whole record, most frequent first.
pub(super) fn plot(view: RecordView<'_>, case: &Case, kinds: &[String]) -> Plot {
    let counted = view.measured(case).into_iter();
    let rows: Vec<(&str, &Syscalls)> =
        counted.filter_map(|(server, it)| Some((server, it.syscalls.as_ref()?))).collect();
    let missed = || {
        let measured = view.measured(case).into_iter();
        measured.filter_map(|(server, it)| Some((server, it.syscalls_why.as_deref()?)))
    };
    let drawn = if rows.is_empty() {
        let how = view.record.run.syscalls_counted_by.trim_end_matches('.');
        Err(match missed().next() {
            Some((server, why)) => {
                format!("System calls were not counted in this case: {server}: {why}.")
            }
            None => {
                format!("System calls were not counted in this case. How they are read: {how}.")
            }
        })
    } else {
        Ok(Pictures::half(|room| draw(view, &rows, kinds, room)))
    };
    let mut table = Table::new(&["server", "all", "by name"]);
    for (server, calls) in &rows {
        let each = calls.kinds.iter().map(|it| format!("{} {:.3}", it.name, it.per_message));
        let each = each.collect::<Vec<_>>().join(", ");
        table.rows.push(vec![(*server).to_owned(), format!("{:.3}", calls.per_message), each]);
    }
    for (server, why) in missed() {
        table.rows.push([server, "–", &format!("not counted: {why}")].map(str::to_owned).to_vec());
    }
    Plot {
        name: format!("syscalls-{}", slug(&case.name)),
        title: format!("{}: system calls a message", case.name),
        caption: "By kind, counted in a slice of its own that is in no other figure.".to_owned(),
        drawn,
        table,
    }
}

/// Kinds that have a colour in `plot.css`; the rest are grey together.
const KINDS: usize = 9;

/// Every kind of system call that anybody made, most frequent first.
pub(super) fn kinds(view: RecordView<'_>) -> Vec<String> {
    let mut sums: HashMap<&str, f64> = HashMap::new();
    let cases = view.record.cases.iter();
    let all = cases.flat_map(|case| view.measured(case)).filter_map(|(_, it)| it.syscalls.as_ref());
    for call in all.flat_map(|calls| &calls.kinds).filter(|call| call.name != "other") {
        *sums.entry(&call.name).or_default() += call.per_message;
    }
    let mut kinds: Vec<(&str, f64)> = sums.into_iter().collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    kinds.into_iter().take(KINDS).map(|(name, _)| name.to_owned()).collect()
}

fn draw(
    view: RecordView<'_>,
    rows: &[(&str, &Syscalls)],
    kinds: &[String],
    room: Width,
) -> Picture {
    let names = view::names_width(rows.iter().map(|row| row.0), 112.0);
    let right = room.width() - 40.0;
    let most = scale::max(rows.iter().map(|(_, it)| it.per_message));
    let scale = Scale::linear(most, names, right);
    let mut canvas = Canvas::default();
    let top = key(&mut canvas, rows, kinds, room.width());
    let bottom = top + ROW * count(rows.len());
    canvas.open("axes", None);
    rows::ticks(&mut canvas, &scale, (top - 4.0, bottom), view::format_amount);
    canvas.close();
    for (index, (server, calls)) in rows.iter().enumerate() {
        let y = top + ROW * (count(index) + 0.5);
        view.open(&mut canvas, "row calls", server);
        canvas.title(&format!("{server}: {:.3} calls a message", calls.per_message));
        canvas.rect("hit", (0.0, y - 9.5), (room.width(), y + 9.5));
        rows::name(&mut canvas, server, names, y);
        let mut from = 0.0;
        for (class, label, per_message) in segments(calls, kinds) {
            let (start, end) = (scale.to_px(from), scale.to_px(from + per_message));
            canvas.open("call", None);
            canvas.title(&format!("{server}: {label} {per_message:.3} a message"));
            canvas.rect(&class, (start, y - 7.0), (end, y + 7.0));
            if labels::width(&label, 9.5) + 6.0 < end - start {
                let middle = (f64::midpoint(start, end), y + 3.5);
                canvas.text("inside", middle, Anchor::Middle, &label);
            }
            canvas.close();
            from += per_message;
        }
        let all = format!("{:.2}", calls.per_message);
        canvas.text("value", (room.width(), y + 4.0), Anchor::End, &all);
        canvas.close();
    }
    Picture::new(room.width(), bottom + rows::FOOT, canvas)
}

/// Class, name and number of each part of a bar: the kinds in their order, the rest together.
fn segments(calls: &Syscalls, kinds: &[String]) -> Vec<(String, String, f64)> {
    let of = |name: &str| {
        let same = calls.kinds.iter().filter(|call| call.name == name);
        same.map(|call| call.per_message).sum::<f64>()
    };
    let mut parts: Vec<(String, String, f64)> = kinds
        .iter()
        .enumerate()
        .map(|(index, kind)| (format!("kind-{index}"), kind.clone(), of(kind)))
        .filter(|part| part.2 > 0.0)
        .collect();
    let rest = calls.per_message - parts.iter().map(|part| part.2).sum::<f64>();
    if rest > 0.0005 {
        let what = if calls.kinds.is_empty() { "not by name" } else { "other" };
        parts.push(("kind-rest".to_owned(), what.to_owned(), rest));
    }
    parts
}

/// Which colour is which call; how far down it reaches.
fn key(canvas: &mut Canvas, rows: &[(&str, &Syscalls)], kinds: &[String], width: f64) -> f64 {
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut parts: Vec<(String, String, f64)> =
        rows.iter().flat_map(|(_, calls)| segments(calls, kinds)).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    for (class, label, _) in parts {
        if !seen.iter().any(|it| it.0 == class) {
            seen.push((class, label));
        }
    }
    let (mut x, mut y) = (0.0, 8.0);
    canvas.open("key", None);
    for (class, label) in seen {
        let label = labels::truncate(&label, TEXT, 120.0);
        let room = labels::width(&label, TEXT) + 24.0;
        if x + room > width {
            (x, y) = (0.0, y + 17.0);
        }
        canvas.rect(&class, (x, y - 5.0), (x + 10.0, y + 5.0));
        canvas.text("tick", (x + 14.0, y + 4.0), Anchor::Start, &label);
        x += room;
    }
    canvas.close();
    y + 14.0
}
