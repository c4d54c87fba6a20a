//! What a message costs a server in CPU time: in its own code, in the kernel, and what may be said
//! about that. It judges nothing; the verdicts are in the record.

use super::labels;
use super::plot::{Pictures, Plot, ROW, TEXT, Table, Width, slug};
use super::rows;
use super::scale::{self, Scale};
use super::svg::{Anchor, Canvas, Picture};
use super::view::{self, RecordView, count};
use crate::conclusion;
use crate::schema::{Case, Measured};
use crate::stats::Verdict;
use crate::units;

/// CPU time a message, in one case.
pub(super) fn plot(view: RecordView<'_>, case: &Case) -> Plot {
    let rows = view.measured(case);
    let drawn = if rows.is_empty() {
        Err("Nobody was measured in this case.".to_owned())
    } else {
        Ok(Pictures::half(|room| draw(view, &rows, room)))
    };
    let mut table =
        Table::new(&["server", "CPU", view.interval_name(), "user", "system", "verdict"]);
    for (server, measured) in &rows {
        let cpu = &measured.cpu_ns;
        let part = |part: Option<f64>| part.map_or("not known".to_owned(), units::time);
        table.rows.push(vec![
            (*server).to_owned(),
            units::time(cpu.median),
            format!("{} to {}", units::time(cpu.low), units::time(cpu.high)),
            part(measured.cpu_user_ns),
            part(measured.cpu_system_ns),
            verdict(view, server, measured),
        ]);
    }
    Plot {
        name: format!("cpu-{}", slug(&case.name)),
        title: format!("{}: CPU a message", case.name),
        caption: format!(
            "The server's own time: in its code (full) and in the kernel (pale), where they are known \
             apart. The line is the {} of the whole.",
            view.interval_name()
        ),
        drawn,
        table,
    }
}

/// What may be said about its CPU time.
fn verdict(view: RecordView<'_>, server: &str, measured: &Measured) -> String {
    match measured.cpu_ratio {
        _ if view.is_reference(server) => "reference".to_owned(),
        _ if view.is_control(server) => "the noise".to_owned(),
        Some(_) if !conclusion::has_verdicts(view.record) => "too few rounds".to_owned(),
        Some(ratio) => match ratio.verdict {
            Verdict::NoDifference => "no difference".to_owned(),
            found => {
                let word = view.verdict(found, "more", "less");
                format!("{word}, ×{}", view::format_factor(ratio.estimate.median))
            }
        },
        None => "no verdict".to_owned(),
    }
}

/// Letters of a verdict, and of a time.
const VERDICT: f64 = 100.0;
const TIME: f64 = 52.0;

fn draw(view: RecordView<'_>, rows: &[(&str, &Measured)], room: Width) -> Picture {
    let is_narrow = room == Width::Narrow;
    let names =
        view::names_width(rows.iter().map(|row| row.0), if is_narrow { 100.0 } else { 118.0 });
    let right = room.width() - VERDICT - TIME;
    let most = rows.iter().flat_map(|(_, it)| {
        [it.cpu_ns.median * 1.1, it.cpu_user_ns.unwrap_or(0.0) + it.cpu_system_ns.unwrap_or(0.0)]
    });
    let scale = Scale::linear(scale::max(most), names, right);
    let mut canvas = Canvas::default();
    let bottom = 6.0 + ROW * count(rows.len());
    rows::ticks(&mut canvas, &scale, (2.0, bottom), view::tick_time);
    for (index, (server, measured)) in rows.iter().enumerate() {
        let y = 6.0 + ROW * (count(index) + 0.5);
        let none = measured.cpu_ratio.is_some_and(|it| it.verdict == Verdict::NoDifference);
        view.open(&mut canvas, if none { "row bars none" } else { "row bars shown" }, server);
        let (cpu, said) = (&measured.cpu_ns, verdict(view, server, measured));
        canvas.title(&format!("{server}: {} a message; {said}", units::time(cpu.median)));
        canvas.rect("hit", (0.0, y - 9.5), (room.width(), y + 9.5));
        rows::name(&mut canvas, server, names, y);
        let (top, low) = (y - 5.5, y + 5.5);
        let zero = scale.to_px(0.0);
        match (measured.cpu_user_ns, measured.cpu_system_ns) {
            (Some(user), Some(system)) => {
                let (user, both) = (scale.to_px(user), scale.to_px(user + system));
                canvas.rect("user", (zero, top), (user, low));
                canvas.rect("system", (user, top), (both, low));
            }
            _ => canvas.rect("unknown", (zero, top), (scale.to_px(cpu.median), low)),
        }
        canvas.line("whisker", (scale.to_px(cpu.low), y), (scale.to_px(cpu.high), y));
        let time = (right + TIME, y + 4.0);
        canvas.text("value", time, Anchor::End, &units::time(cpu.median));
        let words = labels::truncate(&said, TEXT, VERDICT - 8.0);
        canvas.text("verdict", (right + TIME + 8.0, y + 4.0), Anchor::Start, &words);
        canvas.close();
    }
    Picture::new(room.width(), bottom + rows::FOOT, canvas)
}
